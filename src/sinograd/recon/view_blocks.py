"""Filtered backprojection with gradients in bounded memory: some views at a time, filtered again in the backward pass.

A volume is the sum of what its views make. Each block of views becomes a part of the graph that keeps the block's
projections and nothing else; the backward pass filters it once more.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sinograd.geometry import Geometry, Grid
from sinograd.recon.filtered_backprojection import Plan, Progress, filtered_backprojection

T = TypeVar("T")

# Bytes of projections in a block; filtering takes about twelve times as much for a moment.
BLOCK_BYTES = 16 << 20


def recomputed_backprojection(
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None,
    progress: Progress | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Tensor:
    """`filtered_backprojection` to rounding; keeps no more for the backward pass than the projections themselves."""
    axis = projections.ndim - geometry.ndim
    views = geometry.views
    if tuple(projections.shape[axis:]) != geometry.projection_shape or projections.numel() == 0:
        return filtered_backprojection(projections, plan, geometry, grid, taps, weights, progress)  # says what is wrong
    view_bytes = max(1, projections.numel() // views * projections.element_size())
    count = max(1, block_bytes // view_bytes)
    volume = None
    for i, block in enumerate(projections.split(count, dim=axis)):
        part = slice(i * count, min((i + 1) * count, views))
        made = checkpoint(
            filtered_backprojection,
            block,
            of_views(plan, part, views),
            geometry[part],
            grid,
            taps,
            None if weights is None else weights[part],
            None,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        assert isinstance(made, Tensor)
        volume = made if volume is None else volume + made
        if progress is not None:
            progress(part.stop, views)
    assert volume is not None
    return volume


def of_views(plan: T, part: slice, views: int) -> T:
    """The same plan (or a part of one) for some of its views: every tensor with an entry for each view is cut."""
    cut: dict[str, Any] = {}
    for field in dataclasses.fields(plan):  # pyright: ignore[reportArgumentType]
        value = getattr(plan, field.name)
        if isinstance(value, Tensor) and len(value) == views:
            cut[field.name] = value[part]
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            cut[field.name] = of_views(value, part, views)
    return dataclasses.replace(plan, **cut)  # pyright: ignore[reportArgumentType]
