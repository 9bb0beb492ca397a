"""The header of MRC files, which tilt series and volumes share; `sinograd.io.scans.mrc` describes its fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sinograd.errors import FormatError
from sinograd.files.inputs import noted

HEADER_BYTES = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
MM = 1e-7  # of an Angstrom
_IMOD = 1146047817  # "IMOD"
_LARGEST = 1 << 20  # rows or columns
_LARGEST_EXTENDED = 64 << 20  # bytes


@dataclass(frozen=True)
class MrcHeader:
    """Shape, type and place of the images; `integers` and `floats` are the 256 words, read as either."""

    path: Path
    columns: int
    rows: int
    images: int
    dtype: np.dtype
    pixel: float  # Angstrom; 0 where it is not known
    offset: int
    integers: np.ndarray
    floats: np.ndarray

    @property
    def extents(self) -> list[tuple[tuple[int, int], ...]]:
        """Where each image lies in the file."""
        size = self.rows * self.columns * self.dtype.itemsize
        return [((self.offset + image * size, size),) for image in range(self.images)]


def is_mrc(head: bytes) -> bool:
    """Whether a file that starts so has the mark of MRC."""
    return len(head) >= 216 and head[208:212] == b"MAP " and head[212] in (0x44, 0x11)


def read_header(path: Path) -> MrcHeader:
    """The header; FormatError, which names the file, for a truncated or damaged one."""
    with open(noted(path), "rb") as file:
        content = file.read(HEADER_BYTES)
        length = file.seek(0, 2)
    if len(content) < HEADER_BYTES:
        raise FormatError(f"{path} is truncated: it has {length:,} bytes, the header of MRC has {HEADER_BYTES:,}")
    order = "<" if content[212] == 0x44 else ">"
    words, floats = np.frombuffer(content, f"{order}i4"), np.frombuffer(content, f"{order}f4")
    columns, rows, images, mode = (int(word) for word in words[:4])
    if mode not in MODES:
        known = ", ".join(f"{code} {np.dtype(kind).name}" for code, kind in MODES.items())
        raise FormatError(f"{path}: MODE is {mode}; known are {known}")
    if not (0 < columns <= _LARGEST and 0 < rows <= _LARGEST and images > 0):
        raise FormatError(f"{path}: {images} images of {rows} x {columns} pixels (rows x columns) cannot be")
    unsigned = mode == 0 and words[38] == _IMOD and not words[39] & 1
    dtype = np.dtype("u1" if unsigned else f"{order}{MODES[mode]}")
    extended = int(words[23])
    expected = HEADER_BYTES + extended + columns * rows * images * dtype.itemsize
    if extended < 0 or extended > _LARGEST_EXTENDED or expected > length:
        raise FormatError(f"{path} is truncated or damaged: it has {length:,} bytes, expected {expected:,}")
    samples, width = int(words[7]), float(floats[10])
    known = samples > 0 and math.isfinite(width) and width > 0
    pixel = width / samples if known else 0.0
    return MrcHeader(path, columns, rows, images, dtype, pixel, HEADER_BYTES + extended, words, floats)
