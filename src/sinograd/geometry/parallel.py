"""Parallel beams."""

from __future__ import annotations

from typing import ClassVar, Self

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.base import Geometry
from sinograd.geometry.checks import Values
from sinograd.geometry.circular import Circular
from sinograd.geometry.detectors import CurvedDetector, Detector
from sinograd.geometry.vector_recipe import Vectors
from sinograd.geometry.view_vectors import require_dimension


class ParallelBeam(Geometry):
    """Parallel rays: a 2-D geometry with a line detector, a 3-D one with an area detector.

    At angle a (counter-clockwise seen from +z) the rays run along (-sin a, cos a, 0), columns increase along
    u = (cos a, sin a, 0) and rows along v = (0, 0, 1):

               +y
                ^
         -------+-------  detector at a = 0, u ->
            ^   |   ^
            |   +---|--> +x   rotation axis
            |       |
           rays, from -y

    Args:
        angles: gantry angle of each view in radians, [views].
        detector: a `FlatDetector`; its offset moves it along +v and +u.
        axis_offset: mm by which the rotation axis lies towards +u from the detector's centre line: the
            detector moves by -axis_offset * u. A number or one for each view.
        tilt: radians, area detectors only: turns the detector about its own u axis by the right-hand rule
            (positive tips the +v edge towards the source side), after the in-plane rotation.
        in_plane_rotation: radians, area detectors only: turns the detector about n = u x v, which points to
            the source side (counter-clockwise seen from there).
        shifts: mm by which the detector moves along its own +v and +u in each view: [views, 2] (row, column),
            or [views] for a line detector. Adds to detector.offset.
        motion: of the object, [views, 6] or, in 2-D, [views, 3]; see `ConeBeam` and `FanBeam`.

    Raises:
        TypeError, ValueError: naming the argument, what was expected and what came.
    """

    divergent = False
    _beam = "parallel"
    _constructors: ClassVar[dict[str, str]] = {"circular": "", "vectors": "from_vectors"}

    def __init__(
        self,
        angles: Values,
        detector: Detector,
        *,
        axis_offset: float | Values = 0.0,
        tilt: float = 0.0,
        in_plane_rotation: float = 0.0,
        shifts: Values | None = None,
        motion: Values | None = None,
    ) -> None:
        recipe = Circular(
            detector=_flat(detector),
            angles=angles,
            axis_offset=axis_offset,
            tilt=tilt,
            in_plane_rotation=in_plane_rotation,
            shifts=shifts,
            motion=motion,
        )
        self._fill_from(recipe)

    @classmethod
    def from_vectors(
        cls, *, directions: Values, centers: Values, u: Values, v: Values | None = None, detector: Detector
    ) -> Self:
        """Any set of parallel views.

        Args:
            directions: which way the rays run, of any length: [views, 3], in 2-D [views, 2].
            centers: position (mm) of the detector's middle, every offset included; shaped as directions.
            u: step from one column to the next (mm), shaped as directions; its length must match
                detector.column_spacing.
            v: step from one row to the next (mm), [views, 3]; left out in 2-D.
            detector: a `FlatDetector` without offset.
        """
        recipe = Vectors(detector=_flat(detector), directions=directions, centers=centers, u=u, v=v)
        return cls._of(recipe)


def _flat(detector: object) -> Detector:
    if isinstance(detector, CurvedDetector):
        raise InputError(f"ParallelBeam needs a FlatDetector, got {detector!r}")
    if not isinstance(detector, Detector):
        raise InputTypeError(f"ParallelBeam needs a FlatDetector, got {detector!r} ({type(detector).__name__})")
    return require_dimension(detector, detector.ndim, "ParallelBeam")
