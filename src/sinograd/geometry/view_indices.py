"""Choosing views: by number, slice, list or mask."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputIndexError, InputTypeError
from sinograd.geometry import checks

Index = int | slice | Sequence[int] | np.ndarray | Tensor


def view_indices(index: Index, views: int) -> Tensor:
    """Non-negative indices of the chosen views, int64 [chosen], at least one."""
    if isinstance(index, np.ndarray) and index.dtype == bool:
        index = torch.from_numpy(index)
    if isinstance(index, slice):
        try:
            chosen = list(range(views)[index])
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"views are chosen by whole numbers, got {shown(index)}: {error}") from None
    elif isinstance(index, Tensor) and index.dtype == torch.bool:
        if index.shape != (views,):
            raise InputIndexError(f"a bool mask of views must be [{views}], got {list(index.shape)}")
        chosen = index.nonzero()[:, 0].tolist()
    else:
        items = index.tolist() if isinstance(index, Tensor) else index
        items = checks.entries(items, "view index", "a list of ints") if checks.is_sequence(items) else (items,)
        chosen = [_view_index(item, views) for item in items]
    if not chosen:
        raise InputError(f"no views chosen by {shown(index)} of {views}; a geometry has at least one")
    return torch.tensor(chosen, dtype=torch.int64, device="cpu")


def _view_index(item: Any, views: int) -> int:
    if isinstance(item, bool):
        raise InputTypeError(
            f"a view is chosen by its number, or several by a bool tensor [{views}]; got {shown(item)}"
        )
    try:
        position = operator.index(item)
    except TypeError:
        raise InputTypeError(
            f"a view is chosen by its number, a whole one, got {shown(item)} ({type(item).__name__})"
        ) from None
    if not -views <= position < views:
        raise InputIndexError(f"view {position} is out of range for {views} views")
    return position % views
