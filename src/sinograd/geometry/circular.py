"""Circular and helical orbits lowered to vectors: the one place that gives displacements their sign.

At gantry angle a, counter-clockwise seen from +z, with nothing displaced:

    source            SOD (sin a, -cos a, 0)
    detector centre   (SDD - SOD) (-sin a, cos a, 0)
    u (columns)       (cos a, sin a, 0)
    v (rows)          (0, 0, 1)

Seen from above (+z towards the reader) at a = 0, and the detector as the source sees it:

           +y                                     v, +z
            ^                                      ^
     -------+-------  detector, u ->        +------|------+
            |                               |      |      |
            |                               |      +------|--> u     in-plane rotation:
            +--> +x   rotation axis         |   normal n  |          counter-clockwise here,
            |                               |   to reader |          from u towards v
            |                               +-------------+
            o         source

Displacements, all 0 by default (lengths in mm, angles in radians):

axis_offset: how far the rotation axis lies towards +u from the line source - detector centre, measured at
    the axis ("centre of rotation"). Source and detector both move by -axis_offset * u. A number, or one for
    each view.
source_offset: (row, column) or (row, column, outward), in 2-D a number: moves only the source, along +v, along +u as
    they are before any turn and, outward, away from the rotation axis. One for all views, or one for each (a flying
    focal spot). The detector, and the axis of a curved one, stay where they are.
in_plane_rotation, tilt, yaw: turn the detector about its own centre (where the line source - detector centre
    meets it before source_offset, detector.offset and shifts), in this order, each about the detector's own
    axis as already turned, by the right-hand rule:
    in-plane about n = u x v, which points to the source (counter-clockwise seen from the source);
    tilt about u (positive tips the +v edge towards the source);
    yaw about v (positive moves the +u edge away from the source).
detector.offset and shifts: (row, column), in 2-D a number: slide the detector along its own +v and +u, as
    turned; shifts holds one for each view and adds to detector.offset. On a curved detector the column part
    slides along the arc, so the centre of curvature stays.
height: moves source and detector along z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry.detectors import CurvedDetector, Detector


@dataclass(frozen=True)
class Orbit:
    """The checked arguments of a circular scan; per-view ones are tensors [views] or [views, 2].

    Those that require gradients are tensors, too.
    """

    detector: Detector
    source_to_origin: float | Tensor
    source_to_detector: float | Tensor
    axis_offset: float | Tensor
    source_offset: float | tuple[float, ...] | Tensor
    tilt: float | Tensor
    yaw: float | Tensor
    in_plane_rotation: float | Tensor
    shifts: Tensor | None

    def arguments(self) -> dict[str, Any]:
        """What the scan is made of, without gradients: numbers, pairs, and tensors with an entry for each view."""
        held = {name: checks.plain(value) for name, value in vars(self).items()}
        offset = held["source_offset"]
        if isinstance(offset, Tensor) and offset.ndim == 1 and self.detector.ndim == 2:
            held["source_offset"] = tuple(offset.tolist())
        return held

    def vectors(self, angles: Tensor, height: Tensor | None = None) -> Tensor:
        """Per-view vectors [views, 4 or 5, 3]; height is mm along z, [views]."""
        views = len(angles)
        u, v, n = _frame(angles)
        base = -_spread(self.axis_offset, views)[:, None] * u
        if height is not None:
            base = base + height[:, None] * v
        source_row, source_column = self._row_column(self.source_offset, views)
        distance = self.source_to_origin + self._outward(views)
        source = base + distance * n + source_row * v + source_column * u
        pivot = base - (self.source_to_detector - self.source_to_origin) * n
        u, v, n = _turned(u, v, n, self.in_plane_rotation, self.tilt, self.yaw)
        row, column = self._slide(views)
        step_u, step_v = u * self.detector.column_spacing, v * self.detector.row_spacing
        if not isinstance(self.detector, CurvedDetector):
            return torch.stack([source, pivot + row * v + column * u, step_u, step_v], dim=1)
        radius = self.source_to_detector if self.detector.radius is None else self.detector.radius
        self.detector.check_arc(float(checks.plain(radius)))
        axis = pivot + radius * n + row * v
        angle = column / radius
        center = axis + radius * (angle.sin() * u - angle.cos() * n)
        tangent = angle.cos() * u + angle.sin() * n
        return torch.stack([source, center, tangent * self.detector.column_spacing, step_v, axis], dim=1)

    def _slide(self, views: int) -> tuple[Tensor, Tensor]:
        offset = torch.tensor(
            [self.detector.row_offset, self.detector.column_offset], dtype=torch.float64, device="cpu"
        )
        row, column = self._row_column(0.0 if self.shifts is None else self.shifts, views)
        return row + offset[0], column + offset[1]

    def _outward(self, views: int) -> Tensor:
        """By how much the source stands farther from the axis, [views, 1]."""
        offset = torch.as_tensor(self.source_offset, dtype=torch.float64, device="cpu")
        given = self.detector.ndim == 2 and offset.ndim > 0 and offset.shape[-1] == 3
        return offset[..., 2:].expand(views, 1) if given else torch.zeros(views, 1, dtype=torch.float64, device="cpu")

    def _row_column(self, value: float | tuple[float, ...] | Tensor, views: int) -> tuple[Tensor, Tensor]:
        """Row and column parts, each [views, 1]; a line detector has no row part."""
        if self.detector.ndim == 1:
            column = _spread(value, views)[:, None]
            return torch.zeros_like(column), column
        offset = torch.as_tensor(value, dtype=torch.float64, device="cpu")
        pairs = (offset[..., :2] if offset.ndim else offset).expand(views, 2)
        return pairs[:, :1], pairs[:, 1:]


@dataclass(frozen=True)
class OrbitArguments:
    """The arguments of a circular scan as they came."""

    detector: Detector
    source_to_origin: object
    source_to_detector: object
    axis_offset: object
    source_offset: object
    shifts: object
    tilt: object = 0.0
    yaw: object = 0.0
    in_plane_rotation: object = 0.0

    def checked(self, views: int) -> Orbit:
        """The orbit of a scan of so many views; errors name the argument."""
        distances = check_distances(self.source_to_origin, self.source_to_detector)
        offset = checks.per_view if self.detector.ndim == 1 else checks.per_view_offset
        return Orbit(
            self.detector,
            *distances,
            checks.per_view(self.axis_offset, "axis_offset", views),
            offset(self.source_offset, "source_offset", views),
            checks.parameter(self.tilt, "tilt"),
            checks.parameter(self.yaw, "yaw"),
            checks.parameter(self.in_plane_rotation, "in_plane_rotation"),
            read_shifts(self.shifts, views, self.detector),
        )


def check_distances(source_to_origin: object, source_to_detector: object) -> tuple[float | Tensor, float | Tensor]:
    """Both distances in mm; InputError where the detector stands before the rotation axis."""
    distances = (
        checks.parameter(source_to_origin, "source_to_origin"),
        checks.parameter(source_to_detector, "source_to_detector"),
    )
    origin = checks.positive(checks.plain(distances[0]), "source_to_origin")
    detector = checks.positive(checks.plain(distances[1]), "source_to_detector")
    if detector < origin:
        raise InputError(
            f"source_to_detector: expected at least source_to_origin, {origin:.12g} mm, got {detector:.12g} mm: the "
            "detector would stand between source and rotation axis; are the two swapped, or is it the distance from "
            "the axis to the detector? from_vectors takes such scans"
        )
    return distances


def read_shifts(shifts: Any, views: int, detector: Detector) -> Tensor | None:
    """Per-view detector shifts in mm: None, [views] for a line detector, else [views, 2]."""
    if shifts is None:
        return None
    return checks.values(shifts, "shifts", (views,) if detector.ndim == 1 else (views, 2), follow=True)


def parallel_vectors(
    angles: Tensor,
    detector: Detector,
    axis_offset: float | Tensor,
    tilt: float | Tensor,
    in_plane_rotation: float | Tensor,
    shifts: Tensor | None,
) -> Tensor:
    """Per-view vectors [views, 4, 3] of a parallel beam; the detector stands on the rotation axis."""
    orbit = Orbit(
        detector,
        source_to_origin=1.0,
        source_to_detector=1.0,  # the detector stands on the axis
        axis_offset=axis_offset,
        source_offset=(0.0, 0.0) if detector.ndim == 2 else 0.0,
        tilt=tilt,
        yaw=0.0,
        in_plane_rotation=in_plane_rotation,
        shifts=shifts,
    )
    vectors = orbit.vectors(angles)
    return torch.cat([-_frame(angles)[2][:, None], vectors[:, 1:]], dim=1)


def helix_heights(angles: Tensor, pitch: float | Tensor, z_start: float | Tensor | None) -> Tensor:
    """Height z (mm) of source and detector in each view; z_start None centres the scan on z = 0."""
    rise = pitch * (angles - angles[0]) / (2 * math.pi)
    return rise + (z_start if z_start is not None else -rise[-1] / 2)


def _frame(angles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit u, v and n = u x v (towards the source), each [views, 3]."""
    sine, cosine, zero = angles.sin(), angles.cos(), torch.zeros_like(angles)
    u = torch.stack([cosine, sine, zero], dim=1)
    v = torch.stack([zero, zero, zero + 1], dim=1)
    return u, v, torch.stack([sine, -cosine, zero], dim=1)


Turn = float | Tensor


def _turned(u: Tensor, v: Tensor, n: Tensor, in_plane: Turn, tilt: Turn, yaw: Turn) -> tuple[Tensor, Tensor, Tensor]:
    u, v = _rotated(u, v, in_plane)
    v, n = _rotated(v, n, tilt)
    n, u = _rotated(n, u, yaw)
    return u, v, n


def _rotated(a: Tensor, b: Tensor, angle: Turn) -> tuple[Tensor, Tensor]:
    """Both vectors turned in their plane, from a towards b."""
    if isinstance(angle, Tensor):
        cosine, sine = angle.cos(), angle.sin()
    elif angle == 0:
        return a, b
    else:
        cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * a + sine * b, cosine * b - sine * a


def _spread(value: float | tuple[float, ...] | Tensor, views: int) -> Tensor:
    """A value for every view: [views]."""
    return torch.as_tensor(value, dtype=torch.float64, device="cpu").expand(views)
