"""Volumes as MetaImage (.mha), NIfTI (.nii, .nii.gz) and other files of SimpleITK.

The image's axes are the world's: direction is the identity, spacing is (x, y, z) mm, and the origin is the world
position of the first voxel's centre. ITK's world is LPS, and it stores NIfTI in RAS with the signs of x and y turned,
so programs that follow either standard see the axes as they are. Booleans are stored as uint8, float16 as float32.

MetaImage holds unit and provenance in its field `sinograd`, as JSON. NIfTI holds spacing and position as float32, the
unit as the word `unit=HU` of its field descrip (80 bytes), and no provenance.

Writing and reading hold a second copy of the volume for the time they take.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.files.inputs import reading
from sinograd.io.storage.optional import extra
from sinograd.io.volumes.format import VolumeFormat, as_array, record_of, volume_of

PACKAGE = "SimpleITK"
MAX_RATIO = 1100  # deflate packs no file more tightly
FIELD = "sinograd"
_TRAILER = 1 << 16  # bytes that may follow the last voxel
_HEADER_SIZES, _MARKS = {348, 540}, (b"n+1\0", b"n+2\0")


class ItkFormat(VolumeFormat):
    """What the formats that SimpleITK reads and writes have in common."""

    def fields(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The fields of a file that hold what is not in the image."""
        return {FIELD: to_json({name: record[name] for name in ("unit", "dtype", "provenance") if name in record})}

    def record(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """What the fields of a file tell."""
        try:
            record = json.loads(fields.get(FIELD, "{}"))
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    def check_size(self, path: Path, voxels: int) -> None:
        """FormatError when a file ends before its last voxel, where ITK does not say so itself."""

    def read(self, path: Path) -> Volume:
        """The volume; FormatError for a damaged file, several channels or turned axes."""
        sitk: Any = extra(PACKAGE, path)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(reading(path)))
        try:
            reader.ReadImageInformation()
            shape = self._shape(reader, path)
            self.check_size(path, math.prod(shape))
            origin, direction, spacing = reader.GetOrigin(), reader.GetDirection(), reader.GetSpacing()
            fields = {name: _text(reader.GetMetaData(name)) for name in reader.GetMetaDataKeys()}
            array = sitk.GetArrayFromImage(reader.Execute())
        except (RuntimeError, TypeError) as error:  # TypeError: names of fields that are no text
            raise FormatError(f"{path} is a truncated or damaged image file: {_last_line(error)}") from error
        stored = reader.GetDimension()
        if not np.allclose(np.reshape(direction, (stored, stored)), np.eye(stored), atol=1e-6):
            raise FormatError(f"{path} has turned or reversed axes (direction {direction}), which a grid cannot have")
        size = shape[::-1]
        middle = [o + (n - 1) / 2 * s for o, n, s in zip(origin, size, spacing, strict=False)]
        record: dict[str, Any] = {"spacing_mm": list(reversed(spacing[: len(shape)])), "center_mm": middle}
        return volume_of(array.reshape(shape), {**self.record(fields), **record}, path)

    def write(self, volume: Volume, path: Path) -> None:
        """The image and its fields."""
        sitk: Any = extra(PACKAGE, path)
        array = as_array(volume)
        stored = {"bool": "uint8", "float16": "float32"}.get(array.dtype.name, array.dtype.name)
        image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=stored))
        image.SetSpacing(volume.grid.spacing[::-1])
        image.SetOrigin([float(axis[0]) for axis in reversed(volume.grid.axes())])
        for name, text in self.fields(record_of(volume)).items():
            image.SetMetaData(name, text)
        try:
            sitk.WriteImage(image, str(path))
        except RuntimeError as error:
            raise OSError(f"SimpleITK could not write it: {_last_line(error)}") from error

    def _shape(self, reader: Any, path: Path) -> tuple[int, ...]:
        """Z, y, x or y, x; axes of one element behind them are left out."""
        size, dimension = reader.GetSize(), reader.GetDimension()
        while dimension > 3 and size[-1] == 1:
            size, dimension = size[:-1], dimension - 1
        if dimension not in (2, 3) or reader.GetNumberOfComponents() != 1:
            raise FormatError(
                f"{path} must be an image or a volume of one channel, got {list(reader.GetSize())} with "
                f"{reader.GetNumberOfComponents()} channels"
            )
        if math.prod(size) > MAX_RATIO * path.stat().st_size:
            raise FormatError(f"{path} is truncated: {list(size)} voxels do not fit into {path.stat().st_size:,} bytes")
        return tuple(int(n) for n in reversed(size))


class MetaImage(ItkFormat):
    """A .mha file: header and voxels in one."""

    unit_place = "`unit` of the JSON text in the header's field `sinograd`"

    def matches(self, path: Path, head: bytes) -> bool:
        """A header of lines `Name = value`, with the ones that every MetaImage starts with."""
        return b"ObjectType = Image" in head and b"NDims =" in head


class Nifti(ItkFormat):
    """A .nii or .nii.gz file, of version 1 or 2."""

    keeps = frozenset({"unit", "dtype"})
    unit_place = "the word `unit=...` in the header's field descrip"

    def fields(self, record: Mapping[str, Any]) -> dict[str, str]:
        """descrip, "sinograd unit=HU"; ITK calls it ITK_FileNotes."""
        words = [f"{name}={record[name]}" for name in ("unit", "dtype") if name in record]
        return {"ITK_FileNotes": " ".join([FIELD, *words])}

    def record(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Unit and dtype from the field descrip, where sinograd wrote it."""
        text = fields.get("ITK_FileNotes", "")
        if not text.startswith(f"{FIELD} "):
            return {}
        return {name: value for name, value in re.findall(r" (unit|dtype)=(\S+)", text)}

    def matches(self, path: Path, head: bytes) -> bool:
        """The size of the header and the mark at its end, packed or not."""
        if head.startswith(b"\x1f\x8b"):
            try:
                head = zlib.decompressobj(31).decompress(head, 1024)
            except zlib.error:
                return False
        sizes = {int.from_bytes(head[:4], order) for order in ("little", "big")}
        return bool(sizes & _HEADER_SIZES) and (head[344:348] in _MARKS or head[4:8] in _MARKS)

    def check_size(self, path: Path, voxels: int) -> None:
        """FormatError when a file ends before its last voxel, of which ITK says nothing."""
        packed = path.suffix.lower() == ".gz"
        try:
            with gzip.open(path) if packed else open(path, "rb") as file:
                head = file.read(544)
                order = "<" if head[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
                newer = head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
                (bits,) = struct.unpack_from(f"{order}h", head, 14 if newer else 72)
                (start,) = struct.unpack_from(f"{order}q" if newer else f"{order}f", head, 168 if newer else 108)
                if not 0 <= start < math.inf or bits < 1:
                    raise FormatError(f"{path} is a damaged image file: data from byte {start} on, {bits} bits a voxel")
                needed = int(start) + voxels * bits // 8
                if packed and _packed_size(path) in range(needed, needed + _TRAILER):
                    return
                length = path.stat().st_size if not packed else len(head)
                while packed and length < needed and (block := file.read(1 << 20)):
                    length += len(block)
        except (EOFError, zlib.error, gzip.BadGzipFile, struct.error, OverflowError) as error:
            raise FormatError(f"{path} is a truncated or damaged image file: {error}") from error
        if length < needed:
            raise FormatError(f"{path} is truncated: it has {length:,} bytes, expected {needed:,}")


def _packed_size(path: Path) -> int:
    """Bytes before packing, up to 4 GB, as the end of a gzip file tells."""
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")


def _text(value: Any) -> str:
    """A field of a header, which damage can make bytes of no encoding."""
    return value if isinstance(value, str) else str(value)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
