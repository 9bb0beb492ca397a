"""The range of values that whole numbers of an output stand for: as requested, or from one coarse reconstruction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sinograd.errors import InputError
from sinograd.workflows.slab_job import Scaling

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.workflows.reconstruction import Request

COARSE, VIEWS, MARGIN = 96, 180, 0.25
"""Voxels along an axis and views of the coarse reconstruction, and its span that is added on both sides: noise of
single voxels is larger than that of coarse ones."""


def scaling_of(request: Request, scan: Scan, grid: Grid, water: float | None) -> Scaling | None:
    """How values become whole numbers; None for float32.

    scan: the prepared one, with its final geometry.
    """
    dtype = whole_numbers(request)
    if dtype is None:
        return None
    low, high = coarse_range(request, scan, grid, water) if request.range is None else request.range
    return Scaling(low, high, dtype)


def whole_numbers(request: Request) -> str | None:
    """The type of whole numbers that values are stored as; None: float32."""
    dtype = request.dtype or ("float32" if request.range is None else "uint16")
    return None if dtype == "float32" else dtype


def check_range(value: tuple[float, ...] | None, dtype: str | None) -> None:
    """InputError for what is no range, or one of float32."""
    if value is None:
        return
    if len(value) != 2 or not all(map(math.isfinite, value)) or not value[0] < value[1]:
        raise InputError(f"`range`: expected LOW,HIGH, two growing numbers, got {','.join(f'{v:g}' for v in value)}")
    if dtype == "float32":
        raise InputError("`range` is for whole numbers, `dtype` uint16 or uint8; float32 keeps all values")


def coarse_range(request: Request, scan: Scan, grid: Grid, water: float | None) -> tuple[float, float]:
    """Lowest and highest value of a volume of few voxels from some views, and a margin."""
    from sinograd.data.projections import load_views
    from sinograd.geometry import Grid as CoarseGrid
    from sinograd.geometry import detector_region
    from sinograd.preparation.region import bin_elements
    from sinograd.recon import FilteredBackprojection

    factor = max(1, math.ceil(max(grid.shape) / COARSE))
    shape = tuple(math.ceil(n / factor) for n in grid.shape)
    spacing = tuple(s * n / m for s, n, m in zip(grid.spacing, grid.shape, shape, strict=True))
    coarse = CoarseGrid(shape, spacing, grid.center)
    views = list(range(0, scan.shape[0], max(1, scan.shape[0] // VIEWS)))
    binning = min(factor, *scan.geometry.projection_shape[1:])
    images = []
    for view in views:
        image = load_views(scan.projections, slice(view, view + 1))
        images.append(bin_elements(image, scan.geometry[[view]], binning)[0])
    geometry = detector_region(scan.geometry[views], binning=binning)
    whole = FilteredBackprojection.of(geometry, coarse, window="hann", truncation=request.truncation, warn=False)
    volume = whole.volume(torch.cat(images))
    if water is not None:
        volume = (volume / water - 1) * 1000
    low, high = float(volume.min()), float(volume.max())
    margin = MARGIN * (high - low) if high > low else max(abs(low), 1e-6)
    return low - margin, high + margin
