"""Isotropic total variation of images and volumes: value, smoothed gradient, and the steps of its minimisation.

L. I. Rudin, S. Osher, E. Fatemi, Physica D 60, 1992. Differences are taken forward, 0 at the last voxel of an axis, and
each axis counts by the smallest spacing over its own: TV(x) = sum over voxels of |(w d_z x, w d_y x, w d_x x)|.
Compiled kernels pass once over memory, on a GPU those of `variation_cuda`; on other devices, and for images of other
layouts, torch does the same slab by slab (`variation_slabs`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.ops.dispatch import kernel
from sinograd.ops.stored import StoredTensor
from sinograd.recon.iterative import variation_cuda as cuda
from sinograd.recon.iterative import variation_slabs as slabs
from sinograd.recon.iterative import variation_stored as stored

_MOST_AXES = 3  # of the kernels


class TotalVariation:
    """Total variation of arrays whose last dimensions are the image's.

    Args:
        spacing: of the voxels along each of those dimensions (only ratios matter).
    """

    def __init__(self, spacing: Sequence[float]) -> None:
        self.ndim = len(spacing)
        self.factors = tuple(min(spacing) / s for s in spacing)

    @property
    def bound(self) -> float:
        """Square of the gradient's norm, from above."""
        return 4 * sum(f * f for f in self.factors)

    def value(self, x: Tensor, smoothing: float = 0.0) -> Tensor:
        """Sum of sqrt(|gradient|^2 + smoothing^2) - smoothing over each image, [...] float64."""
        if isinstance(x, StoredTensor):
            return stored.value(self, x, smoothing)
        if not self._compiled(x):
            return slabs.value(x, self.factors, smoothing)
        batch = x.shape[: x.ndim - self.ndim]
        if x.is_cuda:
            return cuda.value(x.detach(), self._layout(x), smoothing).view(batch)
        sums = torch.empty(math.prod(batch), dtype=torch.float64)
        kernel("tv_value")(x.detach(), sums, *self._layout(x), smoothing)
        return sums.view(batch)

    def add_smoothed_gradient_(self, target: Tensor, x: Tensor, factor: float, smoothing: float) -> Tensor:
        """Target + factor * the gradient of `value(x, smoothing)`, in place."""
        return slabs.add_smoothed_gradient_(target, x, self.factors, factor, smoothing)

    def ascend_(
        self, dual: Tensor, x: Tensor, step: float, limit: float, ahead: Tensor | None = None, momentum: float = 0.0
    ) -> None:
        """A step of a dual [ndim, *x.shape] along the gradient of x, put back where longer than `limit`; in place.

        It starts from `ahead` (the dual itself where None), which becomes the new dual + momentum * what it moved by.
        """
        ahead = dual if ahead is None else ahead
        if isinstance(dual, StoredTensor):
            stored.ascend_(self, (dual, x, ahead), step, limit, momentum)
        elif not self._compiled(x, dual, ahead):
            slabs.ascend_(dual, x, self.factors, step, limit, ahead, momentum)
        elif x.is_cuda:
            cuda.ascend(x.detach(), dual, ahead, self._layout(x), step, limit, momentum)
        else:
            kernel("tv_ascend")(x.detach(), dual, ahead, *self._layout(x), step, limit, momentum)

    def descend(
        self, b: Tensor, field: Tensor, scale: float, out: Tensor, bounds: tuple[float, float] = (-math.inf, math.inf)
    ) -> Tensor:
        """Writes b - scale * the gradient's adjoint of `field` [ndim, *b.shape], within bounds, to `out`; it may be b.

        The field is a gradient's: 0 at the last voxel of its component's axis.
        """
        if isinstance(field, StoredTensor):
            return stored.descend(self, (b, field, out), scale, bounds)
        if not self._compiled(b, field, out):
            return slabs.descend(b, field, self.factors, scale, out, bounds)
        if b.is_cuda:
            cuda.descend(b.detach(), field.detach(), out, self._layout(b), scale, bounds)
        else:
            kernel("tv_descend")(b.detach(), field.detach(), out, *self._layout(b), scale, bounds)
        return out

    def _compiled(self, x: Tensor, *others: Tensor) -> bool:
        """Whether the kernels take these."""
        floating = x.dtype in (torch.float32, torch.float64) and x.device.type in ("cpu", "cuda")
        alike = all(one.dtype == x.dtype and one.is_contiguous() for one in (x, *others))
        return floating and alike and self.ndim <= _MOST_AXES and x.numel() > 0

    def _layout(self, x: Tensor) -> tuple[tuple[int, ...], tuple[float, ...], int]:
        """Shape (batch, z, y, x), factors along z, y, x and the number of axes, for the kernels."""
        missing = _MOST_AXES - self.ndim
        image = x.shape[x.ndim - self.ndim :]
        batch = math.prod(x.shape[: x.ndim - self.ndim])
        return (batch, *[1] * missing, *image), (*[1.0] * missing, *self.factors), self.ndim
