"""Geometries as other toolkits describe them: a pose of a flat detector, or an undisplaced circle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import CurvedDetector, FlatDetector, Geometry
from sinograd.geometry.vectors import CENTER, CURVATURE, SOURCE, U, V

EXACT = 1e-9
"""Largest relative deviation (cosines, lengths) at which a detector still is what a toolkit needs."""


@dataclass(frozen=True)
class Poses:
    """A flat area detector in each view; all [views, 3], float64.

    Attributes:
        source: mm; for a parallel beam the unit direction towards the source side, which is n.
        center: the detector's middle, mm.
        u, v, n: unit vectors along columns and rows, and n = u x v, which points to the source side.
    """

    source: Tensor
    center: Tensor
    u: Tensor
    v: Tensor
    n: Tensor


def flat_poses(geometry: Geometry, toolkit: str) -> Poses:
    """The poses of a 3-D geometry.

    Raises:
        ValueError: a line or curved detector, u and v not at right angles or not as long as the detector's spacing, a
            left-handed detector (u x v away from the source), parallel rays that do not meet it at right angles.
    """
    if geometry.ndim != 3:
        raise InputError(
            f"geometry: {toolkit} knows 3-D scans only, got a {type(geometry).__name__} with a line detector; "
            "a ConeBeam or ParallelBeam whose detector has one row describes a slice"
        )
    require_flat(geometry, toolkit)
    vectors = geometry.vectors
    first, center = vectors[:, SOURCE], vectors[:, CENTER]
    u, v = (unit(vectors[:, i]) for i in (U, V))
    n = torch.linalg.cross(u, v)
    spacing = geometry.detector.row_spacing, geometry.detector.column_spacing
    for name, step, want in (("v", vectors[:, V], spacing[0]), ("u", vectors[:, U], spacing[1])):
        length = step.norm(dim=1)
        _refuse(
            (length - want).abs() > EXACT * want,
            f"geometry: {toolkit} has one spacing for all views, but the {name} step is not detector.spacing "
            f"{want:.9g} mm long",
        )
    _refuse((u * v).sum(1).abs() > EXACT, f"geometry: {toolkit} needs u and v at right angles")
    source = first if geometry.divergent else -first
    facing = ((source - center if geometry.divergent else source) * n).sum(1)
    _refuse(
        facing <= 0,
        f"geometry: {toolkit} needs u x v towards the source; reverse the rows or the columns, and v or u with them",
    )
    if not geometry.divergent:
        across = torch.linalg.cross(source, n).norm(dim=1)
        _refuse(across > EXACT, f"geometry: {toolkit} needs parallel rays at right angles to the detector")
    return Poses(source, center, u, v, n)


@dataclass(frozen=True)
class Circle:
    """A circular scan whose detector faces the axis, untilted; lengths in mm.

    Attributes:
        angles: [views], rad.
        source_to_origin, source_to_detector: of divergent beams, else 0.
        axis_offset: as in `ConeBeam`; 0 for parallel beams, whose detector is displaced instead.
        row, column: displacement of the detector's middle along +v and +u.
    """

    angles: Tensor
    source_to_origin: float
    source_to_detector: float
    axis_offset: float
    row: float
    column: float


def as_circle(geometry: Geometry) -> Circle | None:
    """The geometry as a circle, None where it is none; a curved detector has to be focused on the source."""
    vectors = geometry.vectors
    first, column_axis = vectors[:, SOURCE], unit(vectors[:, U])
    if geometry.divergent and vectors.shape[1] == 5:
        # the tangent at the detector's middle turns with its offset; the focus tells where it is
        apart = (vectors[:, CURVATURE] - first)[:, :2].norm(dim=1)
        if geometry.angles is None or bool((apart > 1e-12 * first.norm(dim=1)).any()):
            return None
    angles = geometry.angles
    if angles is None:
        angles = torch.atan2(column_axis[:, 1], column_axis[:, 0])
    sine, cosine, zero = angles.sin(), angles.cos(), torch.zeros_like(angles)
    u, n = torch.stack([cosine, sine, zero], 1), torch.stack([sine, -cosine, zero], 1)
    scale = float(vectors[:, CENTER].norm(dim=1).max()) + max(geometry.detector.size)
    found = _measured(geometry, u, n, scale)
    if found is None:
        return None
    source_to_origin, source_to_detector, axis_offset, row, column = found
    circle = Circle(angles, source_to_origin, source_to_detector, axis_offset, row, column)
    return circle if _is(circle, geometry, u, n, scale) else None


def _measured(
    geometry: Geometry, u: Tensor, n: Tensor, scale: float
) -> tuple[float, float, float, float, float] | None:
    """The numbers of a `Circle` after its angles, None where one of them changes from view to view."""
    vectors = geometry.vectors
    source, center = vectors[:, SOURCE], vectors[:, CENTER]
    if not geometry.divergent:
        parts = [center[:, 2], (center * u).sum(1)]
        row, column = (one(part, scale) for part in parts)
        return None if row is None or column is None else (0.0, 0.0, 0.0, row, column)
    axis_offset, distance = one(-(source * u).sum(1), scale), one((source * n).sum(1), scale)
    depth = one(((source - center) * n).sum(1), scale)
    if vectors.shape[1] == 5:
        away = center - source
        radius = one(away[:, :2].norm(dim=1), scale)
        turn = one(torch.atan2((away * u).sum(1), -(away * n).sum(1)), 1.0)
        depth, across = radius, None if radius is None or turn is None else radius * turn
    else:
        across = one(((center - source) * u).sum(1), scale)
    row, level = one(center[:, 2], scale), one(source[:, 2], scale)
    if axis_offset is None or distance is None or depth is None or across is None or row is None or level != 0:
        return None
    return distance, depth, axis_offset, row, across


def _is(circle: Circle, geometry: Geometry, u: Tensor, n: Tensor, scale: float) -> bool:
    """Whether the geometry's vectors are those of the circle."""
    vectors, detector = geometry.vectors, geometry.detector
    turn = circle.column / circle.source_to_detector if isinstance(detector, CurvedDetector) else 0.0
    tangent = math.cos(turn) * u + math.sin(turn) * n
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    steps = detector.column_spacing * tangent - vectors[:, U], detector.row_spacing * up - vectors[:, V]
    close = all(bool((step.norm(dim=1) <= 1e-12 * detector.column_spacing * 10).all()) for step in steps)
    if geometry.divergent:
        return close
    return close and bool(((vectors[:, SOURCE] + n).norm(dim=1) <= 1e-12).all())


def one(values: Tensor, scale: float) -> float | None:
    """The number that all views share up to rounding at this scale, else None; 0 where it is rounding itself."""
    tolerance = 32 * torch.finfo(torch.float64).eps * scale
    if float(values.max() - values.min()) > tolerance:
        return None
    middle = float(values.median())
    return 0.0 if abs(middle) <= tolerance else middle


def require_flat(geometry: Geometry, toolkit: str) -> None:
    """ValueError unless the detector is flat."""
    if not isinstance(geometry.detector, FlatDetector):
        raise InputError(f"geometry: the conversion to {toolkit} knows flat detectors only, got {geometry.detector!r}")


def unit(vectors: Tensor) -> Tensor:
    """The vectors [views, 3] at length 1."""
    return vectors / vectors.norm(dim=1, keepdim=True)


def _refuse(wrong: Tensor, message: str) -> None:
    if bool(wrong.any()):
        raise InputError(f"{message} (view {int(wrong.nonzero()[0, 0])}, {int(wrong.sum())} of {len(wrong)} views)")
