"""Images of several stacks, one after the other, that stay where they are until they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sinograd.data.projections import Projections, as_slice, shape_of, view_order
from sinograd.errors import InputError


class JoinedImages:
    """The images of all parts, [n, ...]; each access reads from those parts that it concerns.

    Raises InputError for parts of different sizes of images. Types may differ: numpy's common one is read.
    """

    def __init__(self, parts: Sequence[Projections]) -> None:
        self.parts = list(parts)
        images = {shape_of(part)[1:] for part in self.parts}
        if len(images) != 1:
            raise InputError(f"images of different sizes cannot be joined: {', '.join(map(str, sorted(images)))}")
        self._starts = np.cumsum([0, *(shape_of(part)[0] for part in self.parts)])
        self.shape = (int(self._starts[-1]), *images.pop())
        self.dtype = np.result_type(*(np.dtype(str(part.dtype).removeprefix("torch.")) for part in self.parts))

    @property
    def files(self) -> list[Any]:
        """The files of the parts, as far as these tell."""
        return [file for part in self.parts for file in getattr(part, "files", [getattr(part, "path", None)]) if file]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> np.ndarray:
        order = view_order(views, self.shape, self.dtype, "the joined images")
        flat = np.atleast_1d(order)
        block = np.empty((len(flat), *self.shape[1:]), self.dtype)
        owner = np.searchsorted(self._starts, flat, side="right") - 1
        for index in np.unique(owner):
            places = np.flatnonzero(owner == index)
            block[places] = np.asarray(self.parts[index][as_slice(flat[places] - self._starts[index])])
        return block if order.ndim else block[0]

    def __repr__(self) -> str:
        return f"JoinedImages({len(self.parts)} parts, shape={self.shape}, dtype={self.dtype})"


def joined(parts: Sequence[Any]) -> Any:
    """One stack of several; of one the stack itself."""
    return parts[0] if len(parts) == 1 else JoinedImages(parts)
