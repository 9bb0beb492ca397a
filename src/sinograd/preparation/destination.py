"""Where prepared views go: a tensor in memory, or a store that takes them block by block."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sinograd.data.projections import ProjectionStore, choose_views
from sinograd.errors import InputError


class Destination(Protocol):
    """Prepared views, [views, rows, columns]."""

    def block(self, start: int, stop: int) -> Tensor:
        """Room for views start to stop - 1, until the next call."""
        ...

    def put(self, start: int, block: Tensor) -> None:
        """Keep what is in that room."""
        ...

    def get(self, start: int, stop: int) -> Tensor:
        """What was kept; changes of it count once it is put again."""
        ...

    def band(self, rows: slice) -> Tensor:
        """Rows of all views, [views, rows, columns]; changes of them count once they are put."""
        ...

    def put_band(self, rows: slice, band: Tensor) -> None:
        """Keep these rows."""
        ...

    def chosen(self, good: np.ndarray) -> Any:
        """The good views, as projections of a scan."""
        ...


class Held:
    """A tensor [views, (rows,) columns] in memory."""

    def __init__(self, out: Tensor) -> None:
        self._out = out
        self._images = out if out.ndim == 3 else out[:, None, :]

    def block(self, start: int, stop: int) -> Tensor:
        """A part of the tensor."""
        return self._images[start:stop]

    def put(self, start: int, block: Tensor) -> None:
        """It is there already."""

    def get(self, start: int, stop: int) -> Tensor:
        """A part of the tensor."""
        return self._images[start:stop]

    def band(self, rows: slice) -> Tensor:
        """A part of the tensor."""
        return self._images[:, rows]

    def put_band(self, rows: slice, band: Tensor) -> None:
        """It is there already."""

    def chosen(self, good: np.ndarray) -> Tensor:
        """The good views, moved to the front."""
        if good.all():
            return self._out
        for place, view in enumerate(np.flatnonzero(good).tolist()):
            if place != view:
                self._out[place] = self._out[view]
        return self._out[: int(good.sum())]


class Stored:
    """A store, such as a file; one block of views is in memory."""

    def __init__(self, store: ProjectionStore) -> None:
        self._store = store
        self._image = store.shape[1:] if len(store.shape) == 3 else (1, *store.shape[1:])
        self._room = torch.empty(0)

    def block(self, start: int, stop: int) -> Tensor:
        """The same room for every block."""
        if len(self._room) < stop - start:
            self._room = torch.empty(stop - start, *self._image)
        return self._room[: stop - start]

    def put(self, start: int, block: Tensor) -> None:
        """Written to the store."""
        self._store.write(start, block.numpy().reshape(-1, *self._store.shape[1:]))

    def get(self, start: int, stop: int) -> Tensor:
        """Read from the store."""
        return torch.from_numpy(np.ascontiguousarray(self._store[start:stop])).reshape(-1, *self._image)

    def band(self, rows: slice) -> Tensor:
        """Read from the store, a view at a time unless it reads rows."""
        own = getattr(self._store, "read_rows", None)
        if own is not None:
            return torch.from_numpy(np.ascontiguousarray(own(slice(None), rows)))
        views = range(self._store.shape[0])
        return torch.stack([self.get(view, view + 1)[0, rows].clone() for view in views])

    def put_band(self, rows: slice, band: Tensor) -> None:
        """Written to the store, whole views unless it writes rows."""
        own = getattr(self._store, "write_rows", None)
        if own is not None:
            own(rows, band.numpy())
            return
        for view, part in enumerate(band):
            image = self.get(view, view + 1).clone()
            image[0, rows] = part
            self.put(view, image)

    def chosen(self, good: np.ndarray) -> Any:
        """The store, or the good views of it."""
        return self._store if good.all() else choose_views(self._store, np.flatnonzero(good))


def destination(out: Any, shape: tuple[int, ...]) -> Destination:
    """That of `out`: None for a new tensor of `shape`, a tensor or a store.

    Raises:
        InputError: another shape or type, or a tensor that is not contiguous.
    """
    if out is None:
        return Held(torch.from_numpy(np.empty(shape, np.float32)))  # NumPy asks the system for large pages
    if isinstance(out, Tensor):
        if tuple(out.shape) != shape or out.dtype != torch.float32 or not out.is_contiguous():
            raise InputError(
                f"out: expected a contiguous float32 tensor {list(shape)}, got {out.dtype} {list(out.shape)}"
            )
        return Held(out)
    if tuple(out.shape) != shape or out.dtype != np.float32:
        raise InputError(f"out: expected a store of float32 {list(shape)}, got {out.dtype} {list(out.shape)}")
    return Stored(out)
