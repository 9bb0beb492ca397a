"""Fan beams: a point source and a line detector in the plane z = 0."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch

from sinograd.geometry import checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.angles import short_scan
from sinograd.geometry.base import Geometry
from sinograd.geometry.checks import Values
from sinograd.geometry.circular import Orbit, OrbitArguments
from sinograd.geometry.detectors import Detector
from sinograd.geometry.view_vectors import read_curvature, read_vectors, require_dimension, stack_vectors


class FanBeam(Geometry):
    """Rays from a source point to a line detector; made by `circular`, `short_scan` or `from_vectors`.

    At gantry angle a, counter-clockwise seen from +z, here at a = 0:

               +y
                ^
         -------+-------  detector, u ->       source           SOD (sin a, -cos a)
                |                              detector centre  (SDD - SOD) (-sin a, cos a)
                +--> +x   rotation axis        u                (cos a, sin a)
                |
                o         source               SOD = source_to_origin, SDD = source_to_detector

    Displacements, in mm; each is one number for all views or one for each view, [views]:

    - axis_offset: how far the rotation axis lies towards +u from the line source - detector centre, measured
      at the axis: source and detector both move by -axis_offset * u.
    - source_offset: moves only the source, along +u.
    - detector.offset and shifts ([views]) add up and slide the detector along +u (along the arc if it is
      curved, which leaves its centre of curvature where it is).
    """

    divergent = True
    _beam = "fan"
    _constructors: ClassVar[dict[str, str]] = {
        "circular": "circular",
        "short_scan": "short_scan",
        "vectors": "from_vectors",
    }

    @property
    def source_to_origin(self) -> float | None:
        """Distance from source to rotation axis in mm, as given; None where vectors were given."""
        return self._arguments.get("source_to_origin")

    @property
    def source_to_detector(self) -> float | None:
        """Distance from source to detector in mm, as given; None where vectors were given."""
        return self._arguments.get("source_to_detector")

    @classmethod
    def circular(
        cls,
        *,
        source_to_origin: float,
        source_to_detector: float,
        angles: Values,
        detector: Detector,
        axis_offset: float | Values = 0.0,
        source_offset: float | Values = 0.0,
        shifts: Values | None = None,
    ) -> Self:
        """Source and detector turning about the axis.

        Args:
            source_to_origin, source_to_detector: distances in mm, positive.
            angles: gantry angle of each view in radians, [views].
            detector: a line detector.
            axis_offset, source_offset, shifts: see `FanBeam`.

        Raises:
            TypeError, ValueError: naming the argument, what was expected and what came.
        """
        turns = checks.angles(angles)
        orbit = _orbit(len(turns), detector, source_to_origin, source_to_detector, axis_offset, source_offset, shifts)
        return cls._make("circular", orbit.vectors(turns), {**_arguments(orbit), "angles": turns})

    @classmethod
    def short_scan(
        cls,
        *,
        source_to_origin: float,
        source_to_detector: float,
        views: int,
        detector: Detector,
        start: float = 0.0,
        axis_offset: float | Values = 0.0,
        source_offset: float | Values = 0.0,
        shifts: Values | None = None,
    ) -> Self:
        """A circular scan over half a turn plus the fan angle, the least that measures every line.

        Args:
            views: number of views, at least 2; both ends are included.
            start: first gantry angle in radians.
            source_to_origin, source_to_detector, detector and the displacements: as for `circular`.

        The angles cover pi + 2 g, where g is the largest angle between any ray and the line source - rotation
        axis.
        """
        views = checks.count(views, "views")
        orbit = _orbit(views, detector, source_to_origin, source_to_detector, axis_offset, source_offset, shifts)
        still = orbit.vectors(torch.zeros(views, dtype=torch.float64, device="cpu"))
        turns = short_scan(views, 2 * surface.reach(still.detach(), orbit.detector), checks.number(start, "start"))
        arguments = {**_arguments(orbit), "angles": turns, "views": views, "start": float(start)}
        return cls._make("short_scan", orbit.vectors(turns), arguments)

    @classmethod
    def from_vectors(
        cls, *, sources: Values, centers: Values, u: Values, detector: Detector, curvature_centers: Values | None = None
    ) -> Self:
        """Any set of fan-beam views.

        Args:
            sources: source positions (x, y) in mm, [views, 2].
            centers: positions of the detector's middle in mm, every offset included, [views, 2].
            u: step from one column to the next in mm, [views, 2]; its length must match
                detector.column_spacing within 1e-3.
            detector: a line detector without offset. A curved one is curved towards the source.
            curvature_centers: the centre (x, y) in mm of each curved detector's arc, [views, 2], where that is not
                detector.radius (without one: the source's distance) in front of its middle.
        """
        detector = require_dimension(detector, 1, "FanBeam")
        source, center, step, _ = read_vectors(detector, sources, "sources", centers, u, None)
        curvature = read_curvature(detector, curvature_centers, len(source))
        vectors = stack_vectors(detector, source, center, step, None, curvature)
        steps = {"u": step, "curvature_centers": curvature}
        return cls._make("vectors", vectors, {"sources": source, "centers": center, **steps, "detector": detector})


def _orbit(
    views: int,
    detector: Detector,
    source_to_origin: object,
    source_to_detector: object,
    axis_offset: object,
    source_offset: object,
    shifts: object,
) -> Orbit:
    line = require_dimension(detector, 1, "FanBeam")
    return OrbitArguments(line, source_to_origin, source_to_detector, axis_offset, source_offset, shifts).checked(views)


def _arguments(orbit: Orbit) -> dict[str, Any]:
    return {key: value for key, value in orbit.arguments().items() if key not in ("tilt", "yaw", "in_plane_rotation")}
