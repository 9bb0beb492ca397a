"""Cone beams: a point source and an area detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from sinograd.geometry import checks, matrices
from sinograd.geometry.base import Geometry
from sinograd.geometry.checks import Values
from sinograd.geometry.circular import Circular, Helical, ShortScan, helix_heights
from sinograd.geometry.detectors import Detector
from sinograd.geometry.vector_recipe import Vectors
from sinograd.geometry.view_vectors import require_dimension


class ConeBeam(Geometry):
    """Rays from a source point to an area detector.

    Made by `circular`, `short_scan`, `helical`, `from_vectors` or `from_matrices`. At gantry angle a,
    counter-clockwise seen from +z; from above at a = 0, and the detector as the source sees it:

               +y                                     v, +z
                ^                                      ^
         -------+-------  detector, u ->        +------|------+
                |                               |      |      |
                |                               |      +------|--> u     in-plane rotation:
                +--> +x   rotation axis         |   normal n  |          counter-clockwise here,
                |                               |   to reader |          from u towards v
                |                               +-------------+
                o         source

        source SOD (sin a, -cos a, 0), detector centre (SDD - SOD) (-sin a, cos a, 0),
        u = (cos a, sin a, 0), v = (0, 0, 1); SOD = source_to_origin, SDD = source_to_detector

    Displacements (mm) and turns (radians), all 0 by default:

    - axis_offset: how far the rotation axis lies towards +u from the line source - detector centre, measured
      at the axis: source and detector both move by -axis_offset * u. A number or one for each view.
    - source_offset: (row, column) or (row, column, outward), or one for each view [views, 2] or [views, 3]: moves only
      the source, along +v, +u and away from the rotation axis (a flying focal spot). The detector stays, and so does
      the axis of a curved one.
    - in_plane_rotation, tilt, yaw turn the detector about its own centre (where the central ray meets it), in
      this order, each about the detector's own axis as already turned, by the right-hand rule: in-plane about
      n = u x v, which points to the source; tilt about u (positive tips the +v edge towards the source); yaw
      about v (positive moves the +u edge away from the source).
    - detector.offset (row, column) and shifts ([views, 2], one pair for each view) add up and slide the
      detector along its own +v and +u, as turned. On a curved detector the column part slides along the arc,
      which leaves its centre of curvature where it is.
    - motion: of the object, [views, 6]: where view i is taken, its point p stands at R p + t, with
      t = motion[i, :3] in mm and R the rotation about the isocentre by the rotation vector motion[i, 3:] in
      radians. Source and detector move the other way, so that the object is reconstructed at rest.
    """

    divergent = True
    _beam = "cone"
    _constructors: ClassVar[dict[str, str]] = {
        "circular": "circular",
        "short_scan": "short_scan",
        "helical": "helical",
        "vectors": "from_vectors",
    }

    @property
    def source_to_origin(self) -> float | None:
        """Distance from source to rotation axis in mm; None where vectors or matrices were given."""
        return self._arguments.get("source_to_origin")

    @property
    def source_to_detector(self) -> float | None:
        """Distance from source to detector in mm, as given; None where vectors or matrices were given."""
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
        source_offset: Values = (0.0, 0.0),
        tilt: float = 0.0,
        yaw: float = 0.0,
        in_plane_rotation: float = 0.0,
        shifts: Values | None = None,
        motion: Values | None = None,
    ) -> Self:
        """Source and detector turning about the axis.

        Args:
            source_to_origin, source_to_detector: distances in mm, positive.
            angles: gantry angle of each view in radians, [views].
            detector: an area detector.
            axis_offset, source_offset, tilt, yaw, in_plane_rotation, shifts, motion: see `ConeBeam`.

        Raises:
            TypeError, ValueError: naming the argument, what was expected and what came.
        """
        recipe = Circular(
            detector=require_dimension(detector, 2, "ConeBeam"),
            source_to_origin=source_to_origin,
            source_to_detector=source_to_detector,
            axis_offset=axis_offset,
            source_offset=source_offset,
            tilt=tilt,
            yaw=yaw,
            in_plane_rotation=in_plane_rotation,
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
        source_offset: Values = (0.0, 0.0),
        tilt: float = 0.0,
        yaw: float = 0.0,
        in_plane_rotation: float = 0.0,
        shifts: Values | None = None,
        motion: Values | None = None,
    ) -> Self:
        """A circular scan over half a turn plus the fan angle, which measures every line of the mid-plane.

        Args:
            views: number of views, at least 2; both ends are included.
            start: first gantry angle in radians.
            source_to_origin, source_to_detector, detector and the displacements: as for `circular`.

        The angles cover pi + 2 g, where g is the largest horizontal angle between any ray and the line
        source - rotation axis.
        """
        recipe = ShortScan(
            detector=require_dimension(detector, 2, "ConeBeam"),
            source_to_origin=source_to_origin,
            source_to_detector=source_to_detector,
            axis_offset=axis_offset,
            source_offset=source_offset,
            tilt=tilt,
            yaw=yaw,
            in_plane_rotation=in_plane_rotation,
            shifts=shifts,
            motion=motion,
            views=views,
            start=start,
        )
        return cls._of(recipe)

    @classmethod
    def helical(
        cls,
        *,
        source_to_origin: float,
        source_to_detector: float,
        angles: Values,
        detector: Detector,
        pitch: float,
        z_start: float | None = None,
        axis_offset: float | Values = 0.0,
        source_offset: Values = (0.0, 0.0),
        tilt: float = 0.0,
        yaw: float = 0.0,
        in_plane_rotation: float = 0.0,
        shifts: Values | None = None,
        motion: Values | None = None,
    ) -> Self:
        """Source and detector turning about the axis and moving along it.

        Source and detector stand at z = z_start + pitch (a - a0) / (2 pi), a0 being the first angle: a
        positive pitch raises them as the angle grows.

        Args:
            angles: gantry angle of each view in radians, [views], counting on over several turns.
            pitch: mm of table feed per turn; negative for a helix of the other hand.
            z_start: z (mm) of the first view; None centres the scan on z = 0.
            source_to_origin, source_to_detector, detector and the displacements: as for `circular`.
        """
        recipe = Helical(
            detector=require_dimension(detector, 2, "ConeBeam"),
            source_to_origin=source_to_origin,
            source_to_detector=source_to_detector,
            axis_offset=axis_offset,
            source_offset=source_offset,
            tilt=tilt,
            yaw=yaw,
            in_plane_rotation=in_plane_rotation,
            shifts=shifts,
            motion=motion,
            angles=angles,
            pitch=pitch,
            z_start=z_start,
        )
        return cls._of(recipe)

    def _arguments_of_views(self, chosen: Tensor) -> dict[str, Any]:
        arguments = super()._arguments_of_views(chosen)
        if self.scan == "helical":
            heights = helix_heights(arguments["angles"], arguments["pitch"], arguments["z_start"])
            arguments["z_start"] = heights[chosen[0]].item()
        return arguments

    @classmethod
    def from_vectors(
        cls,
        *,
        sources: Values,
        centers: Values,
        u: Values,
        v: Values,
        detector: Detector,
        curvature_centers: Values | None = None,
    ) -> Self:
        """Any set of cone-beam views.

        Args:
            sources: source positions (x, y, z) in mm, [views, 3].
            centers: positions of the detector's middle in mm, every offset included, [views, 3].
            u, v: steps from one column and from one row to the next in mm, [views, 3], of either handedness;
                their lengths must match detector.spacing within 1e-3.
            detector: an area detector without offset. A curved one is curved towards the source.
            curvature_centers: a point (x, y, z) in mm of the axis of each curved detector, [views, 3], where that is
                not detector.radius (without one: the source's distance) in front of its middle.
        """
        recipe = Vectors(
            detector=require_dimension(detector, 2, "ConeBeam"),
            sources=sources,
            centers=centers,
            u=u,
            v=v,
            curvature_centers=curvature_centers,
        )
        return cls._of(recipe)

    @classmethod
    def from_matrices(
        cls,
        matrices: Values,
        detector: Detector,
        *,
        pixel_origin: Sequence[float] = (0.0, 0.0),
        unit: Literal["pixel", "mm"] = "pixel",
        front: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> Self:
        """Views given by projection matrices, as calibrations of C-arms and robots give them.

        Args:
            matrices: P, [views, 3, 4], of any scale, sign and handedness, with
                P (x, y, z, 1) = w (column, row, 1), world in mm.
            detector: a `FlatDetector` without offset. P knows no lengths on the detector: the detector plane
                is put where one column is detector.column_spacing wide.
            pixel_origin: the (row, column) that P gives to the centre of the first pixel: (0, 0); (1, 1)
                where P counts from one; (0.5, 0.5) where it counts from the corner of the first pixel. In mm
                for unit "mm".
            unit: what P measures rows and columns in: "pixel", or "mm" on the detector.
            front: a world point (x, y, z) that lies in front of the source in every view.

        Raises:
            ValueError: for a singular left 3x3 block (parallel rays), a `front` point level with the source,
                and where the row step that follows from P differs from detector.row_spacing by over 1e-3.
        """
        return cls.from_vectors(**_matrix_vectors(matrices, detector, pixel_origin, unit, front), detector=detector)

    def to_matrices(
        self, *, pixel_origin: Sequence[float] = (0.0, 0.0), unit: Literal["pixel", "mm"] = "pixel"
    ) -> Tensor:
        """Projection matrices P, float64 [views, 3, 4], with P (x, y, z, 1) = w (column, row, 1).

        Scaled so that w is the distance in mm from the source along the detector's normal, positive towards
        the detector. pixel_origin and unit are those of `from_matrices`. Flat detectors only.
        """
        detector = matrices.require_flat(self.detector, "to_matrices")
        return matrices.vectors_to_matrices(self._vectors, detector, matrices.pixel_frame(detector, pixel_origin, unit))


def _matrix_vectors(
    given: object, detector: object, pixel_origin: object, unit: object, front: object
) -> dict[str, Tensor]:
    area = matrices.require_flat(require_dimension(detector, 2, "ConeBeam"), "from_matrices")
    return matrices.matrices_to_vectors(
        checks.values(given, "matrices", ("views", 3, 4)),
        area,
        matrices.pixel_frame(area, pixel_origin, unit),
        checks.values(front, "front", (3,)),
    )
