"""The header of .npy arrays, read before anything is allocated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sinograd.errors import InputError

MAGIC = b"\x93NUMPY"
_MOST_AXES = 8


def read_header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type from the header of an .npy array; InputError, which starts with `name`, for a damaged one.

    Objects are refused: reading them would run what the file says.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version not in readers:
            raise InputError(f"version {version} is unknown")
        shape, fortran, dtype = readers[version](file)
    except Exception as error:  # damaged headers: SyntaxError, TokenError, RecursionError ...
        raise InputError(
            f"{name} is a truncated or damaged .npy array: {' '.join(str(error).split())[:200]}"
        ) from error
    if dtype.kind not in "fiub" or dtype.subdtype is not None or dtype.itemsize > 8:
        raise InputError(f"{name} must hold real numbers, got {str(dtype)[:80]}")
    if len(shape) > _MOST_AXES or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise InputError(f"{name} is a truncated or damaged .npy array: its shape is {str(shape)[:80]}")
    return shape, bool(fortran), dtype


def check_npy(path: Path) -> tuple[int, ...]:
    """The shape of an .npy file that holds as many numbers as its header says; InputError for others."""
    with open(path, "rb") as file:
        shape, _, dtype = read_header(file, str(path))
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if size > path.stat().st_size:
        raise InputError(f"{path} is truncated: it has {path.stat().st_size:,} bytes, expected {size:,}")
    return shape
