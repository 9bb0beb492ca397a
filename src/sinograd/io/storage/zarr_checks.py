"""Zarr folders, checked before zarr reads them.

Codecs are names in JSON files, and some of those that are registered (pickle) run what a chunk says. Chunks and
metadata can be links out of the folder, or pipes. Shapes and chunks cost nothing to write down.
"""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Any

from sinograd.config.json import load_json
from sinograd.config.shown import shown
from sinograd.errors import FormatError
from sinograd.io.storage.outside import check_inside

METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
_MOST_METADATA = 16 << 20  # bytes
_LARGEST_CHUNK = 1 << 29  # bytes
_MOST_CHUNKS = 1_000_000  # that may be missing
_UNCHECKED_BYTES = 1 << 28  # of voxels that no chunk holds
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_RATIO = 1100  # of voxels to packed bytes
_CODECS = {
    "bytes", "gzip", "zstd", "blosc", "crc32c", "transpose", "sharding_indexed", "endian",
    "zlib", "lz4", "lzma", "bz2", "shuffle", "bitshuffle", "delta", "fixedscaleoffset", "quantize", "packbits",
    "bitround", "astype", "adler32", "crc32", "fletcher32", "jenkins_lookup3", "pcodec", "zfpy",
}  # fmt: skip


def check_folder(folder: Path) -> int:
    """Bytes in a Zarr folder; FormatError for files that may not be read, or codecs that are not known as harmless."""
    total, codecs, chunks = 0, set[str](), list[Path]()
    for path in folder.rglob("*"):
        if path.is_symlink():
            check_inside(path, folder / "zarr.json", f"{path.relative_to(folder)}")
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{path} is neither a file nor a folder")
        total += status.st_size
        if path.name in METADATA:
            if status.st_size > _MOST_METADATA:
                raise FormatError(f"{path} has {status.st_size:,} bytes, at most {_MOST_METADATA:,} are read")
            codecs |= _check_codecs(path, _json(path))
        else:
            chunks.append(path)
    for path in chunks:
        _check_inflated(path, codecs)
    return total


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


def _check_inflated(path: Path, codecs: set[str]) -> None:
    """FormatError for a chunk whose first or last bytes say that it inflates to more than a chunk may have."""
    with open(path, "rb") as file:
        head = file.read(18)
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read(4)
    size = 0
    if "zstd" in codecs and head.startswith(_ZSTD) and len(head) == 18:  # RFC 8878, section 3.1.1.1
        flag, single = head[4] >> 6, head[4] >> 5 & 1
        start = 5 + (0 if single else 1) + (0, 1, 2, 4)[head[4] & 3]
        width = (single, 2, 4, 8)[flag]
        size = int.from_bytes(head[start : start + width], "little")
    elif "gzip" in codecs and head.startswith(_GZIP):
        size = int.from_bytes(tail, "little")
    elif "blosc" in codecs and head[:1] == b"\x02":
        size = int.from_bytes(head[4:8], "little")
    if size > _LARGEST_CHUNK:
        raise FormatError(f"{path} inflates to {size:,} bytes, at most {_LARGEST_CHUNK:,} of a chunk are read")


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
    short = name.lower().removeprefix("numcodecs.") if isinstance(name, str) else ""
    if short not in _CODECS:
        raise FormatError(f"{path}: the codec {shown(name)} is not read")
    return short
