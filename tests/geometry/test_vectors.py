"""Magnification, angles, fields of view and default grids, against trigonometry done by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd.geometry import ConeBeam, CurvedDetector, FanBeam, FlatDetector, ParallelBeam, full_scan

SOD, SDD = 1000.0, 1500.0


def cone(detector=None, **options) -> ConeBeam:
    options = {"angles": full_scan(12), "detector": detector or FlatDetector((256, 256), 1.6), **options}
    return ConeBeam.circular(source_to_origin=SOD, source_to_detector=SDD, **options)


def fan(detector, **options) -> FanBeam:
    return FanBeam.circular(
        source_to_origin=SOD,
        source_to_detector=SDD,
        **{"angles": full_scan(12), "detector": detector, **options},
    )


def test_flat_detector() -> None:
    """The half angles have tan = half detector / SDD; the edge ray passes SOD sin(half fan) from the axis."""
    geometry = cone(FlatDetector((128, 256), 1.6))
    half = math.atan(128 * 1.6 / SDD)
    assert geometry.magnification == pytest.approx(1.5)
    assert geometry.fan_angle == pytest.approx(2 * half)
    assert geometry.cone_angle == pytest.approx(2 * math.atan(64 * 1.6 / SDD))
    assert geometry.field_of_view == pytest.approx(2 * SOD * math.sin(half))


def test_curved_detector() -> None:
    """On a focused arc the fan angle is arc / SDD."""
    geometry = cone(CurvedDetector((128, 256), 1.6))
    assert geometry.magnification == pytest.approx(1.5)
    assert geometry.fan_angle == pytest.approx(256 * 1.6 / SDD)
    assert geometry.cone_angle == pytest.approx(2 * math.atan(64 * 1.6 / SDD))
    assert geometry.field_of_view == pytest.approx(2 * SOD * math.sin(128 * 1.6 / SDD))


def test_parallel_beam() -> None:
    """No magnification, no angles, and the field of view is the detector."""
    geometry = ParallelBeam(full_scan(9), FlatDetector((10, 20), (2.0, 1.0)))
    assert (geometry.magnification, geometry.fan_angle, geometry.cone_angle) == (1, 0, 0)
    assert geometry.field_of_view == pytest.approx(20)
    grid = geometry.default_grid()
    assert grid.shape == (20, 20, 20)
    assert grid.spacing == (1, 1, 1)


@settings(max_examples=30)
@given(axis_offset=st.floats(-20, 20), tilt=st.floats(-0.1, 0.1), offset=st.floats(-50, 50), curved=st.booleans())
def test_magnification_is_that_of_the_central_ray(axis_offset: float, tilt: float, offset: float, curved: bool) -> None:
    """SDD / SOD whatever the detector's offset or tilt and the axis offset (which moves both sideways)."""
    detector = (CurvedDetector if curved else FlatDetector)((64, 64), 4.0, offset=(offset, offset))
    assert cone(detector, tilt=tilt, source_offset=(0, 0)).magnification == pytest.approx(1.5)
    if not curved:
        assert cone(detector, axis_offset=axis_offset).magnification == pytest.approx(1.5)


def test_half_fan_reaches_to_its_far_edge() -> None:
    """Offset by 40 mm of 100, the far edge is 90 mm out; the near one still covers the axis."""
    assert fan(FlatDetector(100, 1.0, offset=40)).field_of_view == pytest.approx(
        2 * SOD * math.sin(math.atan(90 / SDD))
    )
    mirrored = fan(FlatDetector(100, 1.0, offset=-40)).field_of_view
    assert mirrored == pytest.approx(2 * SOD * math.sin(math.atan(90 / SDD)))


def test_axis_outside_the_fan() -> None:
    """A detector that misses the axis covers no circle about it and has no default grid."""
    geometry = fan(FlatDetector(100, 1.0, offset=60))
    assert geometry.field_of_view == 0
    with pytest.raises(ValueError, match="this FanBeam has no default grid: the rotation axis is not seen"):
        geometry.default_grid()


def test_one_blind_view_counts() -> None:
    """The circle must be covered by every view."""
    shifts = torch.zeros(12, dtype=torch.float64)
    shifts[3] = 60
    assert fan(FlatDetector(100, 1.0), shifts=shifts).field_of_view == 0


@given(offset=st.floats(-30, 30))
def test_axis_offset_moves_the_axis_in_the_fan(offset: float) -> None:
    """The distance of the point (offset, SOD) to the farther edge ray, in the frame of the source."""
    edge = math.atan(100 / SDD)
    reach = SOD * math.sin(edge) + abs(offset) * math.cos(edge)
    assert fan(FlatDetector(200, 1.0), axis_offset=offset).field_of_view == pytest.approx(2 * reach)


def test_portrait_and_landscape() -> None:
    """A detector turned by a quarter turn sees with its rows what it saw with its columns."""
    lying = cone(FlatDetector((64, 256), 1.6))
    standing = cone(FlatDetector((256, 64), 1.6), in_plane_rotation=math.pi / 2)
    assert standing.field_of_view == pytest.approx(lying.field_of_view)
    assert standing.default_grid().equals(lying.default_grid())


def test_default_grid_of_case_a() -> None:
    """256 pixels of 1.6 mm, magnified 1.5: voxels of 1.0667 mm, 256 of them along z, fewer across a fan."""
    grid = cone().default_grid()
    assert grid.shape == (256, 254, 254)
    assert grid.spacing == pytest.approx((1.6 / 1.5,) * 3)
    assert grid.center == (0, 0, 0)


@settings(max_examples=40)
@given(
    rows=st.integers(1, 64), columns=st.integers(8, 64), row=st.floats(-40, 40), column=st.floats(-3, 3),
    curved=st.booleans(),
)  # fmt: skip
def test_default_grid_covers_the_field_of_view(
    rows: int, columns: int, row: float, column: float, curved: bool
) -> None:
    """It holds the circle seen and the heights seen at the axis, with less than a voxel to spare."""
    detector = (CurvedDetector if curved else FlatDetector)((rows, columns), 2.0, offset=(row, column))
    geometry = cone(detector)
    grid = geometry.default_grid()
    depth, height, width = grid.size
    assert 0 <= width - geometry.field_of_view + 1e-6 < grid.spacing[0]
    assert height == width
    # the axis is at SOD of SDD: heights there are row positions over the magnification
    low, high = ((row + sign * rows) / 1.5 for sign in (-1, 1))
    assert grid.center[2] == pytest.approx((low + high) / 2, abs=2e-9 * (high - low))
    assert 0 <= depth - (high - low) + 1e-6 < grid.spacing[0]


def test_default_grid_of_a_shape() -> None:
    """A given shape keeps the region and takes the spacing that covers it on every axis."""
    geometry = cone(FlatDetector((64, 256), 1.6))
    grid = geometry.default_grid((32, 64, 64))
    assert grid.shape == (32, 64, 64)
    assert grid.spacing == pytest.approx((geometry.field_of_view / 64,) * 3)
    with pytest.raises(ValueError, match=r"shape must be \(z, y, x\), got 2 numbers"):
        geometry.default_grid((64, 64))
    flat = fan(FlatDetector(256, 1.6)).default_grid((64, 64))
    assert flat.spacing == pytest.approx((2 * SOD * math.sin(math.atan(204.8 / SDD)) / 64,) * 2)


def test_default_grid_of_a_helix() -> None:
    """It spans the feed and the cone at its two ends."""
    geometry = ConeBeam.helical(
        source_to_origin=SOD, source_to_detector=SDD,
            angles=torch.linspace(0, 6 * math.pi, 90, dtype=torch.float64),
        detector=CurvedDetector((30, 200), 2.0), pitch=50.0,
    )  # fmt: skip
    assert geometry.magnification == pytest.approx(1.5)
    grid = geometry.default_grid()
    assert grid.center == (0, 0, 0)
    assert grid.size[0] == pytest.approx(3 * 50 + 30 * 2 / 1.5, abs=grid.spacing[0])


@pytest.mark.parametrize("column", [0.0, 30.0, -30.0])
@pytest.mark.parametrize("curved", [False, True])
def test_short_scan_measures_every_line(column: float, curved: bool) -> None:
    """Every ray's conjugate (a + pi - 2 gamma) lies within the scan or the ray is its own pair at the ends.

    The scan must reach pi + 2 g for the largest |gamma| = g, also for detectors off centre.
    """
    detector = (CurvedDetector if curved else FlatDetector)((4, 200), 1.0, offset=(0, column))
    reach = 100 + abs(column)
    largest = reach / SDD if curved else math.atan(reach / SDD)
    geometry = ConeBeam.short_scan(source_to_origin=SOD, source_to_detector=SDD, views=50, detector=detector, start=0.2)
    assert geometry.angles is not None
    assert geometry.angles[0].item() == pytest.approx(0.2)
    assert geometry.angles[-1].item() == pytest.approx(0.2 + math.pi + 2 * largest)
    line = (CurvedDetector if curved else FlatDetector)(200, 1.0, offset=column)
    same = FanBeam.short_scan(source_to_origin=SOD, source_to_detector=SDD, views=50, detector=line, start=0.2)
    assert same.angles is not None
    assert torch.allclose(same.angles, geometry.angles)
