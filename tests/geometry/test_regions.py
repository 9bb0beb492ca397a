"""Parts of detectors and binned elements lie where the elements lay that they are made of."""

from __future__ import annotations

import math

import pytest
import torch

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    ParallelBeam,
    detector_region,
    full_scan,
    shift_detector,
)

ORBIT = {"source_to_origin": 100.0, "source_to_detector": 160.0}
FLAT, ARC = FlatDetector((10, 13), (1.5, 2.0), (0.7, -1.1)), CurvedDetector((10, 13), (1.5, 2.0), offset=(0.7, -1.1))


def geometries() -> list[Geometry]:
    angles = full_scan(5, 0.3)
    turned = {"tilt": 0.1, "yaw": 0.2, "in_plane_rotation": -0.15, "axis_offset": 3.0}
    shifts = torch.rand(5, 2, dtype=torch.float64)
    cone = ConeBeam.circular(**ORBIT, angles=angles, detector=FLAT, **turned, shifts=shifts)
    curved = ConeBeam.circular(**ORBIT, angles=angles, detector=ARC, yaw=0.2)
    vectors = curved.vectors
    given = ConeBeam.from_vectors(
        sources=vectors[:, 0],
        centers=vectors[:, 1],
        u=vectors[:, 2],
        v=vectors[:, 3],
        detector=CurvedDetector((10, 13), (1.5, 2.0), radius=160.0),
    )
    matrices = ConeBeam.from_matrices(
        ConeBeam.circular(**ORBIT, angles=angles, detector=FLAT).to_matrices(), FlatDetector((10, 13), (1.5, 2.0))
    )
    return [
        cone,
        curved,
        given,
        matrices,
        ConeBeam.helical(**ORBIT, angles=angles, detector=FLAT, pitch=4.0),
        ConeBeam.short_scan(**ORBIT, views=5, detector=FLAT),
        FanBeam.circular(**ORBIT, angles=angles, detector=FlatDetector(13, 2.0, -1.1), source_offset=1.0),
        FanBeam.circular(**ORBIT, angles=angles, detector=CurvedDetector(13, 2.0, offset=-1.1)),
        ParallelBeam(angles, FLAT, tilt=0.1, in_plane_rotation=0.2),
        ParallelBeam(angles, FlatDetector(13, 2.0)),
    ]


@pytest.mark.parametrize("geometry", geometries(), ids=lambda g: f"{type(g).__name__}-{g.scan}-{g.ndim}")
def test_a_region_keeps_its_elements_where_they_are(geometry: Geometry) -> None:
    flat = geometry.ndim == 2
    part = detector_region(geometry, None if flat else (2, 9), (3, 12))
    whole = geometry.pixel_positions()
    expected = whole[:, 3:12] if flat else whole[:, 2:9, 3:12]
    assert part.projection_shape == tuple(expected.shape[:-1])
    assert torch.allclose(part.pixel_positions(), expected, atol=1e-10)
    assert torch.allclose(part.rays()[1], geometry.rays()[1][:, 3:12] if flat else geometry.rays()[1][:, 2:9, 3:12])


@pytest.mark.parametrize("geometry", geometries(), ids=lambda g: f"{type(g).__name__}-{g.scan}-{g.ndim}")
def test_binned_elements_lie_in_the_middle(geometry: Geometry) -> None:
    flat, arc = geometry.ndim == 2, isinstance(geometry.detector, CurvedDetector)
    part = detector_region(geometry, None, (1, 12), binning=(1, 3) if flat else (2, 3))
    whole = geometry.pixel_positions()[..., 1:10, :]  # three columns to a bin; the last two do not fill one
    middle = whole.unflatten(-2, (3, 3))[..., 1, :]  # the middle column of each bin: exact on an arc as well
    if not flat:
        middle = middle.unflatten(1, (5, 2)).mean(2)
    assert part.projection_shape == tuple(middle.shape[:-1])
    assert part.detector.spacing[-1] == 6.0
    assert torch.allclose(part.pixel_positions(), middle, atol=1e-9)
    assert part.detector.ndim == geometry.detector.ndim
    assert isinstance(part.detector, CurvedDetector) == arc


def test_numbers_of_a_region() -> None:
    geometry = ConeBeam.circular(**ORBIT, angles=full_scan(4), detector=FlatDetector((10, 20), 2.0, (1.0, 3.0)))
    part = detector_region(geometry, (0, 5), (10, 20), 2)
    assert part.detector == FlatDetector((2, 5), 4.0, (1.0 + (1.5 - 4.5) * 2, 3.0 + (14.5 - 9.5) * 2))
    assert detector_region(geometry).equals(geometry)


def test_a_shifted_detector() -> None:
    geometry = ConeBeam.circular(**ORBIT, angles=full_scan(4), detector=FLAT)
    assert shift_detector(geometry, 0.4, -0.2).detector.offset == pytest.approx((0.5, -0.7))
    for other in geometries()[2:4]:
        moved = shift_detector(other, 2.0)  # by one column
        assert torch.allclose(
            moved.pixel_positions()[..., :-1, :], other.pixel_positions()[..., 1:, :], atol=1e-9
        )
    fan = FanBeam.circular(**ORBIT, angles=[0.0], detector=FlatDetector(5, 1.0))
    assert shift_detector(fan, -1.5).vectors[0, 1].tolist() == pytest.approx([-1.5, 60.0, 0.0])


def test_views_keep_their_angles_in_a_region_of_a_short_scan() -> None:
    geometry = ConeBeam.short_scan(**ORBIT, views=7, detector=FLAT)
    part = detector_region(geometry, None, (2, 8))
    assert part.angles is not None and geometry.angles is not None
    assert torch.equal(part.angles, geometry.angles)
    assert float(part.angles[-1]) > math.pi


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": (0, 11)}, r"rows: expected \(first, end\) with 0 <= first < end <= 10, got \(0, 11\)"),
        ({"columns": (5, 5)}, "columns: expected"),
        ({"columns": (-1, 5)}, "columns: expected"),
        ({"columns": (0.0, 5)}, "columns: expected"),
        ({"columns": (1, 2, 3)}, "columns: expected"),
        ({"rows": (0, 3), "binning": 4}, "binning: 4 rows do not fit into the 3 of rows 0 to 3"),
        ({"binning": 0}, "binning must be at least 1"),
        ({"binning": (1, 2, 3)}, "binning must be a number or"),
    ],
)
def test_wrong_regions(arguments: dict, message: str) -> None:
    geometry = ConeBeam.circular(**ORBIT, angles=full_scan(4), detector=FLAT)
    with pytest.raises(ValueError, match=message):
        detector_region(geometry, **arguments)


def test_a_line_has_no_rows() -> None:
    fan = FanBeam.circular(**ORBIT, angles=full_scan(4), detector=FlatDetector(5, 1.0))
    with pytest.raises(ValueError, match="binning"):
        detector_region(fan, binning=(2, 2))
    with pytest.raises(ValueError, match="rows"):
        detector_region(fan, rows=(0, 2))
    with pytest.raises(ValueError, match="row 1"):
        shift_detector(fan, row=1.0)
    assert detector_region(fan, binning=2).columns == 2
