"""Filtered backprojection with gradients in bounded memory: the backward pass filters again, in blocks of views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.ops.arguments import autocast
from sinograd.ops.backprojection import backproject_adjoint
from sinograd.ops.derivatives import transformed
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection, Progress
from sinograd.recon.analytic.view_blocks import BLOCK_VIEWS
from sinograd.recon.analytic.view_filter import filter_views

# Bytes of projections in a block of the backward pass; filtering takes about twelve times as much for a moment. A
# block is a multiple of the kernels' own block of views, and at least that.
BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, eq=False)
class Recomputed:
    """`FilteredBackprojection` as it is without gradients, in which one can differentiate all the same.

    The graph keeps the projections, taps and weights and nothing else. The backward pass filters `block` views at a
    time (None: as many as suits the memory), takes their gradients, and puts those of the projections into one tensor.
    Gradients of gradients are those of `FilteredBackprojection`, which keeps what it needs.
    """

    whole: FilteredBackprojection
    block: int | None = None

    def volume(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        """As `FilteredBackprojection.volume`."""
        if transformed(projections, self.whole.taps, self.whole.weights):
            return self.whole.volume(projections, progress)
        result = _Recomputed.apply(autocast(projections), self.whole.taps, self.whole.weights, self, progress)
        assert isinstance(result, Tensor)
        return result

    def adjoint(self, volume: Tensor) -> Tensor:
        """The gradient of the projections from that of the volume, [..., (z,) y, x]."""
        whole = self.whole.replace(self.whole.taps.detach(), self.whole.weights.detach())
        batch = volume.shape[: volume.ndim - len(whole.grid.shape)]
        zeros = volume.new_zeros(()).expand(*batch, *whole.geometry.projection_shape)  # it does not depend on values
        inputs = zeros, whole.taps, whole.weights
        (gradient, *_) = _block_by_block(Recomputed(whole, self.block), inputs, (True, False, False), volume)
        assert gradient is not None
        return gradient

    def blocks(self, projections: Tensor) -> list[slice]:
        """Views that the backward pass takes at a time."""
        views, step = self.whole.views, self.block
        if step is None:
            step = BLOCK_VIEWS * max(1, BLOCK_BYTES // max(1, BLOCK_VIEWS * (projections.nbytes // views)))
        return [slice(start, min(start + step, views)) for start in range(0, views, step)]


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projections: Tensor, taps: Tensor, weights: Tensor, run: Recomputed, progress: Progress | None
    ) -> Tensor:
        ctx.save_for_backward(projections, taps, weights)
        ctx.run = run
        return run.whole.replace(taps, weights).volume(projections, progress)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        gradients = _differentiable if torch.is_grad_enabled() else _block_by_block
        return *gradients(ctx.run, ctx.saved_tensors, ctx.needs_input_grad, grads[0]), None, None


def _differentiable(
    run: Recomputed, inputs: tuple[Tensor, ...], needed: tuple[bool, ...], grad: Tensor
) -> list[Tensor | None]:
    projections, taps, weights = inputs
    volume = run.whole.replace(taps, weights).volume(projections)
    chosen = [tensor for tensor, need in zip(inputs, needed, strict=False) if need]
    gradients = iter(torch.autograd.grad(volume, chosen, grad, create_graph=True))
    return [next(gradients) if need else None for need in needed[:3]]


def _block_by_block(
    run: Recomputed, inputs: tuple[Tensor, ...], needed: tuple[bool, ...], grad: Tensor
) -> list[Tensor | None]:
    projections, taps, weights = inputs
    of_projections = projections.new_empty(projections.shape) if needed[0] else None
    of_taps = torch.zeros_like(taps) if needed[1] else None
    of_weights = torch.empty_like(weights) if needed[2] else None
    for part in run.blocks(projections):
        index = (..., part, *[slice(None)] * (run.whole.scan.ndim - 1))
        own = [projections[index].detach(), taps.detach(), weights[part].detach()]
        gradients = iter(_of_block(run.whole, part, own, needed, grad))
        if of_projections is not None:
            of_projections[index] = next(gradients)
        if of_taps is not None:
            of_taps += next(gradients)
        if of_weights is not None:
            of_weights[part] = next(gradients)
    return [of_projections, of_taps, of_weights]


def _of_block(
    whole: FilteredBackprojection, part: slice, inputs: list[Tensor], needed: tuple[bool, ...], grad: Tensor
) -> tuple[Tensor, ...]:
    """Gradients of those of projections, taps and weights (of the views `part`) that need one."""
    scan, grid = whole.scan, whole.grid
    chosen = [tensor.requires_grad_() for tensor, need in zip(inputs, needed, strict=False) if need]
    with torch.enable_grad():
        filtered = filter_views(inputs[0], scan, inputs[1], inputs[2], part)
    place = (grid.spacing, grid.center, scan.orbit.weighting)
    detector = filtered.shape[1 - scan.ndim :]
    pulled = backproject_adjoint(grad, scan.vectors[part], whole.geometry.divergent, detector, *place)
    return torch.autograd.grad(filtered, chosen, pulled)
