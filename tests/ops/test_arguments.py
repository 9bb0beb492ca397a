"""Geometries and grids that make no operator, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sinograd import (
    Backprojection,
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    XRayTransform,
    full_scan,
)

AREA, LINE = FlatDetector((5, 6), 1.7), FlatDetector(6, 1.7)
CIRCLE: dict[str, Any] = dict(source_to_origin=30.0, source_to_detector=50.0)
OPERATORS = pytest.mark.parametrize("operator", [XRayTransform, Backprojection])


@OPERATORS
@pytest.mark.parametrize(
    "geometry, grid, corner, distance",
    [
        # the source stands at y = -30, the corner farthest from the detector at y = -32
        (ConeBeam.circular(**CIRCLE, angles=[0.0], detector=AREA), Grid((4, 64, 6)), "-32", "2 mm"),
        (
            ConeBeam.circular(**CIRCLE, angles=[0.0], detector=CurvedDetector((5, 6), 1.7)),
            Grid((4, 64, 6)),
            "-32",
            "2 mm",
        ),
        (FanBeam.circular(**CIRCLE, angles=[0.0], detector=LINE), Grid((64, 6)), "-32", "2 mm"),
        # and of the second view at x = 30
        (ConeBeam.circular(**CIRCLE, angles=[0.0, torch.pi / 2], detector=AREA), Grid((4, 6, 68)), "34", "4 mm"),
        # wholly behind
        (ConeBeam.circular(**CIRCLE, angles=[0.0], detector=AREA), Grid((4, 4, 6), 1.0, (0, -50, 0)), "-52", "22 mm"),
    ],
)
def test_object_behind_the_source(operator: Any, geometry: Geometry, grid: Grid, corner: str, distance: str) -> None:
    """The message names the argument, the view, how far behind, and where the source is."""
    view = geometry.views - 1
    with pytest.raises(
        ValueError, match=rf"grid.*behind the source.*view {view} .*{corner}.*{distance}.*source at .*30"
    ):
        operator(geometry, grid)


@OPERATORS
def test_tilted_detector_sees_its_own_half_space(operator: Any) -> None:
    """In front of the source is the side of the detector, along its normal."""
    options = dict(**CIRCLE, angles=[0.0], detector=AREA)
    high = Grid((60, 6, 6), 1.0, (0.0, -20.0, 0.0))  # reaches y = -23, 7 mm in front of the source, up to z = 30
    operator(ConeBeam.circular(**options), high)
    with pytest.raises(ValueError, match="behind the source"):
        operator(ConeBeam.circular(**options, tilt=0.5), high)


@OPERATORS
def test_source_inside_the_outermost_half_voxel(operator: Any) -> None:
    """Interpolated volumes reach half a voxel beyond their grid: there, too, no source may be."""
    geometry = ConeBeam.circular(
        source_to_origin=4.2, source_to_detector=4.3, angles=[0.0], detector=FlatDetector((3, 401), (0.02, 0.1))
    )
    with pytest.raises(ValueError, match="source"):
        operator(geometry, Grid((9, 8, 8)))


@OPERATORS
def test_parallel_beams_have_no_source(operator: Any) -> None:
    operator(ParallelBeam(full_scan(3), AREA), Grid((4, 100, 100)))


@OPERATORS
def test_dimensions(operator: Any) -> None:
    with pytest.raises(ValueError, match=r"grid\.shape \(4, 5\).*3-D geometry.*3-D grid"):
        operator(ConeBeam.circular(**CIRCLE, angles=full_scan(3), detector=AREA), Grid((4, 5)))
    with pytest.raises(ValueError, match=r"grid\.shape \(4, 5, 6\).*2-D geometry.*2-D grid"):
        operator(FanBeam.circular(**CIRCLE, angles=full_scan(3), detector=LINE), Grid((4, 5, 6)))


@OPERATORS
def test_types(operator: Any) -> None:
    geometry, grid = ParallelBeam(full_scan(3), AREA), Grid((4, 5, 6))
    with pytest.raises(TypeError, match=r"geometry.*ParallelBeam, FanBeam or ConeBeam.*Grid"):
        operator(grid, geometry)
    with pytest.raises(TypeError, match=r"grid.*expected a Grid, got tuple"):
        operator(geometry, (4, 5, 6))
