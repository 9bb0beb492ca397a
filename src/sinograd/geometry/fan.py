"""Fan beams: a point source and a line detector in the plane z = 0."""

from __future__ import annotations

from typing import ClassVar, Self

from sinograd.geometry.base import Geometry
from sinograd.geometry.checks import Values
from sinograd.geometry.circular import Circular, ShortScan
from sinograd.geometry.detectors import Detector
from sinograd.geometry.vector_recipe import Vectors
from sinograd.geometry.view_vectors import require_dimension


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
    - motion: of the object, [views, 3]: shift along x and y in mm, and turn about the isocentre in radians,
      counter-clockwise; see `ConeBeam`.
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
        motion: Values | None = None,
    ) -> Self:
        """Source and detector turning about the axis.

        Args:
            source_to_origin, source_to_detector: distances in mm, positive.
            angles: gantry angle of each view in radians, [views].
            detector: a line detector.
            axis_offset, source_offset, shifts, motion: see `FanBeam`.

        Raises:
            TypeError, ValueError: naming the argument, what was expected and what came.
        """
        recipe = Circular(
            detector=require_dimension(detector, 1, "FanBeam"),
            source_to_origin=source_to_origin,
            source_to_detector=source_to_detector,
            axis_offset=axis_offset,
            source_offset=source_offset,
            shifts=shifts,
            motion=motion,
            angles=angles,
        )
        return cls._of(recipe)

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
        motion: Values | None = None,
    ) -> Self:
        """A circular scan over half a turn plus the fan angle, the least that measures every line.

        Args:
            views: number of views, at least 2; both ends are included.
            start: first gantry angle in radians.
            source_to_origin, source_to_detector, detector and the displacements: as for `circular`.

        The angles cover pi + 2 g, where g is the largest angle between any ray and the line source - rotation
        axis.
        """
        recipe = ShortScan(
            detector=require_dimension(detector, 1, "FanBeam"),
            source_to_origin=source_to_origin,
            source_to_detector=source_to_detector,
            axis_offset=axis_offset,
            source_offset=source_offset,
            shifts=shifts,
            motion=motion,
            views=views,
            start=start,
        )
        return cls._of(recipe)

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
        line = require_dimension(detector, 1, "FanBeam")
        recipe = Vectors(detector=line, sources=sources, centers=centers, u=u, curvature_centers=curvature_centers)
        return cls._of(recipe)
