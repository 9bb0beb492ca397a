"""Rows of images that lie in a file as plain numbers, read and written where they lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sinograd.errors import InputError


def read_bands(
    path: Path, offset: int, shape: Sequence[int], place: tuple[Sequence[int], int], out: np.ndarray
) -> None:
    """Fill `out` [views, rows, columns] from an array [views, rows, columns] in a file.

    Args:
        path: the file.
        offset: of the array in it, bytes.
        shape: of the whole array.
        place: the views to read, in the order of `out`, and the first row of each.
        out: contiguous, of the type that is stored.

    Raises:
        InputError: the file is shorter than the array.
    """
    views, first = place
    row = shape[2] * out.itemsize
    image, band = shape[1] * row, out.shape[1] * row
    whole = out.shape[1] == shape[1] and list(views) == list(range(views[0], views[0] + len(views))) if views else False
    with open(path, "rb", buffering=0) as file:
        target = out.reshape(-1).view(np.uint8).data
        if whole:
            _fill(file.fileno(), offset + views[0] * image, target, path)
            return
        for number, view in enumerate(views):
            _fill(file.fileno(), offset + view * image + first * row, target[number * band : (number + 1) * band], path)


def write_at(descriptor: int, offset: int, values: np.ndarray) -> None:
    """All numbers of an array at a place of an open file; OSError where the disk is full."""
    left = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    while len(left):
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def reserve(path: Path, size: int) -> None:
    """A new file of `size` bytes whose room on the disk is taken, where the file system can do that.

    Raises:
        OSError: the disk is full.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.ftruncate(descriptor, size)
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _fill(descriptor: int, offset: int, target: memoryview, path: Path) -> None:
    while len(target):
        count = os.preadv(descriptor, [target[: 1 << 30]], offset)
        if count == 0:
            raise InputError(f"{path} was cut since it was opened")
        target, offset = target[count:], offset + count
