"""Zarr folders, checked before zarr reads them.

Codecs are names in JSON files, and some of those that are registered (pickle) run what a chunk says. Chunks and
metadata can be links out of the folder, or pipes. Shapes and chunks cost nothing to write down.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sinograd.config.json import load_json
from sinograd.config.shown import shown
from sinograd.errors import FormatError
from sinograd.io.storage.inflation import check_inflation
from sinograd.io.storage.outside import check_inside

METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_MOST_METADATA = 16 << 20  # bytes
_LARGEST_CHUNK = 1 << 29  # bytes
_MOST_CHUNKS = 1_000_000  # that may be missing
_UNCHECKED_BYTES = 1 << 28  # of voxels that no chunk holds
_METHODS = {
    "gzip": "deflate", "zlib": "deflate", "bz2": "bz2", "lzma": "lzma", "zstd": "zstd", "blosc": "blosc", "lz4": "lz4",
}  # fmt: skip
_RATIO = 1100  # of voxels to packed bytes
_PACKED_MORE = 1 << 20  # bytes, beside twice those of its voxels, that a packed chunk may have
_CODECS = {
    "bytes", "gzip", "zstd", "blosc", "crc32c", "transpose", "sharding_indexed", "endian",
    "zlib", "lz4", "lzma", "bz2", "shuffle", "bitshuffle", "delta", "fixedscaleoffset", "quantize", "packbits",
    "bitround", "astype", "adler32", "crc32", "fletcher32", "jenkins_lookup3", "pcodec", "zfpy",
}  # fmt: skip


def check_folder(folder: Path) -> int:
    """Bytes in a Zarr folder; FormatError for files that may not be read, or codecs that are not known as harmless."""
    total = 0
    for entry in _entries(folder):
        if entry.is_symlink():
            path = Path(entry.path)
            check_inside(path, folder / "zarr.json", f"{path.relative_to(folder)}")
        status = entry.stat()
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{entry.path} is neither a file nor a folder")
        total += status.st_size
        if entry.name in METADATA:
            path = Path(entry.path)
            if status.st_size > _MOST_METADATA:
                raise FormatError(f"{path} has {status.st_size:,} bytes, at most {_MOST_METADATA:,} are read")
            _check_codecs(path, _json(path))
    return total


def count_files(folder: Path) -> int:
    """Files in a folder and those below it; 0 where there is none."""
    return sum(not entry.is_dir() for entry in _entries(folder)) if folder.is_dir() else 0


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What a folder and those below it hold; links to folders are not followed."""
    left = [str(folder)]
    while left:
        with os.scandir(left.pop()) as found:
            for entry in found:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)


def check_array(folder: Path, shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int, on_disk: int) -> None:
    """FormatError where an array declares more than its folder can hold, or than can be read chunk by chunk."""
    size = math.prod(shape) * itemsize
    if min(shape, default=1) < 1 or size > max(_UNCHECKED_BYTES, _RATIO * on_disk):
        raise FormatError(f"{shape} voxels do not fit into {on_disk:,} bytes")
    chunk = math.prod(chunks) * itemsize
    if chunk > _LARGEST_CHUNK:
        raise FormatError(f"a chunk of {chunks} voxels has {chunk:,} bytes, at most {_LARGEST_CHUNK:,} are read")
    count = math.prod(-(-n // step) for n, step in zip(shape, chunks, strict=True))
    if count > max(_MOST_CHUNKS, on_disk):
        raise FormatError(f"{shape} voxels are declared in {count:,} chunks of {chunks}")


def _json(path: Path) -> Any:
    try:
        return load_json(path.read_bytes())
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def most_packed(plain: int) -> int:
    """Bytes that a stored chunk may have, of so many of voxels: noise that is packed grows a little."""
    return 2 * plain + _PACKED_MORE


def check_packed(size: int, most: int, path: Path) -> None:
    """FormatError for a chunk with far more bytes than its voxels, before they are read."""
    if size > most:
        raise FormatError(f"{path}: a chunk of {size:,} bytes, expected at most {most:,}")


def check_chunk(folder: Path, key: str, plain: int, inner: int) -> None:
    """FormatError for a stored chunk of the array in `folder` that inflates to more than it should.

    plain: bytes of the voxels of a chunk; inner: chunks in a shard, 1 without shards.
    """
    path = folder / key
    if not path.is_file():
        return
    check_packed(path.stat().st_size, inner * most_packed(plain), path)
    names, sharded = _array_codecs(folder)
    packers = [_METHODS[name] for name in names if name in _METHODS]
    if len(packers) > 1:
        raise FormatError(f"{folder}: its chunks are packed twice ({', '.join(packers)}), which is not read")
    if not packers:
        return
    packed = path.read_bytes()
    parts = [(0, len(packed))] if sharded is None else _shard_index(packed, sharded, inner, path)
    for first, length in parts:
        check_inflation(packed[first : first + length], packers[0], plain, str(path))


def _array_codecs(folder: Path) -> tuple[list[str], dict[str, Any] | None]:
    """Names of the codecs of an array, in order, and what is set for shards (None: there are none)."""
    if (folder / ".zarray").is_file():
        stored = _json(folder / ".zarray")
        entries = [*(stored.get("filters") or ()), stored.get("compressor") or {}]
        return [_short(entry.get("id")) for entry in entries if isinstance(entry, dict)], None
    codecs, sharded = _json(folder / "zarr.json").get("codecs", []), None
    for entry in codecs:
        if isinstance(entry, dict) and entry.get("name") == "sharding_indexed":
            sharded = entry.get("configuration", {})
            codecs = [*codecs, *sharded.get("codecs", [])]
    return [_short(entry.get("name") if isinstance(entry, dict) else entry) for entry in codecs], sharded


def _shard_index(packed: bytes, sharded: dict[str, Any], count: int, path: Path) -> list[tuple[int, int]]:
    """Where the chunks of a shard lie: first bytes and lengths. Zarr specification 3, codec sharding_indexed."""
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in sharded.get("index_codecs", [])]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        raise FormatError(f"{path}: an index of shards by {shown(names)} is not read")
    size = 16 * count
    end = size if sharded.get("index_location") == "start" else len(packed) - (4 if len(names) > 1 else 0)
    index = packed[max(0, end - size) : end]
    pairs = [(index[at : at + 8], index[at + 8 : at + 16]) for at in range(0, len(index), 16)]
    found = [(int.from_bytes(first, "little"), int.from_bytes(length, "little")) for first, length in pairs]
    return [(first, length) for first, length in found if first + length <= len(packed)]


def _check_codecs(path: Path, value: Any) -> set[str]:
    """FormatError for an unknown codec at any depth: {"id": ...} of version 2, {"name": ...} of version 3."""
    left, found = [(value, "")], set[str]()
    while left:
        held, key = left.pop()
        if isinstance(held, dict):
            name = held.get("id") if key in ("filters", "compressor") else held.get("name")
            if key in ("filters", "compressor", "codecs", "index_codecs") and name is not None:
                found.add(_codec(path, name))
            left += [(inner, name) for name, inner in held.items()]
        elif isinstance(held, list):
            left += [(inner, key) for inner in held]
            if key in ("codecs", "index_codecs"):
                found |= {_codec(path, inner) for inner in held if isinstance(inner, str)}
    return found


def _codec(path: Path, name: Any) -> str:
    short = _short(name)
    if short not in _CODECS:
        raise FormatError(f"{path}: the codec {shown(name)} is not read")
    return short


def _short(name: Any) -> str:
    return name.lower().removeprefix("numcodecs.") if isinstance(name, str) else ""
