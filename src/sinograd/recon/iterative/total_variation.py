"""Isotropic total variation of images and volumes: value, smoothed gradient, proximal map.

L. I. Rudin, S. Osher, E. Fatemi, Physica D 60, 1992. Differences are taken forward, 0 at the last voxel of an axis, and
each axis counts by the smallest spacing over its own: TV(x) = sum over voxels of |(w d_z x, w d_y x, w d_x x)|. The
work goes slab by slab along the first axis, so that intermediate results stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError

SLAB_BYTES = 1 << 18


class TotalVariation:
    """Total variation of arrays whose last dimensions are the image's.

    Args:
        spacing: of the voxels along each of those dimensions (only ratios matter).
    """

    def __init__(self, spacing: Sequence[float]) -> None:
        self.ndim = len(spacing)
        self.factors = [min(spacing) / s for s in spacing]

    @property
    def bound(self) -> float:
        """Square of the gradient's norm, from above."""
        return 4 * sum(f * f for f in self.factors)

    def value(self, x: Tensor, smoothing: float = 0.0) -> Tensor:
        """Sum of sqrt(|gradient|^2 + smoothing^2) - smoothing over each image, [...] float64."""
        total = torch.zeros(x.shape[: x.ndim - self.ndim], dtype=torch.float64, device=x.device)
        for start, stop in self._slabs(x):
            squares = None
            for axis in range(self.ndim):
                part = self._difference(x, axis, start, stop).square_()
                squares = part if squares is None else squares.add_(part)
            assert squares is not None
            lengths = squares.add_(smoothing**2).sqrt_().sub_(smoothing)
            total += lengths.flatten(-self.ndim).sum(-1).double()
        return total

    def add_smoothed_gradient_(self, target: Tensor, x: Tensor, factor: float, smoothing: float) -> Tensor:
        """Target + factor * the gradient of `value(x, smoothing)`, in place."""
        first = -self.ndim
        for start, stop in self._slabs(x):
            low = max(start - 1, 0)
            fields = [self._difference(x, axis, low, stop) for axis in range(self.ndim)]
            lengths = torch.full_like(fields[0], smoothing**2)
            for field in fields:
                lengths.addcmul_(field, field)
            lengths.rsqrt_()
            slab = target.narrow(first, start, stop - start)
            for axis, field in enumerate(fields):
                field.mul_(lengths)
                self._add_divergence_(slab, field, axis, -factor, start - low)
        return target

    def ascend_(self, field: Tensor, x: Tensor, step: float, limit: float) -> None:
        """Field + step * gradient(x), put back where it is longer than `limit`; in place. Field [ndim, *x.shape]."""
        for start, stop in self._slabs(x):
            part = field[(..., slice(start, stop), *[slice(None)] * (self.ndim - 1))]
            for axis in range(self.ndim):
                part[axis].add_(self._difference(x, axis, start, stop), alpha=step)
            lengths = part[0].square()
            for axis in range(1, self.ndim):
                lengths.addcmul_(part[axis], part[axis])
            lengths.sqrt_().div_(limit).clamp_(min=1)
            for axis in range(self.ndim):
                part[axis].div_(lengths)

    def add_transposed_(self, target: Tensor, field: Tensor, factor: float) -> None:
        """Target + factor * the gradient's adjoint of `field` [ndim, *target.shape], in place.

        The field is a gradient's: 0 at the last voxel of its component's axis.
        """
        for start, stop in self._slabs(target):
            self._add_transposed_of_slab_(target, field, factor, start, stop)

    def _add_transposed_of_slab_(self, target: Tensor, field: Tensor, factor: float, start: int, stop: int) -> None:
        first, low = -self.ndim, max(start - 1, 0)
        slab = target.narrow(first, start, stop - start)
        for axis in range(self.ndim):
            self._add_divergence_(slab, field[axis].narrow(first, low, stop - low), axis, -factor, start - low)

    def _slabs(self, x: Tensor) -> Iterator[tuple[int, int]]:
        """Start and stop along the first axis of the image."""
        slices = x.shape[-self.ndim]
        slice_bytes = max(1, x.numel() // max(1, slices) * x.element_size())
        thickness = max(1, SLAB_BYTES // slice_bytes)
        for start in range(0, slices, thickness):
            yield start, min(start + thickness, slices)

    def _difference(self, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """The axis' component of the gradient for the slices from start to stop, in memory of its own."""
        first, dim = -self.ndim, axis - self.ndim
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
        return out if self.factors[axis] == 1 else out.mul_(self.factors[axis])

    def _add_divergence_(self, slab: Tensor, field: Tensor, axis: int, factor: float, halo: int) -> None:
        """Slab + factor * divergence: adds factor w (field[i] - field[i - 1]); the field is 0 at the axis' end.

        `field` has `halo` (0 or 1) slices more than the slab at its beginning; without one, what lies before is zero.
        """
        dim, scale = axis - self.ndim, factor * self.factors[axis]
        own = field.narrow(-self.ndim, halo, slab.shape[-self.ndim])
        slab.add_(own, alpha=scale)
        if axis == 0:
            before = field.narrow(dim, 0, slab.shape[dim] - 1 + halo)
            slab.narrow(dim, 1 - halo, before.shape[dim]).sub_(before, alpha=scale)
        else:
            size = slab.shape[dim]
            slab.narrow(dim, 1, size - 1).sub_(own.narrow(dim, 0, size - 1), alpha=scale)


class TotalVariationProximal:
    """The proximal map of weight * TV within bounds: argmin of 1/2 |x - b|^2 + weight TV(x).

    A. Beck, M. Teboulle, "Fast gradient-based algorithms for constrained total variation image denoising and deblurring
    problems", IEEE Transactions on Image Processing 18(11), 2009, algorithm FGP: accelerated projected gradients on
    the dual. The dual of one call starts the next one, so that in an outer loop few iterations a call are enough.

    Memory: 2 images for each dimension.

    Args:
        shape: of the images with their batch.
        variation: the TotalVariation.
        constrain_: puts an image within the bounds in place.
        like: tensor of the dtype and on the device of the images.
    """

    def __init__(
        self,
        shape: Sequence[int],
        variation: TotalVariation,
        constrain_: Callable[[Tensor], Tensor],
        like: Tensor,
    ) -> None:
        self.variation, self.constrain_ = variation, constrain_
        self.dual = like.new_zeros((variation.ndim, *shape))
        self.ahead = like.new_zeros((variation.ndim, *shape))

    def __call__(self, b: Tensor, weight: float, iterations: int, out: Tensor) -> Tensor:
        """The map of b, written to `out` (which is not b)."""
        if weight == 0 or iterations == 0:
            return self.constrain_(out.copy_(b))
        self.ahead.copy_(self.dual)
        momentum = 1.0
        for _ in range(iterations):
            self._primal(b, weight, self.ahead, out)
            before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            self._ascend(out, 1 / (weight * self.variation.bound), (before - 1) / momentum)
        return self._primal(b, weight, self.dual, out)

    def _primal(self, b: Tensor, weight: float, dual: Tensor, out: Tensor) -> Tensor:
        """The image that belongs to a dual: b + weight * divergence, within bounds."""
        variation = self.variation
        first = -variation.ndim
        for start, stop in variation._slabs(b):
            out.narrow(first, start, stop - start).copy_(b.narrow(first, start, stop - start))
            variation._add_transposed_of_slab_(out, dual, -weight, start, stop)
        return self.constrain_(out)

    def _ascend(self, x: Tensor, step: float, momentum: float) -> None:
        """A projected gradient step of the dual from `ahead`, and the next point ahead."""
        variation = self.variation
        for start, stop in variation._slabs(x):
            index = (..., slice(start, stop), *[slice(None)] * (variation.ndim - 1))
            ahead, dual = self.ahead[index], self.dual[index]
            fields = [
                variation._difference(x, axis, start, stop).mul_(step).add_(ahead[axis])
                for axis in range(variation.ndim)
            ]
            lengths = fields[0].square()
            for field in fields[1:]:
                lengths.addcmul_(field, field)
            lengths.clamp_(min=1).rsqrt_()
            for axis, field in enumerate(fields):
                field.mul_(lengths)
                torch.lerp(dual[axis], field, 1 + momentum, out=ahead[axis])
                dual[axis].copy_(field)


def tv_denoise(
    image: Tensor,
    weight: float,
    *,
    ndim: int | None = None,
    spacing: Sequence[float] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    iterations: int = 50,
) -> Tensor:
    """Denoises: argmin of 1/2 |x - image|^2 + weight TV(x) within bounds; see `TotalVariationProximal`.

    Args:
        image: [..., (Z,) Y, X], float32 or float64.
        weight: in the units of the image.
        ndim: how many of the last dimensions are an image's; all if not given.
        spacing: of the voxels along these; all the same if not given.
        lower, upper: bounds.
        iterations: of the dual.

    Raises:
        ValueError: a weight below 0, or a spacing that does not fit ndim.
    """
    if not 0 <= weight < math.inf:
        raise InputError(f"weight: expected a number from 0, got {weight}")
    ndim = (image.ndim if spacing is None else len(spacing)) if ndim is None else ndim
    if not 1 <= ndim <= image.ndim or (spacing is not None and len(spacing) != ndim):
        raise InputError(f"ndim: expected from 1 to {image.ndim} and one spacing for each, got {ndim} and {spacing}")
    variation = TotalVariation([1.0] * ndim if spacing is None else spacing)
    bounded = lower is not None or upper is not None

    def constrain_(x: Tensor) -> Tensor:
        return x.clamp_(lower, upper) if bounded else x

    with torch.no_grad():
        proximal = TotalVariationProximal(image.shape, variation, constrain_, image)
        return proximal(image.detach(), weight, iterations, torch.empty_like(image))
