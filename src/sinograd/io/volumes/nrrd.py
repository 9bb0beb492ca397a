"""Volumes as NRRD files (.nrrd), header and voxels in one.

`space origin` is the centre of the first voxel, `space directions` hold the voxel sizes in mm, in the space
left-posterior-superior, whose axes are the world's (https://teem.sourceforge.net/nrrd/format.html). Unit and provenance
are JSON text under the key `sinograd`: a line `sinograd:={...}` of the header. Booleans are stored as uint8, float16 as
float32. Files are read here, field by field, and written by SimpleITK. Headers whose data lie in another file are
refused, and encodings other than raw, gzip and text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sinograd.config.shown import shown
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.voxels import Voxels
from sinograd.io.volumes.itk import ItkFormat, Placed, placed_volume

_MAGIC = b"NRRD000"
_LONGEST = 4 << 20  # bytes of a header
_TYPES = {
    "i1": "signed char, int8, int8_t", "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t", "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float", "f8": "double",
}  # fmt: skip
_DTYPES = {name: dtype for dtype, names in _TYPES.items() for name in names.split(", ")}
_PACKINGS = {"raw": "raw", "gzip": "deflate", "gz": "deflate", "text": "text", "txt": "text", "ascii": "text"}
_TO_LPS = {"l": 1.0, "r": -1.0, "p": 1.0, "a": -1.0, "s": 1.0, "i": -1.0}
_SHORT = {"left": "l", "right": "r", "posterior": "p", "anterior": "a", "superior": "s", "inferior": "i"}
_SCALAR = ("domain", "space", "none", "???", "time")


class Nrrd(ItkFormat):
    """A .nrrd file: header and voxels in one."""

    unit_place = "`unit` of the JSON text in the header's key `sinograd`"

    def matches(self, path: Path, head: bytes) -> bool:
        """The first line is NRRD and a version."""
        return head.startswith(_MAGIC)

    def open(self, path: Path) -> Volume:
        """The volume; raw voxels are read slice by slice. FormatError naming file and field for a damaged header."""
        header = _Header.of(path)
        voxels = header.voxels()
        return placed_volume(path, voxels, header.placed(), self.record(header.keys))


@dataclass(frozen=True)
class _Header:
    path: Path
    fields: dict[str, str]
    keys: dict[str, str]
    end: int

    @classmethod
    def of(cls, path: Path) -> _Header:
        """Fields (in lower case) and keys, and where the header ends."""
        with open(path, "rb") as file:
            content = file.read(_LONGEST)
        end = re.search(rb"\r?\n\r?\n", content)
        if end is None or not content.startswith(_MAGIC):
            raise FormatError(f"{path} is a truncated or damaged image file: its header has no end")
        fields: dict[str, str] = {}
        keys: dict[str, str] = {}
        for line in content[: end.start()].decode("utf-8", errors="replace").splitlines()[1:]:
            if line.startswith("#") or not line.strip():
                continue
            name, sign, value = line.partition(":")
            if not sign or not value.startswith(("=", " ")):
                raise FormatError(f"{path} is a truncated or damaged image file: {shown(line[:80], 40)} is no field")
            if value.startswith("="):
                keys[name] = re.sub(r"\\([n\\])", lambda sign: "\n" if sign[1] == "n" else "\\", value[1:].strip())
            else:
                fields[name.strip().lower()] = value.strip()
        if "data file" in fields or "datafile" in fields:
            raise FormatError(f"{path} is a header without voxels: they lie in another file, which is not read")
        return cls(path, fields, keys, end.end())

    def voxels(self) -> Voxels:
        """Where the voxels are; FormatError where they cannot be."""
        dimension = self._numbers("dimension", 1, whole=True)[0]
        if not 1 <= dimension <= 10:
            raise self._wrong("dimension", "a number of axes from 1 to 10")
        size = tuple(int(n) for n in self._numbers("sizes", int(dimension), whole=True))
        kinds = self.fields.get("kinds", "").lower().split()
        if len(size) not in (2, 3) or any(kind not in _SCALAR for kind in kinds):
            raise FormatError(
                f"{self.path} must be an image or a volume of one channel, got {shown(size)} of the kinds "
                f"{', '.join(kinds) or 'none'}"
            )
        if self.fields.get("type", "").lower() not in _DTYPES:
            raise self._wrong("type", f"one of {', '.join(_DTYPES)}")
        encoding = self.fields.get("encoding", "").lower()
        if encoding not in _PACKINGS:
            raise self._wrong("encoding", f"one of {', '.join(_PACKINGS)}")
        order = {"little": "<", "big": ">"}.get(self.fields.get("endian", "little").lower())
        skips = [self.fields.get(name, "0") for name in ("line skip", "lineskip", "byte skip", "byteskip")]
        if order is None or any(skip != "0" for skip in skips):
            raise self._wrong("endian", "little or big, and nothing skipped before the voxels")
        dtype = np.dtype(order + _DTYPES[self.fields["type"].lower()])
        voxels = Voxels(self.path, self.end, tuple(reversed(size)), dtype, _PACKINGS[encoding])
        voxels.check()
        return voxels

    def placed(self) -> Placed:
        """Where the voxels lie in the world, whose axes are left, posterior and superior."""
        axes = int(self._numbers("dimension", 1)[0])
        if "space directions" not in self.fields:
            spacing = self._numbers("spacings", axes) if "spacings" in self.fields else (1.0,) * axes
            spacing = tuple(1.0 if math.isnan(step) else step for step in spacing)
            first = self._numbers("axis mins", axes) if "axis mins" in self.fields else (0.0,) * axes
            return Placed(spacing, first, tuple(np.eye(axes).ravel()))
        rows = [self._vector(text, "space directions") for text in _vectors(self.fields["space directions"])]
        origin = self._vector(self.fields.get("space origin", f"({','.join('0' * axes)})"), "space origin")
        if len(rows) != axes or any(len(row) != axes for row in [*rows, origin]):
            raise self._wrong("space directions", f"{axes} vectors of {axes} numbers, as space origin has")
        signs = self._signs(axes)
        lengths = [math.hypot(*row) or 1.0 for row in rows]
        turned = np.array([np.multiply(row, signs) / length for row, length in zip(rows, lengths, strict=True)])
        return Placed(tuple(lengths), tuple(np.multiply(origin, signs)), tuple(turned.T.ravel()))

    def _signs(self, axes: int) -> list[float]:
        """Of the axes of the space against left, posterior, superior."""
        space = self.fields.get("space", "").lower()
        short = space if len(space) < 4 else "".join(_SHORT.get(word, "?") for word in space.split("-"))
        if len(short) >= 3 and all(sign in pair for sign, pair in zip(short, ("lr", "pa", "si"), strict=False)):
            return [_TO_LPS[sign] for sign in short[:axes]]
        return [1.0] * axes

    def _vector(self, text: str, name: str) -> tuple[float, ...]:
        try:
            numbers = tuple(float(part) for part in text.strip().strip("()").split(","))
        except ValueError:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            raise self._wrong(name, "vectors of finite numbers")
        return numbers

    def _numbers(self, name: str, count: int, *, whole: bool = False) -> tuple[float, ...]:
        words = self.fields.get(name, "").split()
        try:
            numbers = tuple(float(word) for word in words)
        except ValueError:
            numbers = ()
        if whole and any(not re.fullmatch(r"\d{1,15}", word) or int(word) < 1 for word in words):
            numbers = ()
        if len(numbers) != count or any(map(math.isinf, numbers)):
            raise self._wrong(name, f"{count} {'whole numbers of at least 1' if whole else 'numbers'}")
        return numbers

    def _wrong(self, name: str, expected: str) -> FormatError:
        came = shown(self.fields.get(name, ""))
        return FormatError(f"{self.path} is a truncated or damaged image file: {name} must be {expected}, got {came}")


def _vectors(text: str) -> list[str]:
    return re.findall(r"\([^()]*\)|none", text)
