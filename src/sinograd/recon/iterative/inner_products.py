"""Inner products of batches, summed in float64 without a copy of what is summed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.ops.stored import StoredTensor, in_blocks

# Elements summed at a time in the tensors' own precision: they stay in the cache, and their sum stays exact enough.
CPU_CHUNK, GPU_CHUNK = 1 << 15, 1 << 24


def dot(a: Tensor, b: Tensor, ndim: int, weights: Tensor | None = None) -> Tensor:
    """sum(weights * a * b) over the last `ndim` dimensions, [...] float64."""
    if isinstance(a, StoredTensor):
        if a.ndim > ndim:
            raise UnsupportedError(f"one problem at a time larger than memory, got a batch {list(a.shape[:-ndim])}")
        others = (b,) if weights is None else (b, weights)
        parts = [dot(one, other, ndim, *weight) for one, other, *weight in in_blocks(a, *others)]
        return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64)
    batch = a.shape[: a.ndim - ndim]
    shape = (math.prod(batch), math.prod(a.shape[a.ndim - ndim :]))
    left, right = a.reshape(shape), b.reshape(shape)
    weight = None if weights is None else weights.expand(a.shape).reshape(shape)
    chunk = CPU_CHUNK if a.device.type == "cpu" else GPU_CHUNK
    sums = [_dot(left, right, weight, row, chunk) for row in range(len(left))]
    return torch.stack(sums).reshape(batch) if sums else a.new_zeros(batch, dtype=torch.float64)


def norm(a: Tensor, ndim: int, weights: Tensor | None = None) -> Tensor:
    """Square root of sum(weights * a * a) over the last `ndim` dimensions, [...] float64."""
    return dot(a, a, ndim, weights).sqrt_()


def spread(values: Tensor, like: Tensor, ndim: int) -> Tensor:
    """One number a batch element, [...], as a factor for tensors with `ndim` more dimensions, in their dtype."""
    return values.to(like.device, like.dtype).reshape(*values.shape, *[1] * ndim)


def _dot(left: Tensor, right: Tensor, weight: Tensor | None, row: int, chunk: int) -> Tensor:
    if left.shape[1] == 0:
        return left.new_zeros((), dtype=torch.float64)
    parts = []
    for start in range(0, left.shape[1], chunk):
        a, b = left[row, start : start + chunk], right[row, start : start + chunk]
        if weight is not None:
            a = a * weight[row, start : start + chunk]
        parts.append(torch.dot(a, b))
    return torch.stack(parts).double().sum()
