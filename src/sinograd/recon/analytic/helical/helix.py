"""The helix of a scan, read from its per-view vectors: `helix_of`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputTypeError
from sinograd.geometry import ConeBeam, Geometry
from sinograd.geometry.vectors import CENTER, SOURCE, U, V
from sinograd.ops.kernel_views import is_axial
from sinograd.recon.analytic.orbit import UndefinedGeometryError

# A step is a gap where it is longer than so many typical ones, and a repeat where it is shorter than this share.
GAP_STEPS, SHORTEST_STEP = 2.5, 1e-6
WIDEST_STEP = math.pi / 5
# Largest spread of the source's distance to the axis, as a share of it, and largest deviation of the detector from
# the line z = z_start + pitch a / (2 pi), in rows.
LARGEST_SPREAD, LARGEST_DEVIATION = 0.05, 1.0
# Heights of the focal spot with no gap of this share of a row between them are one, and more than so many are none.
SAME_HEIGHT, MOST_HEIGHTS = 0.02, 8


@dataclass(frozen=True, eq=False)
class Helix:
    """A helical scan with its views in the order of growing angles.

    Attributes:
        vectors: [views, 4 or 5, 3], those of the geometry, in that order and with rows that run upwards.
        reverse: whether that is the reverse of the geometry's order.
        upside_down: whether the geometry's rows run downwards.
        angles: gantry angles, rad, growing over the turns.
        radius: mean distance of the source to the axis, mm.
        pitch: mm of table feed per turn of growing angle; its sign is the direction.
        z_start: height of the middle of the detector at the angle 0, mm.
        heights: for every focal spot height in turn, the numbers of its views. Several with a focal spot that flies
            along z, else one.
        shape: (rows, columns).
    """

    vectors: Tensor
    reverse: bool
    upside_down: bool
    angles: Tensor
    radius: float
    pitch: float
    z_start: float
    heights: tuple[Tensor, ...]
    shape: tuple[int, int]

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.angles)

    @property
    def row_spacing(self) -> float:
        """Millimetres from row to row on the detector."""
        return float(self.vectors[0, V, 2])

    @property
    def step(self) -> float:
        """The median step between views, rad."""
        return float(self.angles.diff().median())


def is_helix(geometry: Geometry) -> bool:
    """Whether a scan was made as a helix, or its detector climbs one way by half of its height or more."""
    if not isinstance(geometry, ConeBeam):
        return False
    if geometry.scan == "helical":
        return True
    heights = geometry.vectors[:, CENTER, 2]
    climbs = heights.diff()
    one_way = bool((climbs >= 0).all() or (climbs <= 0).all())
    height = geometry.rows * float(geometry.vectors[:, V].norm(dim=1).min())
    return geometry.views > 1 and one_way and abs(float(heights[-1] - heights[0])) >= height / 2


def helix_of(geometry: Geometry) -> Helix:
    """The helix of a geometry.

    Raises:
        InputTypeError: not a cone beam.
        UndefinedGeometryError: no helix about z, a detector whose rows are not parallel to z, gaps or repeats.
    """
    if not isinstance(geometry, ConeBeam):
        raise InputTypeError(f"geometry: expected a helical ConeBeam, got {type(geometry).__name__}")
    vectors, shape = geometry.vectors.detach(), (geometry.rows, geometry.columns)
    if not is_axial(vectors, True, shape):
        raise UndefinedGeometryError(
            "needs a detector whose rows are parallel to the rotation axis, and no ray steeper than 45 degrees"
        )
    upside_down = bool(vectors[0, V, 2] < 0)
    if upside_down:
        vectors = vectors.clone()
        vectors[:, V] *= -1
    angles = _gantry_angles(vectors)
    reverse = bool(angles[-1] < angles[0])
    if reverse:
        vectors, angles = vectors.flip(0), angles.flip(0)
    _check_steps(angles, reverse)
    radius = _radius(vectors)
    pitch, z_start = _line(vectors, angles)
    return Helix(vectors, reverse, upside_down, angles, radius, pitch, z_start, _heights(vectors, angles), shape)


def _gantry_angles(vectors: Tensor) -> Tensor:
    """[views], unwrapped: u points along (cos a, sin a), or against it where columns are counted the other way."""
    u, outward = vectors[:, U], vectors[:, CENTER] - vectors[:, SOURCE]
    against = torch.sign(u[:, 0] * outward[:, 1] - u[:, 1] * outward[:, 0])
    wrapped = torch.atan2(u[:, 1] * against, u[:, 0] * against)
    steps = torch.remainder(wrapped.diff() + math.pi, 2 * math.pi) - math.pi
    return torch.cat([wrapped[:1], wrapped[0] + steps.cumsum(0)])


def _check_steps(angles: Tensor, reverse: bool) -> None:
    if len(angles) < 8:
        raise UndefinedGeometryError(f"needs a helix of at least 8 views, got {len(angles)}")
    steps = angles.diff()
    typical = float(steps.median())
    if abs(typical) > WIDEST_STEP:
        raise UndefinedGeometryError(
            f"needs 10 views a turn or more, got one every {math.degrees(abs(typical)):.4g} degrees"
        )
    repeats, gaps = int((steps <= SHORTEST_STEP * abs(typical)).sum()), steps > GAP_STEPS * typical
    if repeats or typical <= 0:
        raise UndefinedGeometryError(
            f"needs views in the order of their angles; {repeats} of {len(steps)} steps repeat an angle or turn back"
        )
    if bool(gaps.any()):
        after = int(gaps.nonzero()[0])
        view = len(steps) - after - 1 if reverse else after
        raise UndefinedGeometryError(
            f"needs views without gaps: {int(gaps.sum())} of {len(steps)} steps are longer than {GAP_STEPS:g} typical "
            f"ones of {math.degrees(typical):.4g} degrees, the first of {math.degrees(float(steps[after])):.4g} "
            f"degrees after view {view}"
        )


def _radius(vectors: Tensor) -> float:
    distance = vectors[:, SOURCE, :2].norm(dim=1)
    low, mean, high = float(distance.min()), float(distance.mean()), float(distance.max())
    if high - low > LARGEST_SPREAD * mean:
        raise UndefinedGeometryError(
            f"needs a source at one distance from the axis; it runs from {low:g} to {high:g} mm"
        )
    return mean


def _line(vectors: Tensor, angles: Tensor) -> tuple[float, float]:
    """Pitch and height at angle 0 of the detector's middle: the line of least squares through its heights."""
    heights, middle = vectors[:, CENTER, 2], angles.mean()
    slope = float(((angles - middle) * heights).sum() / (angles - middle).square().sum())
    start = float(heights.mean() - slope * middle)
    deviation = float((heights - start - slope * angles).abs().max())
    spacing = float(vectors[:, V, 2].abs().min())
    if deviation > LARGEST_DEVIATION * spacing:
        raise UndefinedGeometryError(
            f"needs a table that moves evenly; the detector's height is up to {deviation:.4g} mm, "
            f"{deviation / spacing:.3g} rows, off an even feed of {slope * 2 * math.pi:.4g} mm a turn"
        )
    feed = slope * 2 * math.pi
    if abs(slope) * float(angles[-1] - angles[0]) < 1e-3 * spacing:
        raise UndefinedGeometryError("needs a helix; the source stays at one height: fdk takes circular scans")
    return feed, start


def _heights(vectors: Tensor, angles: Tensor) -> tuple[Tensor, ...]:
    """Views of each height of the source above the detector's middle; all together where they follow no pattern."""
    above, spacing = vectors[:, SOURCE, 2] - vectors[:, CENTER, 2], float(vectors[:, V, 2].abs().min())
    ordered, order = above.sort()
    numbers = torch.zeros(len(above), dtype=torch.int64)
    numbers[order[1:]] = (ordered.diff() > SAME_HEIGHT * spacing).cumsum(0)
    count = int(numbers.max()) + 1
    views = tuple((numbers == number).nonzero().flatten() for number in range(count)) if count <= MOST_HEIGHTS else ()
    typical = float(angles.diff().median())
    regular = all(len(own) >= 8 and float(angles[own].diff().max()) <= (count + 1) * typical for own in views)
    return views if views and regular else (torch.arange(len(angles)),)
