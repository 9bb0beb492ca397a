"""`fdk`: cone-beam reconstruction after Feldkamp, Davis and Kress."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputTypeError
from sinograd.geometry import ConeBeam, Geometry, Grid
from sinograd.ops.arguments import check_pair
from sinograd.ops.derivatives import untransformed
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection, Progress


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
    device: torch.device | str | None = None,
    memory: int | None = None,
) -> Tensor:
    """Reconstructs a volume from cone-beam projections on a circular orbit.

    L. A. Feldkamp, L. C. Davis, J. W. Kress, "Practical cone-beam algorithm", JOSA A 1(6), 1984, with redundancy
    weights for the rays that were measured (full, over-, short scan, half fan, gaps, uneven angles). Differentiable
    to any order in projections, taps and weights. Without gradients a call allocates the volume and a block of
    filtered views, and one more volume for more than 360 views; with gradients all filtered projections as well.

    Args:
        projections: line integrals [..., views, rows, columns], float32 or float64.
        geometry: a cone beam on a circular orbit with its detector's rows parallel to z.
        grid: the voxels; `geometry.default_grid()` if not given.
        window: a name of `recon.WINDOWS`, from sharp to smooth, such as "ram-lak" or "hann".
        cutoff: where the window ends, as a fraction of the Nyquist frequency.
        truncation: "ellipse" continues every row beyond the detector before it is filtered, for objects larger than
            the field of view (see `recon.truncation`); filtering then takes twice as long. "none": zeros.
        taps: filter taps [2 k + 1] to use instead of the window's (see `recon.ramp.ramp_taps`).
        weights: redundancy weights [views, columns] to use instead of those of the coverage (for a tilted or turned
            detector, of the upright one that takes its place: `FDK(...).weights` has their shape).
        progress: called with (views done, views) between blocks of views.
        device: where to compute; by default where the projections are. Projections in host memory are copied to a GPU
            block by block, and the volume comes back to host memory. Where the volume does not fit there, it is
            computed in slabs along z, each from the detector rows that it needs: the same bits on the CPU (up to
            rounding where rays are steeper than 45 degrees), and views are counted once for each slab. With
            gradients everything has to fit, as nothing is computed in slabs then; projections are filtered again in
            the backward pass.
        memory: bytes to use on `device`; by default 80 % of what a GPU has free.

    Returns:
        Attenuation in 1/mm, [..., Z, Y, X].

    Raises:
        TypeError: not a cone beam, or a wrong dtype.
        ValueError: wrong shapes, NaN in the projections (not while a CUDA graph is captured: a captured call does not
            look for NaN), an orbit for which FDK is not defined, a device that is not there, too little memory.

    Warns:
        CoverageWarning: rays are missing; says which.
    """
    with untransformed():
        grid = check_fdk(geometry, grid)
        whole = FilteredBackprojection.of(geometry, grid, window=window, cutoff=cutoff, truncation=truncation)
    whole = whole.replace(whole.taps if taps is None else taps, whole.scan.weights if weights is None else weights)
    return whole.on(device, memory).volume(projections, progress)


def check_fdk(geometry: Geometry, grid: Grid | None) -> Grid:
    """The grid to use, after checking that FDK takes the geometry."""
    if not isinstance(geometry, ConeBeam):
        raise InputTypeError(
            f"geometry: fdk takes a ConeBeam, got {type(geometry).__name__} (fbp takes fan and parallel beams)"
        )
    grid = geometry.default_grid() if grid is None else grid
    check_pair(geometry, grid)
    return grid
