"""Signs and units of the orbit and its displacements, each against a statement made without its formulas."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sinograd.geometry import ConeBeam, CurvedDetector, FanBeam, FlatDetector, ParallelBeam, full_scan

SOD, SDD = 100.0, 150.0
SOURCE, CENTER, U, V, CURVATURE = range(5)
lengths = st.floats(-20, 20)
turns = st.floats(-0.5, 0.5)
gantry = st.floats(-7, 7)


def cone(angles=(0.0,), detector=None, **displacements) -> ConeBeam:
    detector = detector or FlatDetector((6, 8), (2.0, 1.0))
    return ConeBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=angles, detector=detector, **displacements
    )


def fan(angles=(0.0,), detector=None, **displacements) -> FanBeam:
    detector = detector or FlatDetector(8, 1.0)
    return FanBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=angles, detector=detector, **displacements
    )


def close(a: Tensor, b, tolerance: float = 1e-10) -> bool:
    return bool(torch.allclose(a, torch.as_tensor(b, dtype=torch.float64), rtol=0, atol=tolerance))


def hit(geometry, point, view: int = 0) -> tuple[float, float]:
    """(row, column) index where the ray through a world point meets the flat detector of one view."""
    source, center, u, v = geometry.vectors[view]
    ray = torch.tensor(point, dtype=torch.float64) - source
    _, column, row = torch.linalg.solve(torch.stack([ray, -u, -v], dim=1), center - source).tolist()
    return row + (geometry.rows - 1) / 2, column + (geometry.columns - 1) / 2


def test_four_quarters() -> None:
    """At 0, 90, 180 and 270 degrees the source stands at -y, +x, +y, -x: counter-clockwise from +z."""
    vectors = cone(full_scan(4)).vectors
    assert close(vectors[:, SOURCE], [[0, -100, 0], [100, 0, 0], [0, 100, 0], [-100, 0, 0]], 1e-12)
    assert close(vectors[:, CENTER], [[0, 50, 0], [-50, 0, 0], [0, -50, 0], [50, 0, 0]], 1e-12)
    assert close(vectors[:, U], [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], 1e-12)
    assert close(vectors[:, V], [[0, 0, 2]] * 4)


def test_fan_is_the_plane_of_the_cone() -> None:
    """The fan beam is the cone's middle row; v is the unit z."""
    both = fan(full_scan(7)).vectors, cone(full_scan(7)).vectors
    assert close(both[0][:, :V], both[1][:, :V])
    assert close(both[0][:, V], [[0, 0, 1]] * 7)


def test_parallel_is_the_limit_of_a_far_source() -> None:
    """Directions and pixel positions of a parallel beam are those of a cone beam from very far away."""
    angles, detector = full_scan(5, 0.3), FlatDetector((4, 6), 1.0, (0.5, -1.5))
    shifts = torch.rand(5, 2, dtype=torch.float64)
    far = ConeBeam.circular(
        source_to_origin=1e9, source_to_detector=1e9, angles=angles, detector=detector,
        axis_offset=0.7, tilt=0.1, in_plane_rotation=0.2, shifts=shifts,
    )  # fmt: skip
    parallel = ParallelBeam(angles, detector, axis_offset=0.7, tilt=0.1, in_plane_rotation=0.2, shifts=shifts)
    assert close(parallel.pixel_positions(), far.pixel_positions(), 1e-6)
    assert close(parallel.rays()[1], far.rays()[1], 1e-6)


@given(angle=gantry)
def test_isocentre_hits_the_middle(angle: float) -> None:
    """Undisplaced, the central ray meets index ((rows - 1) / 2, (columns - 1) / 2) at every angle."""
    assert hit(cone([angle]), (0, 0, 0)) == pytest.approx((2.5, 3.5), abs=1e-9)


def test_points_move_with_index() -> None:
    """At angle 0 a point towards +x is seen at a higher column, one towards +z at a higher row, magnified."""
    geometry = cone()
    assert hit(geometry, (1, 0, 0)) == pytest.approx((2.5, 3.5 + 1.5))
    assert hit(geometry, (0, 0, 1)) == pytest.approx((2.5 + 1.5 / 2, 3.5))


@given(angle=gantry, offset=lengths)
def test_axis_offset_is_where_the_axis_is_seen(angle: float, offset: float) -> None:
    """The axis is seen offset * magnification to the +u side, at every angle (centre of rotation)."""
    assert hit(cone([angle], axis_offset=offset), (0, 0, 0)) == pytest.approx((2.5, 3.5 + 1.5 * offset), abs=1e-8)


@given(angle=gantry, offset=lengths)
def test_axis_offset_is_source_offset_and_detector_offset(angle: float, offset: float) -> None:
    """Moving the axis by +offset is moving source and detector by -offset along u, nothing else."""
    moved = cone([angle], FlatDetector((6, 8), (2.0, 1.0), offset=(0, -offset)), source_offset=(0, -offset))
    shifted = cone([angle], source_offset=[[0, -offset]], shifts=[[0, -offset]])
    assert close(cone([angle], axis_offset=offset).vectors, moved.vectors)
    assert close(cone([angle], axis_offset=[offset]).vectors, shifted.vectors)


@given(angle=gantry, row=lengths, column=lengths)
def test_detector_offset_and_shifts_move_the_picture_the_other_way(angle: float, row: float, column: float) -> None:
    """A detector moved by one pixel along +u sees the same point one column lower; likewise rows."""
    expected = pytest.approx((2.5 - row, 3.5 - column), abs=1e-8)
    detector = FlatDetector((6, 8), (2.0, 1.0), offset=(2 * row, column))
    assert hit(cone([angle], detector), (0, 0, 0)) == expected
    assert hit(cone([angle], shifts=[[2 * row, column]]), (0, 0, 0)) == expected


@given(row=lengths, column=lengths)
def test_source_offset_moves_the_picture_by_magnification_less_one(row: float, column: float) -> None:
    """A source moved by s along +u throws the isocentre's shadow s (SDD - SOD) / SOD towards -u."""
    expected = pytest.approx((2.5 - row / 4, 3.5 - column / 2), abs=1e-8)
    assert hit(cone(source_offset=(row, column)), (0, 0, 0)) == expected


@given(angle=gantry, tilt=turns, yaw=turns, rotation=turns)
def test_turns_keep_centre_and_shape(angle: float, tilt: float, yaw: float, rotation: float) -> None:
    """Turning about the detector's centre leaves the centre, the lengths of u and v and their right angle."""
    vectors = cone([angle], tilt=tilt, yaw=yaw, in_plane_rotation=rotation).vectors[0]
    assert close(vectors[CENTER], cone([angle]).vectors[0, CENTER])
    assert vectors[U].norm().item() == pytest.approx(1)
    assert vectors[V].norm().item() == pytest.approx(2)
    assert (vectors[U] @ vectors[V]).item() == pytest.approx(0, abs=1e-12)


def test_signs_of_the_turns() -> None:
    """At angle 0 the source is at -y. Small turns move the edges as the docstring says."""
    assert cone(tilt=0.1).vectors[0, V, 1] < 0, "the +v edge comes towards the source"
    assert cone(yaw=0.1).vectors[0, U, 1] > 0, "the +u edge goes away from the source"
    turned = cone(in_plane_rotation=0.1).vectors[0]
    assert turned[U, 2] > 0, "u turns towards v"
    assert turned[V, 0] < 0, "v turns towards -u"
    assert close(cone(tilt=0.1).vectors[0, U], [1, 0, 0]), "tilt is about u"
    assert close(cone(yaw=0.1).vectors[0, V], [0, 0, 2]), "yaw is about v"
    assert turned[U, 1] == turned[V, 1] == 0, "in-plane rotation is about the normal"


def test_order_of_the_turns() -> None:
    """In-plane by a quarter turn first makes the own u axis point up, so that tilt then turns about z."""
    vectors = cone(in_plane_rotation=math.pi / 2, tilt=0.3).vectors[0]
    assert close(vectors[U], [0, 0, 1])
    assert close(vectors[V], [-2 * math.cos(0.3), -2 * math.sin(0.3), 0])
    vectors = cone(tilt=math.pi / 4, yaw=0.3).vectors[0]
    assert close(vectors[V], [0, -2 * math.sin(math.pi / 4), 2 * math.cos(math.pi / 4)]), "yaw keeps the turned v"


def test_tilt_zero_is_plain() -> None:
    """Turns of zero change not one bit."""
    angles = full_scan(9, 0.1)
    plain, turned = cone(angles), cone(angles, tilt=0, yaw=0.0, in_plane_rotation=0)
    assert torch.equal(plain.vectors, turned.vectors)


@given(angle=gantry)
def test_half_turn_in_plane_flips_rows_and_columns(angle: float) -> None:
    """A detector turned by pi has the same pixels, numbered backwards."""
    plain, turned = cone([angle]), cone([angle], in_plane_rotation=math.pi)
    assert close(turned.pixel_positions(), plain.pixel_positions().flip(1, 2))


def test_offsets_slide_along_the_turned_axes() -> None:
    """A detector turned by a quarter turn and offset along its +u has moved along the world's +z."""
    detector = FlatDetector((6, 8), (2.0, 1.0), offset=(0, 5))
    assert close(cone(detector=detector, in_plane_rotation=math.pi / 2).vectors[0, CENTER], [0, 50, 5])


@settings(max_examples=50)
@given(angle=gantry, column=st.floats(-3.5, 3.5))
def test_conjugate_ray(angle: float, column: float) -> None:
    """The ray (a, gamma) is measured again, reversed, as (a + pi - 2 gamma, -gamma)."""
    gamma = math.atan(column / SDD)
    detector = FlatDetector(8, 1.0)
    here = fan([angle], detector).vectors[0]
    there = fan([angle + math.pi - 2 * gamma], detector).vectors[0]
    source, pixel = here[SOURCE], here[CENTER] + column * here[U]
    for point in (source, pixel):
        back = there[CENTER] - column * there[U] - there[SOURCE]
        along = torch.linalg.cross(back, point - there[SOURCE])
        assert along.norm().item() <= 1e-9 * SDD**2
    assert torch.dot(pixel - source, back) < 0


class TestCurved:
    """Detectors on a cylinder, against distances and angles measured in the world."""

    @given(angle=gantry, offset=lengths)
    def test_focused_detector_is_equidistant_and_equiangular(self, angle: float, offset: float) -> None:
        """Every column is SDD from the source and takes the angle spacing / SDD, however offset.

        From column to column the rays turn clockwise seen from +z, from -u to +u.
        """
        geometry = fan([angle], CurvedDetector(8, 1.0, offset=offset))
        origin, direction = geometry.rays()
        distance = (geometry.pixel_positions() - origin).norm(dim=-1)
        assert close(distance, torch.full((1, 8), SDD))
        neighbours = torch.linalg.cross(direction[:, :-1], direction[:, 1:])[..., 2].asin()
        assert close(neighbours, torch.full((1, 7), -1 / SDD, dtype=torch.float64))

    @given(angle=gantry, offset=lengths)
    def test_offset_is_measured_along_the_arc(self, angle: float, offset: float) -> None:
        """The isocentre is seen offset / spacing columns lower, exactly (not through a tangent)."""
        geometry = cone([angle], CurvedDetector((6, 8), (2.0, 1.0), offset=(0, offset)))
        source, center, u, _, axis = geometry.vectors[0]
        assert close(axis, source)
        central = -source / source.norm()
        gamma = math.atan2((central @ u).item(), (central @ (center - axis)).item() / SDD)
        assert gamma * SDD == pytest.approx(-offset, abs=1e-8)

    def test_flying_focal_spot_leaves_the_curvature_centre(self) -> None:
        """The source moves, the detector with its curvature centre stays."""
        detector = CurvedDetector((6, 8), (2.0, 1.0))
        moved, plain = cone(detector=detector, source_offset=(1, 2)).vectors, cone(detector=detector).vectors
        assert close(moved[:, CENTER:], plain[:, CENTER:])
        assert close(moved[0, SOURCE] - plain[0, SOURCE], [2, 0, 1])

    def test_middle_of_a_curved_detector_touches_the_flat_one(self) -> None:
        """Source, centre and steps are those of the flat detector; a row offset lifts the curvature."""
        flat = cone(full_scan(5), FlatDetector((6, 8), (2.0, 1.0), (3, 0))).vectors
        curved = cone(full_scan(5), CurvedDetector((6, 8), (2.0, 1.0), offset=(3, 0))).vectors
        assert close(curved[:, :CURVATURE], flat)
        assert close(curved[:, CURVATURE, 2], [3] * 5)

    def test_small_radius_curves_towards_the_source(self) -> None:
        """With radius R the edges stand nearer to the source than the middle by R - sqrt(R^2 - x^2)."""
        geometry = fan(detector=CurvedDetector(8, 1.0, radius=20))
        pixels = geometry.pixel_positions()[0]
        x, y = pixels[:, 0], pixels[:, 1]
        assert close(50 - y, 20 - (400 - x**2).sqrt())
        assert (y[0] < y[3]).item()

    def test_huge_radius_is_flat(self) -> None:
        """The limit of a large radius is the flat detector."""
        curved = cone(full_scan(3), CurvedDetector((6, 8), (2.0, 1.0), radius=1e9))
        assert close(curved.pixel_positions(), cone(full_scan(3)).pixel_positions(), 1e-6)


class TestHelical:
    """Table feed."""

    @settings(max_examples=50)
    @given(pitch=st.floats(-50, 50), start=gantry)
    def test_one_turn_feeds_by_the_pitch(self, pitch: float, start: float) -> None:
        """After 2 pi the source stands at the same place, higher by pitch; the scan is centred on z = 0."""
        angles = torch.linspace(start, start + 4 * math.pi, 9, dtype=torch.float64)
        geometry = ConeBeam.helical(
            source_to_origin=SOD, source_to_detector=SDD, angles=angles, detector=FlatDetector((6, 8), 1.0),
            pitch=pitch,
        )  # fmt: skip
        vectors = geometry.vectors
        risen = vectors[4:, :V] - vectors[:5, :V]
        assert close(risen[:, SOURCE], [[0, 0, pitch]] * 5)
        assert close(risen[:, CENTER], [[0, 0, pitch]] * 5)
        assert close(risen[:, U], [[0, 0, 0]] * 5)
        assert (vectors[0, SOURCE, 2] + vectors[-1, SOURCE, 2]).item() == pytest.approx(0, abs=1e-12)

    def test_pitch_zero_is_circular(self) -> None:
        """A helix of pitch 0 from z = 0 is the circle."""
        helix = ConeBeam.helical(
            source_to_origin=SOD, source_to_detector=SDD, angles=full_scan(5),
            detector=FlatDetector((6, 8), (2.0, 1.0)), pitch=0, tilt=0.1,
        )  # fmt: skip
        assert helix.equals(cone(full_scan(5), tilt=0.1))

    def test_z_start_is_the_height_of_the_first_view(self) -> None:
        """Named height, and half a pitch more after half a turn."""
        helix = ConeBeam.helical(
            source_to_origin=SOD, source_to_detector=SDD, angles=[1.0, 1.0 + math.pi],
            detector=CurvedDetector((6, 8), 1.0), pitch=10, z_start=3,
        )  # fmt: skip
        assert close(helix.vectors[:, SOURCE, 2], [3, 8])
        assert close(helix.vectors[:, CURVATURE, 2], [3, 8])
