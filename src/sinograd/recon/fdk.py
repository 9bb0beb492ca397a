"""`fdk`: cone-beam reconstruction after Feldkamp, Davis and Kress."""

from __future__ import annotations

from torch import Tensor

from sinograd.geometry import ConeBeam, Geometry, Grid
from sinograd.ops.validity import check_pair
from sinograd.recon.filtered_backprojection import Plan, Progress, filtered_backprojection, make_plan


def fdk(
    projections: Tensor,
    geometry: ConeBeam,
    grid: Grid | None = None,
    *,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    truncation: str = "none",
    taps: Tensor | None = None,
    weights: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Reconstructs a volume from cone-beam projections on a circular orbit.

    L. A. Feldkamp, L. C. Davis, J. W. Kress, "Practical cone-beam algorithm", JOSA A 1(6), 1984, with redundancy
    weights for the rays that were measured (full, over-, short scan, half fan, gaps, uneven angles). Differentiable
    to any order in projections, taps and weights. Without gradients a call allocates the volume and a block of
    filtered views; with gradients all filtered projections as well.

    Args:
        projections: line integrals [..., views, rows, columns], float32 or float64.
        geometry: a cone beam on a circular orbit with its detector's rows parallel to z.
        grid: the voxels; `geometry.default_grid()` if not given.
        window: "ram-lak", "shepp-logan", "cosine", "hamming" or "hann".
        cutoff: where the window ends, as a fraction of the Nyquist frequency.
        truncation: "ellipse" continues every row beyond the detector before it is filtered, for objects larger than
            the field of view (see `recon.truncation`); filtering then takes twice as long. "none": zeros.
        taps: filter taps [2 k + 1] to use instead of the window's (see `recon.ramp.ramp_taps`).
        weights: redundancy weights [views, columns] to use instead of those of the coverage (for a tilted or turned
            detector, of the upright one that takes its place: `FDK(...).weights` has their shape).
        progress: called with (views done, views) between blocks of views.

    Returns:
        Attenuation in 1/mm, [..., Z, Y, X].

    Raises:
        TypeError: not a cone beam, or a wrong dtype.
        ValueError: wrong shapes, NaN in the projections, an orbit for which FDK is not defined.

    Warns:
        CoverageWarning: rays are missing; says which.
    """
    grid = check_fdk(geometry, grid)
    plan = make_plan(geometry, grid, "FDK", truncation)
    return run_plan(projections, plan, geometry, grid, window, cutoff, taps, weights, progress)


def check_fdk(geometry: Geometry, grid: Grid | None) -> Grid:
    """The grid to use, after checking that FDK takes the geometry."""
    if not isinstance(geometry, ConeBeam):
        raise TypeError(
            f"geometry: fdk takes a ConeBeam, got {type(geometry).__name__} (fbp takes fan and parallel beams)"
        )
    grid = geometry.default_grid() if grid is None else grid
    check_pair(geometry, grid)
    return grid


def run_plan(
    projections: Tensor,
    plan: Plan,
    geometry: Geometry,
    grid: Grid,
    window: str,
    cutoff: float,
    taps: Tensor | None,
    weights: Tensor | None,
    progress: Progress | None,
) -> Tensor:
    """Filtered backprojection with the window's taps unless others are given."""
    if taps is None:
        taps = plan.default_taps(window, cutoff)
    return filtered_backprojection(projections, plan, geometry, grid, taps, weights, progress)
