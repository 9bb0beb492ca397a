"""Chunks of Zarr arrays, read from their files without zarr: of a shard its index and the chunks that are needed.

zarr unpacks a chunk of a shard in about a millisecond whatever its size, and a plane across a volume of 2048^3 meets
thousands. Here are the arrays that volumes are stored as: versions 2 and 3, chunks in C order, one packer at most,
shards of one depth. `chunks_of` gives None for others, which zarr reads.

Zarr specification 3, with the codecs bytes, gzip, zstd, blosc, crc32c and sharding_indexed; Zarr storage
specification 2.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.errors import FormatError
from sinograd.io.storage.inflation import check_inflation
from sinograd.io.storage.zarr_checks import check_packed, most_packed

_PACKERS = {"gzip": "deflate", "zlib": "deflate", "zstd": "zstd", "blosc": "blosc", "bz2": "bz2", "lzma": "lzma"}
_THREADS = 4
_WORTH_THREADS = 1 << 20  # bytes of voxels
_MISSING = 2**64 - 1  # place and length of a chunk that a shard does not have
_CRC_BYTES = 4

Place = tuple[slice, ...]
"""Along all axes, each with a start and a stop."""


@dataclass(frozen=True)
class ZarrChunks:
    """An array whose chunks can be read here.

    Attributes:
        folder: of the array.
        shape: of the array.
        chunks: of what is unpacked at once.
        shards: of a file; as `chunks` where every chunk has a file.
        dtype: as it is stored, with its byte order.
        fill: the value of chunks that are missing.
        key: prefix and separator of the names of files: ("c", "/").
        packer: numcodecs' settings as JSON text; "" where chunks are not packed.
        checked: whether a chunk ends with its CRC-32C.
        index: where a shard's index is, "start" or "end", "" without shards.
        index_checked: whether it ends with its CRC-32C.
    """

    folder: Path
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: Any
    key: tuple[str, str]
    packer: str = ""
    checked: bool = False
    index: str = ""
    index_checked: bool = False

    def read(self, place: Place) -> np.ndarray:
        """Voxels of a box in the type that the file stores, in this machine's byte order.

        Raises FormatError, which names the file, for chunks that are damaged or unpack to another size.
        """
        values = np.empty([part.stop - part.start for part in place], self.dtype.newbyteorder("="))
        if not values.size:
            return values
        shards = list(_numbers(place, self.shards))
        if len(shards) > 1 and values.nbytes >= _WORTH_THREADS:
            with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "chunks") as pool:
                for _ in pool.map(lambda shard: self._fill(values, place, shard), shards):
                    pass
        else:
            for shard in shards:
                self._fill(values, place, shard)
        return values

    def _fill(self, values: np.ndarray, place: Place, shard: tuple[int, ...]) -> None:
        """What a file holds of the box."""
        path = self.folder.joinpath(self._name(shard))
        first = [number * step for number, step in zip(shard, self.shards, strict=True)]
        own = _common(place, first, self.shards)
        try:
            with open(path, "rb", buffering=0) as file:
                index = self._index(file, path) if self.index else None
                for chunk in _numbers(own, self.chunks):
                    start = [number * step for number, step in zip(chunk, self.chunks, strict=True)]
                    box = _common(own, start, self.chunks)
                    target = values[tuple(_moved(box, [part.start for part in place]))]
                    packed = self._packed(file, index, chunk, path)
                    if packed is None:
                        target[...] = self.fill
                    else:
                        target[...] = self._unpacked(packed, path)[tuple(_moved(box, start))]
        except FileNotFoundError:
            values[tuple(_moved(own, [part.start for part in place]))] = self.fill

    def _name(self, number: tuple[int, ...]) -> str:
        prefix, separator = self.key
        return separator.join([*([prefix] if prefix else []), *map(str, number)])

    def _index(self, file: FileIO, path: Path) -> np.ndarray:
        """First bytes and lengths [..., 2] of a shard's chunks."""
        counts = [outer // inner for outer, inner in zip(self.shards, self.chunks, strict=True)]
        plain = 16 * math.prod(counts)
        size = plain + _CRC_BYTES * self.index_checked
        end = file.seek(0, os.SEEK_END)
        file.seek(0 if self.index == "start" else max(0, end - size))
        text = file.read(size)
        if len(text) < size or (self.index_checked and not _crc_fits(text)):
            raise FormatError(f"{path}: the index of its chunks is damaged")
        return np.frombuffer(text[:plain], "<u8").reshape(*counts, 2)

    def _packed(self, file: FileIO, index: np.ndarray | None, chunk: tuple[int, ...], path: Path) -> bytes | None:
        """The bytes of a chunk; None where there are none."""
        most = most_packed(math.prod(self.chunks) * self.dtype.itemsize)
        end = os.fstat(file.fileno()).st_size
        if index is None:
            check_packed(end, most, path)
            return file.read()
        inside = tuple(number % count for number, count in zip(chunk, index.shape[:-1], strict=True))
        first, length = (int(number) for number in index[inside])
        if first == length == _MISSING:
            return None
        if first + length > end:
            raise FormatError(f"{path}: a chunk ends behind the end of the file")
        check_packed(length, most, path)
        file.seek(first)
        return file.read(length)

    def _unpacked(self, packed: bytes, path: Path) -> np.ndarray:
        """The voxels of a chunk."""
        plain = math.prod(self.chunks) * self.dtype.itemsize
        if self.checked:
            if not _crc_fits(packed):
                raise FormatError(f"{path}: a chunk does not have the checksum that it should have")
            packed = packed[:-_CRC_BYTES]
        if self.packer:
            packer = _packer(self.packer)
            check_inflation(packed, _PACKERS[packer.codec_id], plain, str(path))
            # Blosc believes its header and reads on behind bytes that were cut
            if packer.codec_id == "blosc" and int.from_bytes(packed[12:16], "little") != len(packed):
                raise FormatError(f"{path}: a chunk cannot be unpacked: it was cut")
            try:
                packed = packer.decode(packed)
            except Exception as error:  # every packer has errors of its own
                raise FormatError(f"{path}: a chunk cannot be unpacked: {error}") from error
        voxels = np.frombuffer(packed, np.uint8)
        if voxels.size != plain:
            raise FormatError(f"{path}: a chunk has {voxels.size:,} bytes of voxels, expected {plain:,}")
        return voxels.view(self.dtype).reshape(self.chunks)


def chunks_of(folder: Path, array: Any) -> ZarrChunks | None:
    """A Zarr array of a folder whose chunks can be read here; None for another one."""
    found = array.metadata.to_dict()
    made = _of_version_2(found) if found["zarr_format"] == 2 else _of_version_3(found)
    if made is None or array.dtype.kind not in "fiub":
        return None
    outer = tuple(int(n) for n in (array.shards or array.chunks))
    inner = tuple(int(n) for n in array.chunks)
    if any(n % m for n, m in zip(outer, inner, strict=True)) or not inner:
        return None
    order = made.pop("order", "=")
    dtype = np.dtype(array.dtype).newbyteorder(order) if order != "=" else np.dtype(array.dtype)
    fill = 0 if array.fill_value is None else array.fill_value
    shape = tuple(int(n) for n in array.shape)
    return ZarrChunks(folder / str(array.path), shape, inner, outer, dtype, fill, **made)


def _of_version_2(found: dict[str, Any]) -> dict[str, Any] | None:
    if found.get("order") != "C" or found.get("filters"):
        return None
    compressor = found.get("compressor")
    if compressor is None:
        packer = ""
    elif isinstance(compressor, dict) and compressor.get("id") in _PACKERS:
        packer = json.dumps(compressor)
    else:
        return None
    return {"key": ("", found.get("dimension_separator", ".")), "packer": packer}


def _of_version_3(found: dict[str, Any]) -> dict[str, Any] | None:
    encoding = found["chunk_key_encoding"]
    if encoding.get("name") != "default":
        return None
    made: dict[str, Any] = {"key": ("c", encoding.get("configuration", {}).get("separator", "/"))}
    codecs = _named(found["codecs"])
    if [name for name, _ in codecs] == ["sharding_indexed"]:
        sharding = codecs[0][1]
        last = [name for name, _ in _named(sharding.get("index_codecs", ()))]
        if last not in (["bytes"], ["bytes", "crc32c"]):
            return None
        if any(given.get("endian", "little") != "little" for _, given in _named(sharding["index_codecs"])):
            return None
        made |= {"index": sharding.get("index_location", "end"), "index_checked": len(last) > 1}
        codecs = _named(sharding["codecs"])
    chain = _chain(codecs)
    return None if chain is None else {**made, **chain}


def _chain(codecs: list[tuple[str, dict[str, Any]]]) -> dict[str, Any] | None:
    """Of bytes, then perhaps a packer, then perhaps a checksum; None for another order."""
    if not codecs or codecs[0][0] != "bytes":
        return None
    made: dict[str, Any] = {"order": ">" if codecs[0][1].get("endian") == "big" else "<"}
    rest = codecs[1:]
    if rest and rest[0][0] in ("gzip", "zstd", "blosc"):
        made["packer"] = json.dumps({"id": rest.pop(0)[0]})
    if rest and rest[0][0] == "crc32c":
        rest.pop(0)
        made["checked"] = True
    return None if rest else made


def _named(codecs: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(codec["name"], codec.get("configuration") or {}) for codec in codecs]


@functools.lru_cache(16)
def _packer(settings: str) -> Any:
    import numcodecs

    return numcodecs.get_codec(json.loads(settings))


def _crc_fits(text: bytes) -> bool:
    """Whether the last four bytes are the CRC-32C (RFC 3720) of those before."""
    crc: Callable[[bytes], int] = _crc()
    return len(text) >= _CRC_BYTES and crc(text[:-_CRC_BYTES]) == int.from_bytes(text[-_CRC_BYTES:], "little")


@functools.cache
def _crc() -> Callable[[bytes], int]:
    import google_crc32c  # which zarr needs itself

    return google_crc32c.value


def _numbers(place: Place, steps: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Of the chunks of this size that a box meets."""
    return product(*(range(p.start // step, -(-p.stop // step)) for p, step in zip(place, steps, strict=True)))


def _common(place: Place, first: list[int], size: tuple[int, ...]) -> Place:
    """What a box has in common with a block of this size."""
    return tuple(
        slice(max(part.start, low), min(part.stop, low + count))
        for part, low, count in zip(place, first, size, strict=True)
    )


def _moved(place: Place, start: list[int]) -> Place:
    """A box as seen from another first voxel."""
    return tuple(slice(part.start - low, part.stop - low) for part, low in zip(place, start, strict=True))
