"""Total variation of volumes that lie in files (`StoredTensor`): slab by slab, with a slice beside it.

`total_variation` says what the functions do; `variation` is one of its `TotalVariation`s, which works on the slabs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from sinograd.ops.stored import StoredTensor, blocks_of


class Variation(Protocol):
    """What works on slabs in memory."""

    def value(self, x: Tensor, smoothing: float = 0.0) -> Tensor:
        """See `TotalVariation`."""
        ...

    def ascend_(
        self, dual: Tensor, x: Tensor, step: float, limit: float, ahead: Tensor | None = None, momentum: float = 0.0
    ) -> None:
        """See `TotalVariation`."""
        ...

    def descend(self, b: Tensor, field: Tensor, scale: float, out: Tensor, bounds: tuple[float, float]) -> Tensor:
        """See `TotalVariation`."""
        ...


def value(variation: Variation, x: StoredTensor, smoothing: float) -> Tensor:
    """A slab is measured with the first slice after it, whose own part is taken away."""
    total = torch.zeros((), dtype=torch.float64)
    for first, end in _slabs(x):
        slab = x.read((slice(first, end + 1),))
        total += variation.value(slab, smoothing)
        if len(slab) > end - first:
            total -= variation.value(slab[-1:], smoothing)
    return total


def ascend_(
    variation: Variation,
    fields: tuple[StoredTensor, Tensor, Tensor],
    step: float,
    limit: float,
    momentum: float,
) -> None:
    """fields: dual, x, ahead. Differences reach into the first slice after a slab."""
    dual, x, ahead = (_stored(tensor) for tensor in fields)
    for first, end in _slabs(x):
        wide, place = slice(first, end + 1), (slice(None), slice(first, end))
        duals, forward = dual.read((slice(None), wide)), ahead.read((slice(None), wide))
        variation.ascend_(duals, x.read((wide,)), step, limit, forward, momentum)
        dual.write(place, duals[:, : end - first])
        if ahead.file is not dual.file:
            ahead.write(place, forward[:, : end - first])


def descend(
    variation: Variation, fields: tuple[Tensor, StoredTensor, Tensor], scale: float, bounds: tuple[float, float]
) -> Tensor:
    """fields: b, the field, out. The divergence reaches into the last slice before a slab."""
    b, field, out = (_stored(tensor) for tensor in fields)
    for first, end in _slabs(b):
        wide = slice(max(first - 1, 0), end)
        values = b.read((wide,))
        variation.descend(values, field.read((slice(None), wide)), scale, values, bounds)
        out.write((slice(first, end),), values[first - wide.start :])
    return out


def _slabs(x: StoredTensor) -> Iterator[tuple[int, int]]:
    """First slice, and the one after the last."""
    for (chosen,) in blocks_of(x.shape, x.dtype.itemsize, x.space.block_bytes):
        yield chosen.start, chosen.stop


def _stored(tensor: Tensor) -> StoredTensor:
    assert isinstance(tensor, StoredTensor)
    return tensor
