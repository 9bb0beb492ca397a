"""`katsevich`: exact helical reconstruction."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from sinograd.errors import CoverageWarning, InputError
from sinograd.geometry import ConeBeam, Grid
from sinograd.ops.arguments import autocast, check_pair, check_projections
from sinograd.ops.backprojection import backprojection_pair
from sinograd.ops.derivatives import linear_op, untransformed
from sinograd.recon.algorithms import any_orbit_algorithms
from sinograd.recon.analytic.helical.coverage import grid_radius
from sinograd.recon.analytic.helical.exact_filter import ExactFilter
from sinograd.recon.analytic.helical.exact_scan import ExactScan, exact_scan
from sinograd.recon.analytic.helical.tam_danielson import check_window
from sinograd.recon.analytic.orbit import defined_for

# Views that are filtered and backprojected at a time.
BLOCK_VIEWS = 192


def katsevich(
    projections: Tensor,
    geometry: ConeBeam,
    grid: Grid | None = None,
    *,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Reconstructs a volume from a helical scan by Katsevich's exact formula.

    In the form of F. Noo, J. Pack, D. Heuscher, "Exact helical reconstruction using native cone-beam geometries",
    Physics in Medicine and Biology 48(23), 2003: views are differentiated along the helix, Hilbert transformed along
    kappa lines and backprojected from the Tam-Danielson window, in which each voxel is seen from exactly its pi
    segment. There are no artefacts of the cone angle, whatever it is; rays outside of the window do not contribute, so
    noise is higher than with `helical_fbp`. Differentiable to any order in projections.

    Args:
        projections: line integrals [..., views, rows, columns], float32 or float64.
        geometry: a helical cone beam of equal steps and one focal position, whose detector is flat and at right angles
            to the line from the source to the axis, or curved about the source, and sees the whole Tam-Danielson
            window. Views of a flying focal spot are several helices: `geometry[0::n]` to `geometry[n - 1::n]`.
        grid: the voxels; `geometry.default_grid()` if not given.
        window: a name of `recon.WINDOWS`, of the Hilbert transform.
        cutoff: where the window ends, as a fraction of the Nyquist frequency.
        progress: called with (views done, views) between blocks of views.

    Returns:
        Attenuation in 1/mm, [..., Z, Y, X].

    Raises:
        TypeError: not a cone beam, or a wrong dtype.
        ValueError: wrong shapes, NaN in the projections, another orbit or detector, a focal spot that flies, a
            detector that does not see the whole window: with the largest pitch.

    Warns:
        CoverageWarning: slices whose pi segments are not whole, with the range in which they are.
    """
    with untransformed():
        grid = geometry.default_grid() if grid is None else grid
        check_pair(geometry, grid)
        others = ", ".join(any_orbit_algorithms("ConeBeam"))
        with defined_for("Katsevich's formula", f"; helical_fbp takes such scans, or iterative algorithms: {others}"):
            scan = exact_scan(geometry)
            check_window(scan)
        _warn_of_ends(scan, grid)
        filter_ = ExactFilter.of(scan, window, cutoff)
    projections = autocast(projections)
    check_projections(projections, geometry)
    batch = projections.shape[:-3]
    volumes = [
        _one(one, scan, filter_, grid, progress) for one in projections.reshape(-1, *projections.shape[-3:]).unbind()
    ]
    if not volumes:
        return projections.new_zeros((*batch, *grid.shape))
    return torch.stack(volumes).view(*batch, *grid.shape)


def _one(
    projections: Tensor, scan: ExactScan, filter_: ExactFilter, grid: Grid, progress: Callable[[int, int], None] | None
) -> Tensor:
    helix, vectors = scan.helix, scan.middles()
    flips = [axis for axis, turned in ((0, helix.reverse), (1, helix.upside_down), (2, scan.mirrored)) if turned]
    projections = projections.flip(flips) if flips else projections
    volume = projections.new_zeros(grid.shape)
    for first in range(0, helix.views - 1, BLOCK_VIEWS):
        end = min(first + BLOCK_VIEWS, helix.views - 1)
        filtered = filter_.apply(projections[first : end + 1])
        if not bool(torch.isfinite(projections[first : end + 1].detach()).all()):
            raise InputError(f"projections: expected finite values, got NaN or infinity in views {first} to {end}")
        pair = backprojection_pair(vectors[first:end], True, filtered.shape[1:], grid, "ratio")
        volume = volume + linear_op(filtered, *pair)
        if progress is not None:
            progress(end, helix.views - 1)
    return volume


def supported_heights(scan: ExactScan, radius: float) -> tuple[float, float]:
    """Lowest and highest z, mm, within a radius at which every pi segment lies between the first and the last view."""
    helix = scan.helix
    radius = min(radius, helix.radius * math.sin(float(scan.fan_angles.abs().max())))
    t = torch.linspace(-radius, radius, 101, dtype=torch.float64)
    fan = torch.asin(t / helix.radius)
    length = helix.radius * fan.cos() + (radius**2 - t.square()).clamp_min(0).sqrt()
    reach = abs(helix.pitch) / (2 * math.pi * helix.radius) * float(((math.pi / 2 + fan) / fan.cos() * length).max())
    ends = sorted(float(helix.vectors[view, 0, 2]) for view in (0, -1))
    return ends[0] + reach, ends[1] - reach


def _warn_of_ends(scan: ExactScan, grid: Grid) -> None:
    radius = grid_radius(grid)
    low, high = supported_heights(scan, radius)
    z = (torch.arange(grid.shape[0], dtype=torch.float64) - (grid.shape[0] - 1) / 2) * grid.spacing[0] + grid.center[2]
    beyond = int(((z < low) | (z > high)).sum())
    if beyond:
        supported = f"z from {low:.4g} to {high:.4g} mm" if low <= high else "no slice"
        text = (
            f"the helix has whole pi segments for {supported} within {radius:.4g} mm of the axis; {beyond} of "
            f"{grid.shape[0]} slices, from {float(z[0]):.4g} to {float(z[-1]):.4g} mm, lie beyond and are wrong"
        )
        warnings.warn(CoverageWarning(text), stacklevel=3)
