"""The cone-parallel lattice that fan views are rebinned to: directions in half turns, and distances from the axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.recon.analytic.helical.fan_rays import column_distances
from sinograd.recon.analytic.helical.helix import Helix
from sinograd.recon.analytic.orbit import UndefinedGeometryError

# Views that are looked at together.
CHUNK = 1024


@dataclass(frozen=True)
class Lattice:
    """View n has the direction first + n pi / half; views n and n + half see the same lines from opposite sides.

    Attributes:
        first: direction of view 0, rad.
        half: views of half a turn.
        end: number of views.
        nearest: the smallest distance from the axis (negative on one side), mm.
        spacing: from one distance to the next, mm.
        count: of distances.
    """

    first: float
    half: int
    end: int
    nearest: float
    spacing: float
    count: int

    @property
    def half_turns(self) -> int:
        """Half turns that have views, the last one maybe not all."""
        return -(-self.end // self.half)

    @property
    def distances(self) -> Tensor:
        """[count], mm from the axis."""
        return self.nearest + self.spacing * torch.arange(self.count, dtype=torch.float64)

    @property
    def fine_count(self) -> int:
        """Of distances half as far apart, which filtered views have."""
        return 2 * self.count - 1

    def directions(self, first: int, end: int) -> Tensor:
        """[views], rad, of views first to end - 1."""
        return self.first + torch.arange(first, end, dtype=torch.float64) * (math.pi / self.half)


def lattice_of(helix: Helix, views: Tensor, number: int) -> Lattice:
    """The lattice for some views of a helix, those of the height `number` of its focal spot.

    As many directions as views, shifted by a share of a step from height to height, and distances as far apart as
    columns are at the axis, from the nearer to the farther edge of the detector.
    """
    if helix.shape[1] < 4:
        raise UndefinedGeometryError(f"needs four columns or more, got {helix.shape[1]}")
    low, high, spacing = _reach(helix)
    if not low < 0 < high:
        raise UndefinedGeometryError(f"needs columns on both sides of the axis; they reach from {low:g} to {high:g} mm")
    below, above = int(-low / spacing + 1e-9), int(high / spacing + 1e-9)
    ends = views[[0, -1]]
    own = column_distances(helix.vectors[ends], helix.angles[ends], helix.shape[1])[0]
    step = float(helix.angles[views].diff().median())
    half = max(2, round(math.pi / step))
    step = math.pi / half
    first = float(own[0].max()) + step * (1e-9 + number / len(helix.heights))
    end = int((float(own[-1].min()) - first) / step + 1)
    if end < half:
        turned = float(helix.angles[-1] - helix.angles[0])
        fan = float(own[0].max() - own[0].min())
        raise UndefinedGeometryError(
            f"needs half a turn and the fan's angle, {math.degrees(math.pi + fan):.4g} degrees; the views cover "
            f"{math.degrees(turned):.4g}"
        )
    return Lattice(first, half, end, -below * spacing, spacing, below + above + 1)


def _reach(helix: Helix) -> tuple[float, float, float]:
    """Smallest and largest distance that all views see, and the mean spacing of the middle columns."""
    middle, parts = helix.shape[1] // 2, []
    for vectors, angles in zip(helix.vectors.split(CHUNK), helix.angles.split(CHUNK), strict=True):
        t = column_distances(vectors, angles, helix.shape[1])[1]
        parts.append(torch.stack([t.amin(1), t.amax(1), (t[:, middle] - t[:, middle - 1]).abs()]))
    low, high, step = torch.cat(parts, dim=1)
    return float(low.max()), float(high.min()), float(step.mean())
