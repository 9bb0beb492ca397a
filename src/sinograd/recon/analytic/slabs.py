"""Filtered backprojection on a device of tensors in host memory: whole where the volume fits, else in slabs along z."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import EllipsisType

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid, detector_region
from sinograd.ops.arguments import autocast
from sinograd.ops.devices import compute_device
from sinograd.ops.slab_plan import Slab, memory_of
from sinograd.ops.transfers import Downloads
from sinograd.recon.analytic.filtered_backprojection import (
    Progress,
    add_filtered_backprojection,
    block_views,
    check_inputs,
    filtered_backprojection,
    wants_gradients,
)
from sinograd.recon.analytic.needed_rows import image_rows
from sinograd.recon.analytic.plan import Plan, make_plan
from sinograd.recon.analytic.recomputed import recomputed_backprojection
from sinograd.recon.analytic.view_filter import strip_views

# A block of views takes at most this share of the memory (or is a single view). It is held five times: itself, the one
# before, the next on its way, filtered, in the layout of the kernels. A strip of it is held four times while it is
# transformed.
BLOCK_SHARE, BLOCK_COPIES, STRIP_COPIES = 32, 5, 4
# Bytes of a result that are copied to host memory at a time.
DOWNLOAD_BYTES = 256 << 20

Index = tuple[EllipsisType | slice, ...]


@dataclass(frozen=True)
class Part:
    """Slices of a volume that are computed at a time.

    Attributes:
        slab: which.
        rows: the detector rows that they need, first and end; None: none sees them.
        block: views that are on the device at a time.
    """

    slab: Slab
    rows: tuple[int, int] | None
    block: int


def filtered_backprojection_on(
    device: torch.device | str,
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None = None,
    progress: Progress | None = None,
    memory: int | None = None,
) -> Tensor:
    """`filtered_backprojection` on a device; the result is where the projections are.

    Raises:
        ValueError: a device that is not there; projections on another one that is not the host; too little memory for
            a slice, or, with gradients, for the whole.
    """
    where = compute_device(device)
    projections = autocast(projections)
    check_inputs(projections, plan, geometry, taps, weights)
    if projections.device == where and (memory is None or where.type == "cuda"):
        return filtered_backprojection(projections, plan, geometry, grid, taps, weights, progress)
    if projections.device.type != "cpu":
        raise InputError(
            f"projections: expected a tensor in host memory or on {where}, got one on {projections.device}"
        )
    memory, lead = memory_of(where, memory), projections.shape[: projections.ndim - geometry.ndim]
    volumes = projections.element_size() * max(1, lead.numel())
    if wants_gradients(projections, taps, weights):
        _check_fits_with_gradients(plan, geometry, grid, volumes, memory, where)
        weights = plan.weights if weights is None else weights
        moved = projections.to(where)
        return recomputed_backprojection(moved, plan, geometry, grid, taps, weights, progress).to(projections.device)
    volume = projections.new_empty((*lead, *grid.shape))
    if projections.numel() == 0:
        return volume
    parts = parts_that_fit(plan, geometry, grid, memory, volumes, where.type == "cuda")
    downloads = Downloads(where)
    seen = sum(part.rows is not None for part in parts)
    done = 0
    for part in parts:
        tell = None if progress is None else _as_one_of(progress, done, seen)
        done += part.rows is not None
        result = _computed(part, where, projections, plan, geometry, grid, taps, weights, tell)
        for slices, place in _pieces(part.slab, grid, volumes):
            downloads.put(result[slices], volume[place].copy_)
        del result
    downloads.finish()
    return volume


def parts_that_fit(plan: Plan, geometry: Geometry, grid: Grid, memory: int, element: int, on_gpu: bool) -> list[Part]:
    """One part that is everything, where that fits into `memory` bytes; else the fewest slabs of about equal thickness.

    Args:
        plan, geometry, grid: of the whole.
        memory: bytes on the device. A part takes its slices and a few blocks of views there.
        element: bytes of a voxel, with all volumes of a batch.
        on_gpu: as blocks are larger there.

    Raises:
        ValueError: one slice does not fit.
    """
    slices, count = grid.shape[0] if grid.ndim == 3 else 1, 1
    while True:
        edges = [round(i * slices / count) for i in range(count + 1)]
        parts, largest = [], 0
        for first, last in itertools.pairwise(edges):
            slab = Slab(first, last, torch.zeros(0, 2))
            rows = (0, geometry.detector.rows) if count == 1 else _rows(geometry, slab.grid(grid))
            block, needed = _needs(plan, geometry, rows, _voxels(grid, last - first) * element, memory, element, on_gpu)
            parts.append(Part(slab, rows, block))
            largest = max(largest, needed)
        if largest <= memory:
            return parts
        if count == slices:
            raise InputError(
                f"memory: {memory:,} bytes are too few; a slice of {' x '.join(map(str, grid.shape[-2:]))} voxels and "
                f"the views that it is computed from take {largest:,} bytes"
            )
        count = min(slices, max(count + 1, int(count * min(2.0, largest / memory))))


def _rows(geometry: Geometry, grid: Grid) -> tuple[int, int] | None:
    first, end = image_rows(geometry, grid)
    first, end = max(0, first), min(geometry.detector.rows, end)
    return (first, end) if first < end else None


def _voxels(grid: Grid, slices: int) -> int:
    return slices * grid.shape[-2] * grid.shape[-1]


def _needs(
    plan: Plan,
    geometry: Geometry,
    rows: tuple[int, int] | None,
    volume: int,
    memory: int,
    element: int,
    on_gpu: bool,
) -> tuple[int, int]:
    """Views of a block, and all bytes on the device."""
    if rows is None:
        return 1, volume
    # a tilted detector is resampled to a larger one
    count = -(-(rows[1] - rows[0]) * plan.detector.shape[0] // geometry.detector.rows)
    view = count * max(plan.columns, geometry.columns) * element
    block = min(geometry.views, block_views(volume, view, on_gpu), max(1, memory // (BLOCK_SHARE * view)))
    transformed = 2 * count * max(plan.columns, plan.rays.per_column.shape[1]) * element
    strip = min(block, strip_views(view, on_gpu))
    return block, volume + BLOCK_COPIES * block * view + STRIP_COPIES * strip * transformed


def _check_fits_with_gradients(
    plan: Plan, geometry: Geometry, grid: Grid, element: int, memory: int, where: torch.device
) -> None:
    """Projections, volume and the gradients of both are on the device at once."""
    rows, volume = (0, geometry.detector.rows), element * math.prod(grid.shape)
    projections = element * math.prod(geometry.projection_shape)
    _, needed = _needs(plan, geometry, rows, 2 * (volume + projections), memory, element, where.type == "cuda")
    if needed > memory:
        raise InputError(
            f"projections: gradients need all of it on {where} at once, {needed:,} bytes, and {memory:,} may be used; "
            "compute without gradients (torch.no_grad()), which goes slab by slab, or with fewer views or voxels"
        )


def _computed(
    part: Part,
    where: torch.device,
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    taps: Tensor,
    weights: Tensor | None,
    progress: Progress | None,
) -> Tensor:
    """The slices of a part, on the device."""
    lead = projections.shape[: projections.ndim - geometry.ndim]
    if part.slab.last - part.slab.first < grid.shape[0] and grid.ndim == 3:
        grid = part.slab.grid(grid)
        if part.rows is not None:
            projections = projections[..., part.rows[0] : part.rows[1], :]
            geometry = detector_region(geometry, rows=part.rows)
            plan = make_plan(geometry, grid, plan.algorithm, plan.truncation, warn=False)
            check_inputs(projections, plan, geometry, taps, weights)
    result = projections.new_zeros((*lead, *grid.shape), device=where)
    if part.rows is None:
        return result
    return add_filtered_backprojection(
        result, projections, plan, geometry, grid, taps, weights, progress, block=part.block
    )


def _pieces(slab: Slab, grid: Grid, element: int) -> list[tuple[Index, Index]]:
    """Where in a slab, and where in the volume: pieces of it that are copied at a time."""
    if grid.ndim == 2:
        return [((...,), (...,))]
    step = max(1, DOWNLOAD_BYTES // (element * _voxels(grid, 1)))
    return [
        (
            _slices(first - slab.first, min(first + step, slab.last) - slab.first),
            _slices(first, min(first + step, slab.last)),
        )
        for first in range(slab.first, slab.last, step)
    ]


def _slices(first: int, last: int) -> Index:
    return (..., slice(first, last), slice(None), slice(None))


def _as_one_of(progress: Progress, number: int, count: int) -> Progress:
    """Views of all slabs in place of those of one."""
    return lambda done, views: progress(number * views + done, count * views)
