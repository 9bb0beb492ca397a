"""Images whose rows or columns are reversed as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from sinograd.data.projections import Projections, read_rows, shape_of


class FlippedImages:
    """Images [n, (rows,) columns] of a stack that stays where it is; `flips` tells (rows, columns)."""

    def __init__(self, images: Projections, flips: tuple[bool, bool]) -> None:
        self.images, self.flips = images, flips
        self.shape, self.dtype = shape_of(images), images.dtype
        self._axes = tuple(axis for axis, flip in zip((-2, -1), flips, strict=True) if flip and -axis < len(self.shape))

    @property
    def files(self) -> list[Any]:
        """The files of the stack, as far as it tells."""
        return list(getattr(self.images, "files", [getattr(self.images, "path", None)]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        return np.flip(np.asarray(self.images[views]), self._axes)

    def read_rows(self, views: slice | list[int], rows: slice) -> np.ndarray:
        """Rows of some views, [views, rows, columns]; see `sinograd.data.projections.read_rows`."""
        first, end, _ = rows.indices(self.shape[1])
        if self.flips[0]:
            first, end = self.shape[1] - end, self.shape[1] - first
        return np.flip(np.asarray(read_rows(self.images, views, slice(first, end))), self._axes)

    def __repr__(self) -> str:
        return f"FlippedImages({self.images!r}, flips={self.flips})"


def flipped(images: Any, flips: tuple[bool, bool]) -> Any:
    """The images themselves where nothing is reversed."""
    return FlippedImages(images, flips) if any(flips) else images
