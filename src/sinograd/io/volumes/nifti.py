"""Volumes as NIfTI files (.nii, .nii.gz), of version 1 or 2, through SimpleITK.

Spacing and position are float32, the unit is the word `unit=HU` of the field descrip (80 bytes); there is no
provenance. SimpleITK reads a file after its header was checked here (https://nifti.nimh.nih.gov/nifti-1): its reader
trusts sizes and types.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from sinograd.data.memory import check_memory
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.optional import extra
from sinograd.io.storage.quiet import without_native_output
from sinograd.io.volumes.itk import FIELD, PACKAGE, ItkFormat, Placed, last_line, turned_volume

_MAX_RATIO = 1100  # deflate packs no file more tightly
_TRAILER = 1 << 16  # bytes that may follow the last voxel
_MOST_EXTENSIONS = 16 << 20  # bytes
_HEADER_SIZES, _MARKS = {348, 540}, (b"n+1\0", b"n+2\0")
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}


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

    def read(self, path: Path) -> Volume:
        """The volume; FormatError for a damaged file, several channels or oblique axes."""
        shape = _checked(path)
        sitk: Any = extra(PACKAGE, path)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("NiftiImageIO")
        reader.SetFileName(str(path))
        try:
            with without_native_output():
                reader.ReadImageInformation()
                placed = Placed(reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
                fields = {name: str(reader.GetMetaData(name)) for name in reader.GetMetaDataKeys()}
                array = sitk.GetArrayFromImage(reader.Execute())
        except (RuntimeError, TypeError) as error:  # TypeError: names of fields that are no text
            raise FormatError(f"{path} is a truncated or damaged image file: {last_line(error)}") from error
        if array.size != math.prod(shape):
            raise FormatError(f"{path} is a damaged image file: {list(array.shape)} voxels, expected {list(shape)}")
        return turned_volume(path, array.reshape(shape), placed, self.record(fields))


@dataclass(frozen=True)
class _Header:
    """What the fixed part of a header says."""

    size: tuple[int, ...]
    datatype: int
    bits: int
    start: float
    length: int
    order: str

    @classmethod
    def of(cls, head: bytes) -> _Header:
        """Raises struct.error for a short one."""
        newer = head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
        order = "<" if head[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
        size = struct.unpack_from(f"{order}8q" if newer else f"{order}8h", head, 16 if newer else 40)
        datatype, bits = struct.unpack_from(f"{order}2h", head, 12 if newer else 70)
        (start,) = struct.unpack_from(f"{order}q" if newer else f"{order}f", head, 168 if newer else 108)
        return cls(size, datatype, bits, start, 540 if newer else 348, order)


def _checked(path: Path) -> tuple[int, ...]:
    """Z, y, x or y, x of a file whose header fits it; FormatError for others."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise FormatError(f"{path}: the name of a NIfTI file must end in .nii or .nii.gz")
    packed = path.suffix.lower() == ".gz"
    try:
        with _opened(path, packed) as file:
            head = file.read(544)
            if not Nifti().matches(path, head):
                raise FormatError(f"{path} is no NIfTI file: it starts with {head[:8]!r}")
            header = _Header.of(head)
            shape = _shape(path, header)
            needed = _bytes(path, header, math.prod(shape))
            _check_extensions(path, header, file)
            length = _length(path, file, needed) if packed else path.stat().st_size
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error, OverflowError) as error:
        raise FormatError(f"{path} is a truncated or damaged image file: {error}") from error
    if length < needed:
        raise FormatError(f"{path} is truncated: it has {length:,} bytes, expected {needed:,}")
    check_memory(2 * needed, str(path))
    return shape


def _opened(path: Path, packed: bool) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if packed else open(path, "rb")


def _shape(path: Path, header: _Header) -> tuple[int, ...]:
    axes = header.size[0]
    size = header.size[1 : axes + 1] if 1 <= axes <= 7 else ()
    if not size or min(size) < 1:
        raise FormatError(f"{path} is a damaged image file: {axes} axes of {list(header.size[1:])} voxels")
    while len(size) > 3 and size[-1] == 1:
        size = size[:-1]
    if len(size) not in (2, 3):
        raise FormatError(f"{path} must be an image or a volume of one channel, got {list(size)} with 1 channels")
    return tuple(reversed(size))


def _bytes(path: Path, header: _Header, voxels: int) -> int:
    """Bytes of the whole file, unpacked."""
    if not 0 <= header.start < math.inf or header.bits < 1:
        raise FormatError(
            f"{path} is a damaged image file: data from byte {header.start} on, {header.bits} bits a voxel"
        )
    if _BITS.get(header.datatype) != header.bits:
        raise FormatError(
            f"{path} is a damaged image file, or holds no grey values: type {header.datatype} of {header.bits} bits"
        )
    needed = int(header.start) + voxels * header.bits // 8
    if needed > _MAX_RATIO * path.stat().st_size:
        raise FormatError(f"{path} is truncated: {voxels:,} voxels do not fit into {path.stat().st_size:,} bytes")
    return needed


def _check_extensions(path: Path, header: _Header, file: BinaryIO) -> None:
    """FormatError for extensions of the header (blocks of multiples of 16 bytes) that do not end before the voxels."""
    file.seek(header.length)
    flag = file.read(4)
    if not flag or flag[0] == 0:
        return
    place, end = header.length + 4, int(header.start)
    if end - place > _MOST_EXTENSIONS:
        raise FormatError(f"{path} is a damaged image file: its header has {end:,} bytes")
    while place + 8 <= end:
        file.seek(place)
        (size,) = struct.unpack(f"{header.order}i", file.read(4))
        if size < 16 or size % 16 or place + size > end:
            raise FormatError(f"{path} is a damaged image file: an extension of {size:,} bytes at byte {place:,}")
        place += size


def _length(path: Path, file: BinaryIO, needed: int) -> int:
    """Bytes of a packed file, unpacked: as its end tells, or counted up to `needed`."""
    with open(path, "rb") as raw:
        raw.seek(-4, os.SEEK_END)
        told = int.from_bytes(raw.read(4), "little")
    if told in range(needed, needed + _TRAILER):
        return told
    file.seek(0)
    length = 0
    while length < needed and (block := file.read(1 << 20)):
        length += len(block)
    return length
