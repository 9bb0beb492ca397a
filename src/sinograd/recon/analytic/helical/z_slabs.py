"""Slices of a volume that are reconstructed at a time, and the half turns that they need."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sinograd.geometry import Grid
from sinograd.geometry.vectors import V
from sinograd.recon.analytic.helical.coverage import grid_radius
from sinograd.recon.analytic.helical.fan_rays import fan_rays
from sinograd.recon.analytic.helical.rebinning import Rebinning

# Bytes of filtered views that are held at a time, unless a slice alone needs more.
BUFFER_BYTES = 3 << 29


@dataclass(frozen=True)
class ZSlab:
    """Slices of a volume, their grid, and the half turns (first, end) whose views see them."""

    slices: slice
    grid: Grid
    first: int
    end: int


def z_slabs(rebinning: Rebinning, grid: Grid, element: int) -> list[ZSlab]:
    """The fewest slabs of about equal thickness whose views fit the buffer, in the order in which the source goes."""
    lattice, count = rebinning.lattice, 1
    bytes_of_half_turn = lattice.half * rebinning.helix.shape[0] * lattice.fine_count * element
    while True:
        edges = [round(i * grid.shape[0] / count) for i in range(count + 1)]
        slabs = [_slab(rebinning, grid, edges[i], edges[i + 1]) for i in range(count)]
        if count >= grid.shape[0] or max(s.end - s.first for s in slabs) * bytes_of_half_turn <= BUFFER_BYTES:
            return slabs if rebinning.helix.pitch > 0 else slabs[::-1]
        count = min(grid.shape[0], 2 * count)


def _slab(rebinning: Rebinning, grid: Grid, first: int, end: int) -> ZSlab:
    middle = grid.center[2] + ((first + end - 1) / 2 - (grid.shape[0] - 1) / 2) * grid.spacing[0]
    part = Grid((end - first, *grid.shape[1:]), grid.spacing, (*grid.center[:2], middle))
    reach = (end - first - 1) / 2 * grid.spacing[0]
    turns = _half_turns(rebinning, middle - reach, middle + reach, grid_radius(grid))
    return ZSlab(slice(first, end), part, *turns)


def _half_turns(rebinning: Rebinning, low: float, high: float, radius: float) -> tuple[int, int]:
    """Half turns (first, end) whose views see voxels between two heights, a row more included."""
    helix, lattice = rebinning.helix, rebinning.lattice
    own = rebinning.views[:1]
    rays = fan_rays(helix.vectors[own], helix.angles[own], helix.shape, lattice.distances)
    rows = max(float(rays.row) + 1, helix.shape[0] - float(rays.row))
    slope = rows * float(helix.vectors[own, V, 2] / rays.detector.min())
    reach = slope * (helix.radius + radius) + float(
        (rays.height - helix.z_start - helix.pitch * helix.angles[own] / (2 * math.pi)).abs()
    )
    fan = math.asin(min(1.0, float(lattice.distances.abs().max()) / helix.radius))
    heights = ((low - reach - helix.z_start), (high + reach - helix.z_start))
    angles = sorted(2 * math.pi * height / helix.pitch for height in heights)
    first = math.floor((angles[0] - fan - lattice.first) / math.pi) - 1
    end = math.ceil((angles[1] + fan - lattice.first) / math.pi) + 1
    first = min(max(0, first), lattice.half_turns)
    return first, max(first, min(end, lattice.half_turns))
