"""A level of a volume as the bytes of a NIfTI file, which the 3-D view of a browser reads.

Values are int16 with slope and intercept (https://nifti.nimh.nih.gov/nifti-1, 348 bytes and an empty extension), half
the bytes of float32 and more steps than a screen has. What is not finite becomes the lowest value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np

from sinograd.viewer.levels import Level

_STEPS = 65534
_BLOCK_BYTES = 8 << 20


def nifti_bytes(level: Level, low: float, high: float) -> Iterator[bytes]:
    """The header, and then slabs; values below `low` and above `high` become these."""
    slope = (high - low) / _STEPS if high > low else 1.0
    yield _header(level, slope, low + slope * (_STEPS // 2))
    step = max(1, _BLOCK_BYTES // (4 * math.prod(level.shape[1:])))
    for first in range(0, level.shape[0], step):
        values = level.slices(first, min(first + step, level.shape[0])).astype(np.float32, copy=False)
        steps = np.nan_to_num((values - low) / slope, nan=0.0, posinf=_STEPS, neginf=0.0)
        yield (np.clip(np.rint(steps), 0, _STEPS) - _STEPS // 2).astype("<i2").tobytes()


def nifti_length(level: Level) -> int:
    """Bytes of it all."""
    return 352 + 2 * math.prod(level.shape)


def _header(level: Level, slope: float, intercept: float) -> bytes:
    depth, rows, columns = level.shape
    dz, dy, dx = level.spacing
    z, y, x = level.first
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, columns, rows, depth, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, 4, 16)
    struct.pack_into("<8f", head, 76, 1.0, dx, dy, dz, 0.0, 0.0, 0.0, 0.0)
    struct.pack_into("<3f", head, 108, 352.0, slope, intercept)
    head[123] = 2  # lengths in mm
    struct.pack_into("<h", head, 254, 1)  # sform holds
    for row, (step, at, number) in enumerate(((dx, x, 0), (dy, y, 1), (dz, z, 2))):
        values = [0.0, 0.0, 0.0, at]
        values[number] = step
        struct.pack_into("<4f", head, 280 + 16 * row, *values)
    head[344:348] = b"n+1\0"
    return bytes(head)
