"""`fbp`: filtered backprojection of fan and parallel beams."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputTypeError
from sinograd.geometry import FanBeam, Geometry, Grid, ParallelBeam
from sinograd.ops.arguments import check_pair
from sinograd.ops.derivatives import untransformed
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection, Progress


def fbp(
    projections: Tensor,
    geometry: FanBeam | ParallelBeam,
    grid: Grid | None = None,
    *,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    truncation: str = "none",
    taps: Tensor | None = None,
    weights: Tensor | None = None,
    progress: Progress | None = None,
    device: torch.device | str | None = None,
    memory: int | None = None,
) -> Tensor:
    """Reconstructs an image from fan-beam or parallel-beam projections (a volume from 3-D parallel ones).

    A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", IEEE Press, 1988, chapter 3, with
    redundancy weights for the rays that were measured (full, over-, short scan, half fan, gaps, uneven angles).
    Differentiable to any order in projections, taps and weights.

    Args:
        projections: line integrals [..., views, columns] (3-D parallel: [..., views, rows, columns]), float32 or
            float64.
        geometry: a fan beam on a circular orbit or a parallel beam.
        grid: the voxels; `geometry.default_grid()` if not given.
        window, cutoff, truncation, taps, weights, progress, device, memory: as in `fdk`; 2-D images are never split.

    Returns:
        Attenuation in 1/mm, [..., Y, X] (3-D parallel: [..., Z, Y, X]).

    Raises:
        TypeError: a cone beam, or a wrong dtype.
        ValueError: as `fdk`.

    Warns:
        CoverageWarning: rays are missing; says which.
    """
    with untransformed():
        grid = check_fbp(geometry, grid)
        whole = FilteredBackprojection.of(geometry, grid, window=window, cutoff=cutoff, truncation=truncation)
    whole = whole.replace(whole.taps if taps is None else taps, whole.scan.weights if weights is None else weights)
    return whole.on(device, memory).volume(projections, progress)


def check_fbp(geometry: Geometry, grid: Grid | None) -> Grid:
    """The grid to use, after checking that filtered backprojection takes the geometry."""
    if not isinstance(geometry, (FanBeam, ParallelBeam)):
        raise InputTypeError(
            f"geometry: fbp takes a FanBeam or ParallelBeam, got {type(geometry).__name__} (fdk takes cone beams)"
        )
    grid = geometry.default_grid() if grid is None else grid
    check_pair(geometry, grid)
    return grid
