"""Recipes of circular and helical orbits, lowered to vectors: the one place that gives displacements their sign.

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
motion: rigid motion of the object (see `sinograd.geometry.motion`), applied last, to everything.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.angles import short_scan
from sinograd.geometry.checks import Values
from sinograd.geometry.detectors import CurvedDetector, Detector
from sinograd.geometry.motion import move, read_motion

if TYPE_CHECKING:
    from sinograd.geometry.base import Geometry

Number = float | Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Orbit:
    """What `Circular`, `ShortScan` and `Helical` share; every argument is checked when it is made.

    Args:
        detector: a line detector (2-D) or an area detector.
        source_to_origin, source_to_detector: mm, positive; without both the rays are parallel, and the detector stands
            on the rotation axis.
        axis_offset, source_offset, tilt, yaw, in_plane_rotation, shifts: see `ConeBeam`; tensors may require gradients.
        motion: of the object, [views, 6], in 2-D [views, 3]: shift along x, y, z in mm, then the rotation vector in
            radians (see `ConeBeam`).

    Raises:
        TypeError, ValueError: naming the argument.
    """

    detector: Detector
    source_to_origin: Number | None = None
    source_to_detector: Number | None = None
    axis_offset: Number | Values = 0.0
    source_offset: Number | Values = 0.0
    tilt: Number = 0.0
    yaw: Number = 0.0
    in_plane_rotation: Number = 0.0
    shifts: Values | None = None
    motion: Values | None = None

    scan: ClassVar[str]

    def __post_init__(self) -> None:
        views, area = self._read(), self.detector.ndim == 2
        if self.parallel:
            self._check_parallel()
        else:
            distances = check_distances(self.source_to_origin, self.source_to_detector)
            self._set(source_to_origin=distances[0], source_to_detector=distances[1])
        offset = checks.per_view_offset if area else checks.per_view
        turns = {name: checks.parameter(getattr(self, name), name) for name in ("tilt", "yaw", "in_plane_rotation")}
        for name, turn in turns.items():
            if not area and checks.plain(turn) != 0:
                raise InputError(f"{name} {checks.plain(turn):g} needs a 2-D detector, got shape {self.detector.shape}")
        self._set(
            axis_offset=checks.per_view(self.axis_offset, "axis_offset", views),
            source_offset=offset(self.source_offset, "source_offset", views),
            **turns,
            shifts=read_shifts(self.shifts, views, self.detector),
            motion=read_motion(self.motion, views, self.detector.ndim + 1),
        )

    @property
    def parallel(self) -> bool:
        """Whether the rays are parallel."""
        return self.source_to_origin is None and self.source_to_detector is None

    def geometry(self) -> Geometry:
        """The parallel, fan or cone beam of this recipe; its `followed_vectors` follow what requires gradients."""
        from sinograd.geometry.cone import ConeBeam
        from sinograd.geometry.fan import FanBeam
        from sinograd.geometry.parallel import ParallelBeam

        beam = ParallelBeam if self.parallel else FanBeam if self.detector.ndim == 1 else ConeBeam
        return beam._of(self)

    def arguments(self, names: Iterable[str]) -> dict[str, Any]:
        """Those arguments without gradients: numbers, pairs, and tensors with an entry for each view."""
        held = {name: checks.plain(getattr(self, name)) for name in names}
        offset = held.get("source_offset")
        if isinstance(offset, Tensor) and offset.ndim == 1 and self.detector.ndim == 2:
            held["source_offset"] = tuple(offset.tolist())
        return held

    @abstractmethod
    def vectors(self) -> Tensor:
        """Per-view vectors as `Geometry.vectors`, float64 [views, 4 or 5, 3]; they follow what requires gradients."""

    @abstractmethod
    def _read(self) -> int:
        """Check and set what is this recipe's own; the number of views."""

    def _check_parallel(self) -> None:
        if bool(torch.as_tensor(self.source_offset, dtype=torch.float64).any()):
            raise InputError(f"source_offset: parallel rays have no source to move, got {self.source_offset}")
        if checks.plain(self.yaw) != 0:
            raise InputError(f"yaw: expected 0 for parallel rays, got {self.yaw:g}; in angles it is an offset of all")

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _placed(self, angles: Tensor, height: Tensor | None = None) -> Tensor:
        """The vectors at these angles, height mm along z ([views]), after the motion of the object."""
        vectors = self._divergent(angles, height, *((1.0, 1.0) if self.parallel else self._distances()))
        if self.parallel:
            vectors = torch.cat([-_frame(angles)[2][:, None], vectors[:, 1:]], dim=1)
        return vectors if self.motion is None else move(vectors, self.motion, not self.parallel)  # type: ignore[arg-type]

    def _distances(self) -> tuple[Number, Number]:
        return self.source_to_origin, self.source_to_detector  # type: ignore[return-value]

    def _divergent(self, angles: Tensor, height: Tensor | None, to_origin: Number, to_detector: Number) -> Tensor:
        views = len(angles)
        u, v, n = _frame(angles)
        base = -_spread(self.axis_offset, views)[:, None] * u
        if height is not None:
            base = base + height[:, None] * v
        source_row, source_column = self._row_column(self.source_offset, views)
        distance = to_origin + self._outward(views)
        source = base + distance * n + source_row * v + source_column * u
        pivot = base - (to_detector - to_origin) * n
        u, v, n = _turned(u, v, n, self.in_plane_rotation, self.tilt, self.yaw)
        row, column = self._slide(views)
        step_u, step_v = u * self.detector.column_spacing, v * self.detector.row_spacing
        if not isinstance(self.detector, CurvedDetector):
            return torch.stack([source, pivot + row * v + column * u, step_u, step_v], dim=1)
        radius = to_detector if self.detector.radius is None else self.detector.radius
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

    def _row_column(self, value: Any, views: int) -> tuple[Tensor, Tensor]:
        """Row and column parts, each [views, 1]; a line detector has no row part."""
        if self.detector.ndim == 1:
            column = _spread(value, views)[:, None]
            return torch.zeros_like(column), column
        offset = torch.as_tensor(value, dtype=torch.float64, device="cpu")
        pairs = (offset[..., :2] if offset.ndim else offset).expand(views, 2)
        return pairs[:, :1], pairs[:, 1:]


@dataclass(frozen=True, kw_only=True, eq=False)
class Circular(Orbit):
    """Source and detector turning about the z axis (or the directions of a parallel beam); see `Orbit`.

    Args:
        angles: gantry angle of each view in radians, [views].
    """

    angles: Values

    scan: ClassVar[str] = "circular"

    def _read(self) -> int:
        self._set(angles=checks.angles(self.angles))
        return len(self.angles)  # type: ignore[arg-type]

    def vectors(self) -> Tensor:
        """See `Orbit.vectors`."""
        return self._placed(self.angles)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShortScan(Orbit):
    """A circular scan over half a turn plus the fan angle; see `Orbit`.

    Args:
        views: number of views, at least 2; both ends are included.
        start: first gantry angle in radians.
    """

    views: int
    start: float = 0.0

    scan: ClassVar[str] = "short_scan"

    def _read(self) -> int:
        self._set(views=checks.count(self.views, "views"), start=checks.number(self.start, "start"))
        return self.views

    @property
    def angles(self) -> Tensor:
        """Gantry angle of each view in radians, [views]; passes no gradients."""
        zeros = torch.zeros(self.views, dtype=torch.float64, device="cpu")
        still = replace(self, motion=None)._placed(zeros).detach()
        return short_scan(self.views, 2 * surface.reach(still, self.detector), self.start)

    def vectors(self) -> Tensor:
        """See `Orbit.vectors`."""
        return self._placed(self.angles)


@dataclass(frozen=True, kw_only=True, eq=False)
class Helical(Orbit):
    """Source and detector turning about the z axis and moving along it; see `Orbit`.

    Args:
        angles: gantry angle of each view in radians, [views], counting on over several turns.
        pitch: mm of table feed per turn; negative for a helix of the other hand.
        z_start: z (mm) of the first view; None centres the scan on z = 0.
    """

    angles: Values
    pitch: Number
    z_start: Number | None = None

    scan: ClassVar[str] = "helical"

    def _read(self) -> int:
        self._set(angles=checks.angles(self.angles), pitch=checks.parameter(self.pitch, "pitch"))
        self._set(z_start=None if self.z_start is None else checks.parameter(self.z_start, "z_start"))
        return len(self.angles)  # type: ignore[arg-type]

    def vectors(self) -> Tensor:
        """See `Orbit.vectors`."""
        return self._placed(self.angles, helix_heights(self.angles, self.pitch, self.z_start))  # type: ignore[arg-type]


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


def _spread(value: Any, views: int) -> Tensor:
    """A value for every view: [views]."""
    return torch.as_tensor(value, dtype=torch.float64, device="cpu").expand(views)
