"""Filtered backprojection with gradients in bounded memory: the backward pass filters again, in blocks of views."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from sinograd.geometry import Geometry, Grid
from sinograd.ops.arguments import autocast
from sinograd.ops.backprojection import backproject_adjoint
from sinograd.recon.analytic.filtered_backprojection import BLOCK_VIEWS, Progress, filtered_backprojection
from sinograd.recon.analytic.plan import Plan
from sinograd.recon.analytic.view_filter import filter_views

T = TypeVar("T")

# Bytes of projections in a block of the backward pass; filtering takes about twelve times as much for a moment. A
# block is a multiple of the kernels' own block of views, and at least that.
BLOCK_BYTES = 8 << 20


def recomputed_backprojection(
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor,
    progress: Progress | None = None,
    *,
    block: int | None = None,
) -> Tensor:
    """`filtered_backprojection` as it is without gradients, in which one can differentiate all the same.

    The graph keeps the arguments and nothing else. The backward pass filters `block` views at a time (None: as many
    as suits the memory), takes their gradients, and puts those of the projections into one tensor. Gradients of
    gradients are those of `filtered_backprojection`, which keeps what it needs.
    """
    projections = autocast(projections)
    run = _Run(plan, geometry, grid, block, progress)
    result = _Recomputed.apply(projections, taps, weights, run)
    assert isinstance(result, Tensor)
    return result


@dataclass(frozen=True)
class _Run:
    """What a call is made with, beside the tensors that have gradients."""

    plan: Plan
    geometry: Geometry
    grid: Grid
    block: int | None
    progress: Progress | None

    def whole(self, projections: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
        """The volume; differentiable where gradients are on."""
        return filtered_backprojection(projections, self.plan, self.geometry, self.grid, taps, weights, self.progress)

    def views_at_a_time(self, projections: Tensor) -> int:
        if self.block is not None:
            return self.block
        bytes_of_a_block = BLOCK_VIEWS * (projections.nbytes // self.geometry.views)
        return BLOCK_VIEWS * max(1, BLOCK_BYTES // max(1, bytes_of_a_block))


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projections: Tensor, taps: Tensor, weights: Tensor, run: _Run) -> Tensor:
        ctx.save_for_backward(projections, taps, weights)
        ctx.run = run
        return run.whole(projections, taps, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        if torch.is_grad_enabled():  # gradients of these gradients are asked for
            return *_differentiable(ctx.run, ctx.saved_tensors, ctx.needs_input_grad, grads[0]), None
        return *_block_by_block(ctx.run, ctx.saved_tensors, ctx.needs_input_grad, grads[0]), None


def _differentiable(
    run: _Run, inputs: tuple[Tensor, ...], needed: tuple[bool, ...], grad: Tensor
) -> list[Tensor | None]:
    projections, taps, weights = inputs
    volume = run.whole(projections, taps, weights)
    wanted = [tensor for tensor, need in zip(inputs, needed, strict=False) if need]
    found = iter(torch.autograd.grad(volume, wanted, grad, create_graph=True))
    return [next(found) if need else None for need in needed[:3]]


def _block_by_block(
    run: _Run, inputs: tuple[Tensor, ...], needed: tuple[bool, ...], grad: Tensor
) -> tuple[Tensor | None, ...]:
    projections, taps, weights = inputs
    plan, ndim, views = run.plan, run.geometry.ndim, run.geometry.views
    of_projections = torch.empty_like(projections) if needed[0] else None
    of_taps = torch.zeros_like(taps) if needed[1] else None
    of_weights = torch.empty_like(weights) if needed[2] else None
    step = run.views_at_a_time(projections)
    for start in range(0, views, step):
        part = slice(start, min(start + step, views))
        index = (..., part, *[slice(None)] * (ndim - 1))
        some = of_views(plan, part, views)
        own = [projections[index].detach(), taps.detach(), weights[part].detach()]
        wanted = [tensor.requires_grad_() for tensor, need in zip(own, needed, strict=False) if need]
        with torch.enable_grad():
            filtered = filter_views(own[0], some, ndim, own[1], own[2], slice(0, part.stop - part.start))
        place = (run.grid.spacing, run.grid.center, plan.orbit.weighting)
        detector = filtered.shape[1 - ndim :]
        pulled = backproject_adjoint(grad, some.vectors, run.geometry.divergent, detector, *place)
        found = iter(torch.autograd.grad(filtered, wanted, pulled))
        if of_projections is not None:
            of_projections[index] = next(found)
        if of_taps is not None:
            of_taps += next(found)
        if of_weights is not None:
            of_weights[part] = next(found)
    return of_projections, of_taps, of_weights


def of_views(plan: T, part: slice, views: int) -> T:
    """The same plan (or a part of one) for some of its views: every tensor with an entry for each view is cut."""
    cut: dict[str, Any] = {}
    for field in dataclasses.fields(plan):  # pyright: ignore[reportArgumentType]
        value = getattr(plan, field.name)
        if isinstance(value, Tensor) and value.ndim > 0 and len(value) == views:
            cut[field.name] = value[part]
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            cut[field.name] = of_views(value, part, views)
    return dataclasses.replace(plan, **cut)  # pyright: ignore[reportArgumentType]
