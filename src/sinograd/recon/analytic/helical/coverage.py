"""Which slices a helix supports, and the largest pitch: `helix_coverage`."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import CoverageWarning
from sinograd.geometry import Grid
from sinograd.geometry.vectors import V
from sinograd.recon.analytic.helical.fan_rays import fan_rays
from sinograd.recon.analytic.helical.rebinning import Rebinning

# Directions and places at which the coverage is looked at, and mm that do not count.
DIRECTIONS, PLACES = 24, 16
TOLERANCE = 1e-6


@dataclass(frozen=True)
class HelixCoverage:
    """What a helical scan measures within a distance of the axis.

    Attributes:
        radius: that distance, mm.
        lowest, highest: height, mm, of the lowest and the highest slice in which every voxel is seen on lines of all
            directions. The lowest is above the highest where there is none.
        gap: the largest height, mm, between turns that no view sees in some direction; 0 if there is none.
        pitch: mm of table feed per turn, without its sign.
        largest_pitch: the largest without gaps at that radius: 2 pi h A / (D (pi + 2 gamma)), h the height of the
            detector, A and D the distances from the source to the middle of the ray at the radius and to the detector,
            gamma its fan angle.
        collimation: height of the detector, scaled to the axis, mm.
    """

    radius: float
    lowest: float
    highest: float
    gap: float
    pitch: float
    largest_pitch: float
    collimation: float


def grid_radius(grid: Grid) -> float:
    """Largest distance of a voxel's centre from the axis, mm."""
    return max(math.hypot(x, y) for x, y, _ in grid.corners().tolist())


def helix_coverage(rebinning: Rebinning, radius: float) -> HelixCoverage:
    """The coverage within a radius in mm, or within the field of view where that is smaller.

    Of one height of the focal spot. Heights are those of an even helix, sources those of a circle.
    """
    helix, lattice = rebinning.helix, rebinning.lattice
    distances = lattice.distances
    radius = min(radius, float(-distances[0]), float(distances[-1]))
    around = torch.arange(PLACES, dtype=torch.float64) * (2 * math.pi / PLACES)
    places = torch.cat([share * radius * torch.stack([around.cos(), around.sin()]) for share in (1.0, 0.5, 0.0)], dim=1)
    lowest, highest, gap = -math.inf, math.inf, 0.0
    for view in range(0, lattice.half, max(1, lattice.half // DIRECTIONS)):
        low, high = _heights(rebinning, torch.arange(view, lattice.end, lattice.half), places)
        lowest = max(lowest, float(low.amin(0).max()))
        highest = min(highest, float(high.amax(0).min()))
        if helix.pitch < 0:
            low, high = low.flip(0), high.flip(0)
        if len(low) > 1:
            gap = max(gap, float((low[1:] - high[:-1]).max()))
    first = rebinning.views[:1]
    rays = fan_rays(
        helix.vectors[first], helix.angles[first], helix.shape, torch.tensor([radius, 0.0], dtype=torch.float64)
    )
    height = helix.shape[0] * helix.row_spacing
    fan = math.asin(radius / helix.radius)
    largest = 2 * math.pi * height * float(rays.source[0, 0] / rays.detector[0, 0]) / (math.pi + 2 * fan)
    collimation = height * float(rays.source[0, 1] / rays.detector[0, 1])
    gap = gap if gap > TOLERANCE else 0.0
    return HelixCoverage(radius, lowest, highest, gap, abs(helix.pitch), largest, collimation)


def _heights(rebinning: Rebinning, views: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest z, [views, places], that the detector's edges see from views of the lattice."""
    helix, lattice = rebinning.helix, rebinning.lattice
    theta = (lattice.first + views * (math.pi / lattice.half))[:, None]
    t = theta.cos() * places[0] + theta.sin() * places[1]
    depth = theta.cos() * places[1] - theta.sin() * places[0]
    own = rebinning.views[:1]
    rays = fan_rays(helix.vectors[own], helix.angles[own], helix.shape, lattice.distances)
    index = ((t - lattice.nearest) / lattice.spacing).round().clamp(0, lattice.count - 1).long()
    slope = helix.vectors[own, V, 2] / rays.detector[0][index]
    angle = theta + torch.asin(t / helix.radius)
    above = rays.height - helix.z_start - helix.pitch * helix.angles[own] / (2 * math.pi)
    source = helix.z_start + helix.pitch * angle / (2 * math.pi) + above
    length = (helix.radius**2 - t.square()).sqrt() + depth
    ends = [source + (row - rays.row) * slope * length for row in (-0.5, helix.shape[0] - 0.5)]
    return torch.minimum(*ends), torch.maximum(*ends)


def warn_of_coverage(coverage: HelixCoverage, grid: Grid) -> None:
    """CoverageWarning for a pitch that leaves gaps, and for slices of the grid that the helix does not support."""
    if coverage.gap:
        ratio = 1 / coverage.collimation
        text = (
            f"the pitch of {coverage.pitch:.4g} mm a turn ({coverage.pitch * ratio:.3g} of the collimation) is too "
            f"large: {coverage.radius:.4g} mm from the axis, lines up to {coverage.gap:.3g} mm along z are seen by no "
            f"view in some directions; the largest pitch there is {coverage.largest_pitch:.4g} mm "
            f"({coverage.largest_pitch * ratio:.3g})"
        )
        warnings.warn(CoverageWarning(text), stacklevel=4)
    count, spacing, middle = grid.shape[0], grid.spacing[0], grid.center[2]
    z = (torch.arange(count, dtype=torch.float64) - (count - 1) / 2) * spacing + middle
    beyond = int(((z < coverage.lowest - TOLERANCE) | (z > coverage.highest + TOLERANCE)).sum())
    if beyond:
        supported = (
            f"z from {coverage.lowest:.4g} to {coverage.highest:.4g} mm"
            if coverage.lowest <= coverage.highest
            else "no slice"
        )
        text = (
            f"the helix supports {supported} within {coverage.radius:.4g} mm of the axis; {beyond} of {count} slices, "
            f"from {float(z[0]):.4g} to {float(z[-1]):.4g} mm, lie beyond: views of some directions are missing there, "
            "and values are too small"
        )
        warnings.warn(CoverageWarning(text), stacklevel=4)
