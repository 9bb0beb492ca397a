"""What a DICOM file may hold, found before pydicom reads it: each element takes microseconds there.

The elements are walked through without looking at their values (DICOM PS3.5, chapter 7), little-endian, with or without
types. Sequences of unknown length are walked into, others count by their length. What is deflated is inflated in parts.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

from sinograd.errors import FormatError
from sinograd.io.storage.digests import file_state

MAGIC, MAGIC_START = b"DICM", 128
_LARGEST_DEFLATED = 1 << 28  # bytes
_MOST_ELEMENTS = 500_000  # thousands of frames have some hundred each
_BYTES_EACH = 16  # of an element in a sequence whose length is known
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_IMPLICIT, _DEFLATED, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_PIXELS, _ITEMS, _UNKNOWN = (0x7FE0, 0x10), 0xFFFE, 0xFFFFFFFF


def check_bounds(path: Path) -> None:
    """FormatError for a file of more than 500,000 elements, or one that inflates beyond 256 MB."""
    _check(path, file_state(path))


@functools.lru_cache(maxsize=4096)
def _check(path: Path, state: tuple[int, ...]) -> None:
    from pydicom.filereader import read_file_meta_info

    with open(path, "rb") as file:
        file.seek(MAGIC_START)
        if file.read(len(MAGIC)) != MAGIC:
            return
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        file.seek(MAGIC_START + len(MAGIC) + 8)  # the length of the meta information is the first of its values
        start = MAGIC_START + len(MAGIC) + 12 + int.from_bytes(file.read(4), "little")
        file.seek(start)
        if syntax == _DEFLATED:
            inflated = _Inflated(file, path)
            _walk(inflated, path, explicit=True)
            inflated.skip(_LARGEST_DEFLATED + 1)
        elif syntax != _BIG_ENDIAN:
            _walk(_Plain(file), path, explicit=syntax != _IMPLICIT)


class _Source(Protocol):
    def read(self, count: int) -> bytes: ...

    def skip(self, count: int) -> None: ...


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, count: int) -> bytes:
        return self.file.read(count)

    def skip(self, count: int) -> None:
        self.file.seek(count, io.SEEK_CUR)


class _Inflated:
    """A deflated stream, of which little is held at once."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._inflate, self._block, self._at, self._length = zlib.decompressobj(-zlib.MAX_WBITS), b"", 0, 0

    def read(self, count: int) -> bytes:
        """The next bytes; fewer at the end."""
        while len(self._block) - self._at < count and (more := self._more()):
            self._block, self._at = self._block[self._at :] + more, 0
        part = self._block[self._at : self._at + count]
        self._at += len(part)
        return part

    def skip(self, count: int) -> None:
        """Pass over the next bytes, as far as there are any."""
        while count > len(self._block) - self._at:
            count -= len(self._block) - self._at
            self._block, self._at = self._more(), 0
            if not self._block:
                return
        self._at += count

    def _more(self) -> bytes:
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(1 << 16)
            part = self._inflate.decompress(packed, 1 << 20)
            self._length += len(part)
            if self._length > _LARGEST_DEFLATED:
                largest = f"{_LARGEST_DEFLATED:,} bytes"
                raise FormatError(f"{self._path}: its data inflate to more than {largest}, which are read")
            if part:
                return part
            if not packed:
                break
        return b""


def _walk(source: _Source, path: Path, *, explicit: bool) -> None:
    """FormatError for too many elements; fragments of packed pixels are none."""
    count, in_pixels = 0, False
    while len(head := source.read(8)) == 8:
        group, number, length = struct.unpack("<HHI", head)
        kind = head[4:6] if explicit and group != _ITEMS and head[4:6].isalpha() and head[4:6].isupper() else b""
        if kind in _LONG:
            length = int.from_bytes(source.read(4), "little")
        elif kind:
            length >>= 16
        count += 1
        if group != _ITEMS:
            in_pixels = (group, number) == _PIXELS and length == _UNKNOWN
        if length != _UNKNOWN:
            nested = kind == b"SQ" or (group == _ITEMS and not in_pixels)
            count += length // _BYTES_EACH if nested else 0
            source.skip(length)
        if count > _MOST_ELEMENTS:
            raise FormatError(f"{path} holds more than {_MOST_ELEMENTS:,} data elements, which are read")
