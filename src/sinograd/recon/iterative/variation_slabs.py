"""Total variation by torch, on any device: slab by slab along the first axis, so that intermediate results stay in the
processor's cache. What the kernels of the CPU are compared with; `total_variation` says what the functions do.

`factors`: of the differences along the image's axes, which are the last ones of the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

SLAB_BYTES = 1 << 18

Factors = Sequence[float]


def value(x: Tensor, factors: Factors, smoothing: float) -> Tensor:
    """Sum of sqrt(|gradient|^2 + smoothing^2) - smoothing over each image, [...] float64."""
    ndim = len(factors)
    total = torch.zeros(x.shape[: x.ndim - ndim], dtype=torch.float64, device=x.device)
    for start, stop in _slabs(x, ndim):
        squares = None
        for axis in range(ndim):
            part = _difference(x, factors, axis, start, stop).square_()
            squares = part if squares is None else squares.add_(part)
        assert squares is not None
        lengths = squares.add_(smoothing**2).sqrt_().sub_(smoothing)
        total += lengths.flatten(-ndim).sum(-1).double()
    return total


def add_smoothed_gradient_(target: Tensor, x: Tensor, factors: Factors, factor: float, smoothing: float) -> Tensor:
    """Target + factor * the gradient of `value(x, factors, smoothing)`, in place."""
    ndim = len(factors)
    for start, stop in _slabs(x, ndim):
        low = max(start - 1, 0)
        fields = [_difference(x, factors, axis, low, stop) for axis in range(ndim)]
        lengths = torch.full_like(fields[0], smoothing**2)
        for field in fields:
            lengths.addcmul_(field, field)
        lengths.rsqrt_()
        slab = target.narrow(-ndim, start, stop - start)
        for axis, field in enumerate(fields):
            field.mul_(lengths)
            _add_divergence_(slab, field, factors, axis, -factor, start - low)
    return target


def ascend_(
    dual: Tensor, x: Tensor, factors: Factors, step: float, limit: float, ahead: Tensor, momentum: float
) -> None:
    """A step of the dual from `ahead` along the gradient of x, and the next point ahead."""
    ndim = len(factors)
    for start, stop in _slabs(x, ndim):
        index = (..., slice(start, stop), *[slice(None)] * (ndim - 1))
        own, next_ = dual[index], ahead[index]
        fields = [_difference(x, factors, axis, start, stop).mul_(step).add_(next_[axis]) for axis in range(ndim)]
        lengths = fields[0].square()
        for field in fields[1:]:
            lengths.addcmul_(field, field)
        lengths.sqrt_().div_(limit).clamp_(min=1)
        for axis, field in enumerate(fields):
            field.div_(lengths)
            torch.lerp(own[axis], field, 1 + momentum, out=next_[axis])
            own[axis].copy_(field)


def descend(
    b: Tensor, field: Tensor, factors: Factors, scale: float, out: Tensor, bounds: tuple[float, float]
) -> Tensor:
    """Writes b + scale * the divergence of `field`, within bounds, to `out`."""
    ndim = len(factors)
    for start, stop in _slabs(b, ndim):
        low = max(start - 1, 0)
        slab = out.narrow(-ndim, start, stop - start)
        if out is not b:
            slab.copy_(b.narrow(-ndim, start, stop - start))
        for axis in range(ndim):
            part = field[axis].narrow(-ndim, low, stop - low)
            _add_divergence_(slab, part, factors, axis, scale, start - low)
        if bounds != (-math.inf, math.inf):
            slab.clamp_(*bounds)
    return out


def _slabs(x: Tensor, ndim: int) -> Iterator[tuple[int, int]]:
    """Start and stop along the first axis of the image."""
    slices = x.shape[-ndim]
    slice_bytes = max(1, x.numel() // max(1, slices) * x.element_size())
    thickness = max(1, SLAB_BYTES // slice_bytes)
    for start in range(0, slices, thickness):
        yield start, min(start + thickness, slices)


def _difference(x: Tensor, factors: Factors, axis: int, start: int, stop: int) -> Tensor:
    """The axis' component of the gradient for the slices from start to stop, in memory of its own."""
    first, dim = -len(factors), axis - len(factors)
    slab = x.narrow(first, start, stop - start)
    out = torch.empty_like(slab, memory_format=torch.contiguous_format)
    if axis == 0:
        count = min(stop, x.shape[first] - 1) - start
        inner = out.narrow(first, 0, count)
        torch.sub(x.narrow(first, start + 1, count), x.narrow(first, start, count), out=inner)
        out.narrow(first, count, stop - start - count).zero_()
    else:
        size = x.shape[dim]
        torch.sub(slab.narrow(dim, 1, size - 1), slab.narrow(dim, 0, size - 1), out=out.narrow(dim, 0, size - 1))
        out.narrow(dim, size - 1, 1).zero_()
    return out if factors[axis] == 1 else out.mul_(factors[axis])


def _add_divergence_(slab: Tensor, field: Tensor, factors: Factors, axis: int, factor: float, halo: int) -> None:
    """Slab + factor * divergence: adds factor w (field[i] - field[i - 1]); the field is 0 at the axis' end.

    `field` has `halo` (0 or 1) slices more than the slab at its beginning; without one, what lies before is zero.
    """
    dim, scale = axis - len(factors), factor * factors[axis]
    own = field.narrow(-len(factors), halo, slab.shape[-len(factors)])
    slab.add_(own, alpha=scale)
    if axis == 0:
        before = field.narrow(dim, 0, slab.shape[dim] - 1 + halo)
        slab.narrow(dim, 1 - halo, before.shape[dim]).sub_(before, alpha=scale)
    else:
        size = slab.shape[dim]
        slab.narrow(dim, 1, size - 1).sub_(own.narrow(dim, 0, size - 1), alpha=scale)
