"""Projections and other images in HDF5 files, read lazily."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.projections import view_order
from sinograd.errors import InputError
from sinograd.io.storage.hdf5.chunks import check_inflated
from sinograd.io.storage.hdf5.layout import numbers, opened
from sinograd.io.storage.outside import is_outside_allowed, outside_allowed


class Hdf5Projections:
    """Projections that stay in their HDF5 file: every access opens it, reads some views and closes it.

    It holds no open file, so it can be pickled and used in DataLoader workers.
    """

    def __init__(self, path: Path, dataset: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.path = path
        self.dataset = dataset
        self.shape = shape
        self.dtype = dtype
        self._outside = is_outside_allowed()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        return self._read(views, ())

    def read_rows(self, views: slice | list[int], rows: slice) -> np.ndarray:
        """Rows of some views, [views, rows, columns]; of packed chunks all that they hold is read."""
        return self._read(views, (rows,))

    def read_box(self, views: slice, rows: slice, columns: slice) -> np.ndarray:
        """A box of the array; of packed chunks all that they hold is read."""
        return self._read(views, (rows, columns))

    def _read(self, views: Any, rest: tuple[slice, ...]) -> np.ndarray:
        order = view_order(views, self.shape, self.dtype, str(self.path))
        first_use, place = np.unique(order, return_inverse=True)
        with outside_allowed(self._outside), opened(self.path) as file:
            dataset = numbers(file, self.dataset, self.path)
            if dataset.shape != self.shape or dataset.dtype != self.dtype:
                raise InputError(
                    f"{self.path} changed since it was read: /{self.dataset} {dataset.shape} {dataset.dtype} != "
                    f"{self.shape} {self.dtype}"
                )
            if len(first_use) == 0:
                return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *rest)]
            check_inflated(dataset, self.dataset, self.path, first_use)
            steps = np.unique(np.diff(first_use))
            regular = len(steps) <= 1
            step = int(steps[0]) if len(steps) == 1 else 1
            key = slice(first_use[0], first_use[-1] + 1, step) if regular else first_use
            block: np.ndarray = dataset[(key, *rest) if rest else key]
        if len(order.shape) == 1 and np.array_equal(order, first_use):
            return block
        return block[place.reshape(order.shape)]

    def __repr__(self) -> str:
        return f"Hdf5Projections({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"
