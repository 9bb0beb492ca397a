"""Volumes as MetaImage (.mha) and NIfTI (.nii, .nii.gz) files, through SimpleITK.

The image's axes are the world's: direction is the identity, spacing is (x, y, z) mm, and the origin is the world
position of the first voxel's centre. ITK's world is LPS, and it stores NIfTI in RAS with the signs of x and y turned,
so programs that follow either standard see the axes as they are. NIfTI holds spacing and position as float32 and no
provenance; MetaImage holds it in its field `sinograd`, as JSON.

Writing and reading hold a second copy of the volume for the time they take.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.provenance import to_json
from sinograd.errors import InputError
from sinograd.geometry import Grid
from sinograd.io.storage.optional import extra

SUFFIXES = (".mha", ".nii", ".nii.gz")
PACKAGE = "SimpleITK"
MAX_RATIO = 1100  # deflate packs no file more tightly
_FIELD = "sinograd"
_TRAILER = 1 << 16  # bytes that may follow the last voxel


def write(array: np.ndarray, path: Path, record: dict[str, Any]) -> None:
    """Write [z, y, x] or [y, x] with the record's spacing_mm, center_mm and provenance. Raises OSError."""
    sitk: Any = extra(PACKAGE, path)
    grid = Grid(array.shape, record["spacing_mm"], record["center_mm"])
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin([float(axis[0]) for axis in reversed(grid.axes())])
    if path.suffix.lower() == ".mha":
        image.SetMetaData(_FIELD, to_json({"provenance": record["provenance"]}))
    try:
        sitk.WriteImage(image, str(path))
    except RuntimeError as error:
        raise OSError(f"SimpleITK could not write it: {_last_line(error)}") from error


def read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The array and its record; ValueError for a damaged file, several channels or turned axes."""
    sitk: Any = extra(PACKAGE, path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size, dimension = reader.GetSize(), reader.GetDimension()
        while dimension > 3 and size[-1] == 1:
            size, dimension = size[:-1], dimension - 1
        if dimension not in (2, 3) or reader.GetNumberOfComponents() != 1:
            raise InputError(
                f"{path} must be an image or a volume of one channel, got {list(reader.GetSize())} with "
                f"{reader.GetNumberOfComponents()} channels"
            )
        if math.prod(size) > MAX_RATIO * path.stat().st_size:
            raise InputError(f"{path} is truncated: {list(size)} voxels do not fit into {path.stat().st_size:,} bytes")
        if path.suffix.lower() != ".mha":
            _check_nifti(path, math.prod(size))
        origin, direction, spacing = reader.GetOrigin(), reader.GetDirection(), reader.GetSpacing()
        array = sitk.GetArrayFromImage(reader.Execute())
        held = reader.GetMetaData(_FIELD) if reader.HasMetaDataKey(_FIELD) else "{}"
    except RuntimeError as error:
        raise InputError(f"{path} is a truncated or damaged image file: {_last_line(error)}") from error
    stored = reader.GetDimension()
    if not np.allclose(np.reshape(direction, (stored, stored)), np.eye(stored), atol=1e-6):
        raise InputError(f"{path} has turned or reversed axes (direction {direction}), which a grid cannot have")
    array = array.reshape([int(n) for n in reversed(size)])
    middle = [o + (n - 1) / 2 * s for o, n, s in zip(origin, size, spacing, strict=False)]
    record: dict[str, Any] = {"spacing_mm": list(reversed(spacing[:dimension])), "center_mm": middle}
    return array, record | _provenance(held)


def _check_nifti(path: Path, voxels: int) -> None:
    """ValueError when a NIfTI file ends before its last voxel, of which ITK says nothing."""
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            head = file.read(544)
            order = "<" if head[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
            newer = head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
            (bits,) = struct.unpack_from(f"{order}h", head, 14 if newer else 72)
            (start,) = struct.unpack_from(f"{order}q" if newer else f"{order}f", head, 168 if newer else 108)
            if not 0 <= start < math.inf or bits < 1:
                raise InputError(f"{path} is a damaged image file: data from byte {start} on, {bits} bits a voxel")
            needed = int(start) + voxels * bits // 8
            if packed and _packed_size(path) in range(needed, needed + _TRAILER):
                return
            found = path.stat().st_size if not packed else len(head)
            while packed and found < needed and (block := file.read(1 << 20)):
                found += len(block)
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error, OverflowError) as error:
        raise InputError(f"{path} is a truncated or damaged image file: {error}") from error
    if found < needed:
        raise InputError(f"{path} is truncated: it has {found:,} bytes, expected {needed:,}")


def _packed_size(path: Path) -> int:
    """Bytes before packing, up to 4 GB, as the end of a gzip file tells."""
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")


def _provenance(text: str) -> dict[str, Any]:
    try:
        held = json.loads(text)
    except ValueError:
        return {}
    return {"provenance": held.get("provenance")} if isinstance(held, dict) else {}


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
