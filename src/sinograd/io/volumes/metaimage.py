"""Volumes as MetaImage files: .mha, header and voxels in one, or a header .mhd beside its voxels.

Read here, field by field (https://itk.org/Wiki/ITK/MetaIO/Documentation), and written by SimpleITK: the readers of ITK
open whatever file or pattern a header names, and crash at impossible sizes. Voxels in another file are read where it
lies in the header's folder (`sinograd.io.storage.outside`); lists and patterns of files are refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sinograd.config.regular_files import check_regular
from sinograd.config.shown import shown
from sinograd.data.volume import Volume
from sinograd.errors import FormatError, MissingFileError
from sinograd.io.storage.outside import check_inside
from sinograd.io.storage.voxels import Voxels
from sinograd.io.volumes.itk import ItkFormat, Placed, placed_volume

_LONGEST = 4 << 20  # bytes of a header
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip


class MetaImage(ItkFormat):
    """A .mha file, or a .mhd header."""

    unit_place = "`unit` of the JSON text in the header's field `sinograd`"

    def matches(self, path: Path, head: bytes) -> bool:
        """A header of lines `Name = value`, with the ones that every MetaImage starts with."""
        return b"ObjectType = Image" in head and b"NDims =" in head

    def open(self, path: Path) -> Volume:
        """The volume; raw voxels are read slice by slice. FormatError naming file and field for a damaged header."""
        header = _Header.of(path)
        return placed_volume(path, header.voxels(), header.placed(), self.record(header.fields))


@dataclass(frozen=True)
class _Header:
    path: Path
    fields: dict[str, str]
    end: int

    @classmethod
    def of(cls, path: Path) -> _Header:
        """The fields up to ElementDataFile, and where the header ends."""
        with open(path, "rb") as file:
            content = file.read(_LONGEST)
        fields: dict[str, str] = {}
        place = 0
        while place < len(content):
            end = content.find(b"\n", place)
            end = len(content) if end < 0 else end
            line = content[place:end].decode("utf-8", errors="replace")
            place = end + 1
            name, sign, value = line.partition("=") if "=" in line else line.partition(":")
            name = name.strip()
            if not sign or not name or name in fields:
                what = "is given twice" if name in fields else "is no line `Name = value`"
                raise FormatError(f"{path} is a truncated or damaged image file: {shown(name[:80], 40)} {what}")
            fields[name] = value.strip()
            if name == "ElementDataFile":
                return cls(path, fields, place)
        raise FormatError(f"{path} is a truncated or damaged image file: its header has no ElementDataFile")

    def voxels(self) -> Voxels:
        """Where the voxels are; FormatError where they cannot be."""
        ndims = self._counts("NDims", 1)[0]
        if not 1 <= ndims <= 10:
            raise self._wrong("NDims", "a number of axes from 1 to 10")
        size = self._counts("DimSize", ndims)
        channels = self._counts("ElementNumberOfChannels", 1, "1")[0]
        while len(size) > 3 and size[-1] == 1:
            size = size[:-1]
        if len(size) not in (2, 3) or channels != 1:
            raise FormatError(
                f"{self.path} must be an image or a volume of one channel, got {shown(size)} with {channels} channels"
            )
        if self.fields.get("ElementType") not in _TYPES:
            raise self._wrong("ElementType", f"one of {', '.join(_TYPES)}")
        order = self.fields.get("BinaryDataByteOrderMSB", self.fields.get("ElementByteOrderMSB", "False"))
        dtype = np.dtype((">" if _is_true(order) else "<") + _TYPES[self.fields["ElementType"]])
        packing = "deflate" if _is_true(self.fields.get("CompressedData", "False")) else "raw"
        packing = packing if _is_true(self.fields.get("BinaryData", "True")) else "text"
        voxels = Voxels(self._file(), self._offset(size, dtype), tuple(reversed(size)), dtype, packing)
        voxels.check()
        return voxels

    def placed(self) -> Placed:
        """Where the voxels lie in the world."""
        ndims = self._counts("NDims", 1)[0]
        identity = " ".join("1" if i % (ndims + 1) == 0 else "0" for i in range(ndims * ndims))
        spacing = self._first(("ElementSpacing", "ElementSize"), ndims, " ".join("1" * ndims))
        origin = self._first(("Offset", "Position", "Origin"), ndims, " ".join("0" * ndims))
        direction = self._first(("TransformMatrix", "Rotation", "Orientation"), ndims * ndims, identity)
        # a row is the direction of an axis here, a column in a matrix of directions
        return Placed(spacing, origin, tuple(np.reshape(direction, (ndims, ndims)).T.ravel().tolist()))

    def _file(self) -> Path:
        """The file of the voxels, which may be read."""
        name = self.fields["ElementDataFile"]
        if name.upper() == "LOCAL":
            return self.path
        if not name or name.upper().split()[0] == "LIST" or "%" in name or "\0" in name:
            raise FormatError(f"{self.path}: voxels in lists of files are not read (ElementDataFile = {shown(name)})")
        file = check_inside(self.path.parent / name, self.path, "ElementDataFile")
        check_regular(file)
        if not file.is_file():
            raise MissingFileError(f"{self.path}: its voxels are in {name}, which does not exist")
        return file

    def _offset(self, size: tuple[int, ...], dtype: np.dtype) -> int:
        file = self._file()
        start = self.end if file == self.path else 0
        skipped = self._counts("HeaderSize", 1, "0", least=-1)[0]
        if skipped == -1:
            return max(start, file.stat().st_size - math.prod(size) * dtype.itemsize)
        return start if file == self.path else skipped

    def _first(self, names: tuple[str, ...], count: int, default: str) -> tuple[float, ...]:
        name = next((name for name in names if name in self.fields), names[0])
        words = self.fields.get(name, default).split()
        try:
            numbers = tuple(float(word) for word in words)
        except ValueError:
            numbers = ()
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise self._wrong(name, f"{count} numbers")
        return numbers

    def _counts(self, name: str, count: int, default: str = "", least: int = 1) -> tuple[int, ...]:
        words = self.fields.get(name, default).split()
        good = len(words) == count and all(re.fullmatch(r"-?\d{1,15}", word) for word in words)
        numbers = tuple(int(word) for word in words) if good else ()
        if not good or min(numbers) < least:
            raise self._wrong(name, f"{count} whole number{'s' * (count != 1)} of at least {least}")
        return numbers

    def _wrong(self, name: str, expected: str) -> FormatError:
        came = shown(self.fields.get(name, ""))
        return FormatError(f"{self.path} is a truncated or damaged image file: {name} must be {expected}, got {came}")


def _is_true(text: str) -> bool:
    return text[:1].upper() in ("T", "1")
