"""OLE2 compound files ([MS-CFB]): which streams they hold and where in the file their bytes lie.

Only the directory and the tables of sectors are read when a file is opened, streams lazily,
each in few large reads. Every number in the file is held against the file's length before it is used, so that
a damaged file costs no more time and memory than a whole one. Streams are found whatever the case of their
names. An open file is never kept: what this module gives can be pickled and used in forked workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sinograd.errors import InputError
from sinograd.files.inputs import noted

SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")
_END = 0xFFFFFFFE
_HIGHEST = 0xFFFFFFFA  # greater sector numbers have special meanings
_NONE = 0xFFFFFFFF
_MINI = 64
_DEEPEST = 32
_ENTRY = np.dtype(
    {
        "names": ["name", "name_bytes", "kind", "left", "right", "child", "start", "size_low", "size_high"],
        "formats": ["V64", "<u2", "u1", "<u4", "<u4", "<u4", "<u4", "<u4", "<u4"],
        "offsets": [0, 64, 66, 68, 72, 76, 116, 120, 124],
        "itemsize": 128,
    }
)
_STORAGE, _STREAM, _ROOT = 1, 2, 5

Extents = tuple[tuple[int, int], ...]
"""Where bytes lie in a file, in order: (offset, length) of each contiguous part."""


@dataclass(frozen=True)
class _Stream:
    start: int
    size: int


def is_compound(head: bytes) -> bool:
    """Whether a file that starts with `head` is an OLE2 compound file."""
    return head.startswith(SIGNATURE)


class CompoundFile:
    """The streams of a compound file, by path without case: "ImageInfo/Angles".

    Raises ValueError naming the file when it is no compound file, truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = noted(path)
        with open(path, "rb") as file:
            self.length = file.seek(0, 2)
            file.seek(0)
            header = file.read(512)
            if not is_compound(header):
                raise InputError(f"{path} is not an OLE2 compound file: it starts with {header[:8]!r}")
            if len(header) < 512:
                raise self._damaged(f"it ends after {len(header)} bytes, within its header")
            words = np.frombuffer(header, "<u4")
            shift = int.from_bytes(header[30:32], "little")
            if shift not in (9, 12) or int.from_bytes(header[32:34], "little") != 6:
                raise self._damaged(f"sectors of 2^{shift} bytes, expected 2^9 or 2^12")
            self._sector = 1 << shift
            self._sectors = max(0, -(-self.length // self._sector) - 1)  # the last one may be short
            self._cutoff = int(words[14])
            # Of the table of sectors only the places are kept where the next sector is not the following one.
            fat = self._read_fat(file, words)
            broken = fat != np.arange(1, len(fat) + 1, dtype=np.uint32)
            broken[-1] = True
            self._breaks = np.flatnonzero(broken)
            self._after = fat[self._breaks]
            entries = np.frombuffer(self._read(file, self._chain(int(words[12]), None, "the directory")), np.uint8)
            entries = entries[: len(entries) // 128 * 128].view(_ENTRY)
            if not len(entries) or entries["kind"][0] != _ROOT:
                raise self._damaged("its directory has no root entry")
            self._streams = dict(self._walk(entries))
            self._mini = self._read_mini(file, entries[0], words)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._streams

    @property
    def names(self) -> list[str]:
        """Paths of all streams, in lower case."""
        return list(self._streams)

    def size(self, name: str) -> int | None:
        """Bytes of a stream, None where there is no such stream."""
        stream = self._streams.get(name.lower())
        return None if stream is None else stream.size

    def read(self, name: str) -> bytearray | None:
        """The bytes of a stream, None where there is no such stream; ValueError when it is truncated."""
        extents = self.extents(name)
        if extents is None:
            return None
        with open(self.path, "rb") as file:
            return self._read(file, extents)

    def extents(self, name: str) -> Extents | None:
        """Where a stream lies in the file, None where there is no such stream; ValueError when it is truncated."""
        stream = self._streams.get(name.lower())
        if stream is None:
            return None
        if stream.size == 0:
            return ()
        if stream.size < self._cutoff:
            return self._mini_extents(name, stream)
        return self._chain(stream.start, stream.size, name)

    def _read_fat(self, file: BinaryIO, words: np.ndarray) -> np.ndarray:
        """The sector that follows each sector, uint32; as many entries as the file has sectors, or fewer."""
        per = self._sector // 4
        needed = -(-self._sectors // per)
        listed = [words[19:128]]
        place, found = int(words[17]), 109
        while found < needed and place < _HIGHEST:
            block = np.frombuffer(self._sectors_at(file, [place], "its list of sector tables"), "<u4")
            listed.append(block[: per - 1])
            place, found = int(block[per - 1]), found + per - 1
        numbers = np.concatenate(listed)
        numbers = numbers[numbers < _HIGHEST][:needed].tolist()
        if not numbers:
            raise self._damaged("it has no table of sectors")
        return np.frombuffer(self._sectors_at(file, numbers, "its table of sectors"), "<u4")[: self._sectors]

    def _sectors_at(self, file: BinaryIO, places: list[int], what: str) -> bytearray:
        """Whole sectors, neighbours in one read."""
        last = self.length // self._sector - 1
        missing = sum(place >= last for place in places)
        if missing:
            raise self._damaged(f"{missing} of {len(places)} sectors of {what} are missing")
        starts = [i for i, place in enumerate(places) if i == 0 or place != places[i - 1] + 1]
        counts = [end - start for start, end in zip(starts, [*starts[1:], len(places)], strict=True)]
        runs = [((places[i] + 1) * self._sector, n * self._sector) for i, n in zip(starts, counts, strict=True)]
        return self._read(file, tuple(runs))

    def _chain(self, start: int, size: int | None, what: str) -> Extents:
        """The extents of `size` bytes from the sector `start`; None: until the chain ends."""
        limit = self._sectors if size is None else -(-size // self._sector)
        if limit > self._sectors:
            raise self._damaged(f"{what} has {size:,} bytes, the file {self.length:,}")
        runs: list[tuple[int, int]] = []
        count, place = 0, start
        while count < limit and place <= self._breaks[-1]:
            at = int(np.searchsorted(self._breaks, place))
            run = int(self._breaks[at]) - place + 1
            runs.append((place, min(run, limit - count)))
            count, place = count + run, int(self._after[at])
        if size is None and (count > limit or place != _END):
            raise self._damaged(f"the chain of sectors of {what} does not end")
        if size is not None and count < limit:
            raise self._damaged(f"{what} has {size:,} bytes, {count * self._sector:,} are there")
        return self._byte_extents(runs, size, what)

    def _byte_extents(self, runs: list[tuple[int, int]], size: int | None, what: str) -> Extents:
        left = sum(run for _, run in runs) * self._sector if size is None else size
        extents = []
        for place, run in runs:
            offset, length = (place + 1) * self._sector, min(run * self._sector, left)
            if offset + length > self.length:
                missing = offset + length - self.length
                raise self._damaged(f"{what} reaches {missing:,} bytes beyond its end")
            extents.append((offset, length))
            left -= length
        return tuple(extents)

    def _read(self, file: BinaryIO, extents: Extents) -> bytearray:
        target = bytearray(sum(length for _, length in extents))
        read_extents(file, extents, memoryview(target))
        return target

    def _walk(self, entries: np.ndarray) -> Iterator[tuple[str, _Stream]]:
        """All streams that can be reached from the root, each entry once; the first of a name counts."""
        known: set[str] = set()
        seen = np.zeros(len(entries), bool)
        seen[0] = True
        left = [(int(entries["child"][0]), "", 0)]
        while left:
            number, folder, depth = left.pop()
            if number >= len(entries) or seen[number]:
                if number != _NONE and number >= len(entries):
                    raise self._damaged(f"its directory names entry {number} of {len(entries)}")
                continue
            seen[number] = True
            entry = entries[number]
            left += [(int(entry["left"]), folder, depth), (int(entry["right"]), folder, depth)]
            name = folder + _name(entry)
            if entry["kind"] == _STREAM and name not in known:
                known.add(name)
                yield name, _Stream(int(entry["start"]), self._size(entry))
            elif entry["kind"] == _STORAGE:
                if depth >= _DEEPEST:
                    raise self._damaged(f"its directory is more than {_DEEPEST} storages deep")
                left.append((int(entry["child"]), name + "/", depth + 1))

    def _size(self, entry: np.void) -> int:
        high = int(entry["size_high"]) if self._sector == 4096 else 0  # undefined in files of small sectors
        return (high << 32) + int(entry["size_low"])

    def _read_mini(self, file: BinaryIO, root: np.void, words: np.ndarray) -> tuple[np.ndarray, Extents]:
        """The table of mini sectors, and where the stream of mini sectors lies."""
        size = self._size(root)
        if size == 0 or int(words[15]) >= _HIGHEST:
            return np.zeros(0, np.int64), ()
        stream = self._chain(int(root["start"]), size, "the stream of small streams")
        table = self._read(file, self._chain(int(words[15]), None, "the table of small streams"))
        return np.frombuffer(table, "<u4")[: -(-size // _MINI)].astype(np.int64), stream

    def _mini_extents(self, name: str, stream: _Stream) -> Extents:
        table, where = self._mini
        places: list[int] = []
        place = stream.start
        for _ in range(-(-stream.size // _MINI)):
            if place >= len(table):
                raise self._damaged(f"{name} has {stream.size:,} bytes, {len(places) * _MINI:,} are there")
            places.append(place)
            place = int(table[place])
        ends = np.cumsum([length for _, length in where])
        extents: list[tuple[int, int]] = []
        left = stream.size
        for place in places:
            part = int(np.searchsorted(ends, place * _MINI, side="right"))
            if part == len(where):
                raise self._damaged(f"{name} reaches beyond the stream of small streams")
            offset, length = where[part]
            inside = place * _MINI - int(ends[part] - length)
            count = min(_MINI, left, length - inside)
            if count < min(_MINI, left):
                raise self._damaged(f"{name} reaches beyond the stream of small streams")
            extents.append((offset + inside, count))
            left -= count
        return tuple(extents)

    def _damaged(self, why: str) -> ValueError:
        return InputError(f"{self.path} is a truncated or damaged OLE2 file: {why}")


def read_extents(file: BinaryIO, extents: Extents, target: memoryview) -> None:
    """Fill `target` with the bytes at `extents`; ValueError when the file has become shorter."""
    start = 0
    for offset, length in extents:
        file.seek(offset)
        part = target[start : start + length]
        done = 0
        while done < length:
            count = file.readinto(part[done:])  # type: ignore[attr-defined]
            if not count:
                raise InputError(f"{getattr(file, 'name', 'the file')} has become shorter since it was opened")
            done += count
        start += length


def _name(entry: np.void) -> str:
    length = min(max(int(entry["name_bytes"]) - 2, 0), 62)
    return bytes(entry["name"])[:length].decode("utf-16-le", errors="replace").lower()
