"""What holds the numbers of a scan, in memory or in a file, and some of its views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from sinograd.config.shown import shown
from sinograd.data.memory import check_memory
from sinograd.errors import InputTypeError


class Projections(Protocol):
    """What holds the numbers: a NumPy array, a tensor, or a file that reads views lazily."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[views, (rows,) columns]."""
        ...

    @property
    def dtype(self) -> Any:
        """As stored."""
        ...

    def __getitem__(self, views: Any, /) -> Any: ...


class ProjectionStore(Protocol):
    """Projections that are written block by block and read again: a file that takes what memory does not."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[views, (rows,) columns]."""
        ...

    @property
    def dtype(self) -> Any:
        """NumPy's float32."""
        ...

    def __getitem__(self, views: Any, /) -> np.ndarray: ...

    def write(self, first: int, views: np.ndarray) -> None:
        """Views `first` and following, [views, (rows,) columns]."""
        ...


class ChosenViews:
    """Some views of projections that stay where they are until these are read.

    `order` holds the numbers of the chosen views. Memory: nothing but that.
    """

    def __init__(self, projections: Projections, order: np.ndarray) -> None:
        self.projections = projections
        self.order = order
        self.shape = (len(order), *projections.shape[1:])
        self.dtype = projections.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, views: Any) -> Any:
        chosen = self.order[np.asarray(views) if isinstance(views, list) else views]
        if np.ndim(chosen) == 0:
            return self.projections[int(chosen)]
        return self.projections[as_slice(chosen)]

    def read_rows(self, views: slice, rows: slice) -> Any:
        """Rows of some views, [views, rows, columns]; see `read_rows`."""
        return read_rows(self.projections, as_slice(self.order[views]), rows)

    def __repr__(self) -> str:
        return f"ChosenViews({self.projections!r}, {len(self)} views)"


def as_slice(order: np.ndarray) -> slice | list[int]:
    """View numbers as a slice with a positive step where they are one, else as a list."""
    if len(order) == 0:
        return slice(0, 0)
    steps = np.diff(order)
    if (steps == steps[:1]).all() and (steps > 0).all():
        return slice(int(order[0]), int(order[-1]) + 1, int(steps[0]) if len(steps) else 1)
    return order.tolist()


def view_order(views: Any, shape: Sequence[int], dtype: Any, name: str) -> np.ndarray:
    """Numbers of the views that an index (a number, slice, list or mask) chooses, in an array of the index's shape.

    OutOfMemory, which names the file, where these views [views, ...] of `shape` do not fit into memory.
    """
    count, item = shape[0], math.prod(shape[1:]) * dtype.itemsize
    if isinstance(views, slice):
        chosen = range(*views.indices(count))
        check_memory(len(chosen) * (item + 8), name)
        return np.arange(chosen.start, chosen.stop, chosen.step)
    index = np.asarray(views) if not isinstance(views, list) or views else np.zeros(0, np.int64)
    if index.dtype == bool or index.dtype.kind not in "iu":
        check_memory(8 * count, name)
        return np.arange(count)[index if isinstance(views, list) else views]
    if index.size and not -count <= int(index.min()) <= int(index.max()) < count:
        raise IndexError(f"{name}: view {shown(views)} of {count:,}")
    check_memory(index.size * item, name)
    return np.where(index < 0, index + count, index)


def choose_views(projections: Projections, order: np.ndarray) -> Projections:
    """The views `order` of projections: of an array or tensor directly, of a file when they are read."""
    if isinstance(projections, np.ndarray | torch.Tensor):
        return projections[as_slice(order)]
    if isinstance(projections, ChosenViews):
        return ChosenViews(projections.projections, projections.order[order])
    return ChosenViews(projections, order)


def load_views(projections: Projections, views: Any = slice(None), dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Read `views` (a slice, an index or a list of indices) as a tensor of `dtype`, whatever is stored.

    The tensor may share memory with projections that are already in memory.
    """
    block = projections[views]
    if not isinstance(block, torch.Tensor):
        block = np.asarray(block)
        if not block.dtype.isnative:
            block = block.astype(block.dtype.newbyteorder("="))
        if not block.flags.writeable or any(stride < 0 for stride in block.strides):
            block = block.copy()
        block = torch.from_numpy(np.atleast_1d(block))
    return block.to(dtype)


def read_rows(projections: Projections, views: slice | list[int], rows: slice) -> Any:
    """Detector rows first to end - 1 of some views [views, rows, columns], as stored.

    Of a file whose format allows it (`reads_rows`) nothing else is read.
    """
    own = getattr(projections, "read_rows", None)
    return projections[views][:, rows] if own is None else own(views, rows)


def reads_rows(projections: Projections) -> bool:
    """Whether `read_rows` reads no more than these rows."""
    inner = projections.projections if isinstance(projections, ChosenViews) else projections
    return isinstance(inner, np.ndarray | torch.Tensor) or hasattr(inner, "read_rows")


def check_dtype(dtype: object) -> None:
    """InputTypeError unless it is a type of torch."""
    if not isinstance(dtype, torch.dtype):
        raise InputTypeError(f"dtype must be a torch.dtype such as torch.float32, got {dtype!r:.40}")


def is_projections(value: object) -> bool:
    """Whether `value` can hold projections."""
    return all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__"))


def shape_of(projections: Projections) -> tuple[int, ...]:
    """The shape as plain ints."""
    return tuple(int(n) for n in projections.shape)


def dtype_text(projections: Projections) -> str:
    """The number type as stored: "uint16"."""
    return str(projections.dtype).removeprefix("torch.")


def location_text(projections: Projections) -> str:
    """Where the numbers are, for prints."""
    return "in memory" if isinstance(projections, np.ndarray | torch.Tensor) else "read lazily"
