"""What kernels are told of a geometry, against the geometry's own pixel positions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sinograd import ConeBeam, CurvedDetector, FanBeam, FlatDetector, Geometry, ParallelBeam, full_scan
from sinograd.ops.kernel_views import is_axial, is_curved, projection_matrices

AREA = FlatDetector((7, 9), (1.7, 1.6))


def circle(detector: Any = AREA, **options: Any) -> ConeBeam:
    arguments = {"source_to_origin": 30, "source_to_detector": 50, "angles": full_scan(5, start=0.1), **options}
    return ConeBeam.circular(detector=detector, **arguments)


def axial(geometry: Geometry) -> bool:
    return is_axial(geometry.vectors, geometry.divergent, (geometry.rows, geometry.columns))


def apply(matrices: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Column, row and w of world points [views, ..., 3]."""
    homogeneous = torch.nn.functional.pad(points, (0, 1), value=1.0)
    column, row, w = torch.einsum("vij,v...j->i...v", matrices, homogeneous).movedim(-1, 1)
    return column / w, row / w, w


class TestProjectionMatrices:
    @staticmethod
    def accepts(geometry: Geometry) -> bool:
        return not is_curved(geometry.vectors)

    @pytest.mark.parametrize("along", [0.0, 0.4, -0.3])
    def test_points_on_the_ray_of_a_pixel_have_its_indices(self, case: Any, along: float) -> None:
        """At the pixel itself, nearer to the source and behind the detector."""
        geometry = case.geometry
        points = geometry.pixel_positions().reshape(geometry.views, geometry.rows, geometry.columns, 3)
        source = geometry.vectors[:, None, None, 0]
        points = points + along * (source - points if geometry.divergent else 40 * source)
        matrices = projection_matrices(geometry.vectors, geometry.divergent, (geometry.rows, geometry.columns))
        column, row, w = apply(matrices, points)
        rows, columns = (torch.arange(n, dtype=torch.float64) for n in (geometry.rows, geometry.columns))
        assert torch.allclose(column, columns.expand_as(column), rtol=0, atol=1e-11)
        assert torch.allclose(row, rows[:, None].expand_as(row), rtol=0, atol=1e-11)
        depth = 1 - along if geometry.divergent else 1.0
        assert torch.allclose(w, torch.full_like(w, depth), rtol=0, atol=1e-12)


def test_agrees_with_the_matrices_of_the_geometry() -> None:
    """Those are scaled to w in mm."""
    geometry = circle(tilt=0.1, yaw=0.2, in_plane_rotation=0.3, source_offset=(0.4, -0.7))
    own = projection_matrices(geometry.vectors, True, AREA.shape)
    scale = geometry.to_matrices()[:, 2, :3].norm(dim=-1) / own[:, 2, :3].norm(dim=-1)
    assert torch.allclose(own * scale[:, None, None], geometry.to_matrices(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "geometry",
    [
        circle(),
        circle(CurvedDetector((7, 9), 1.6)),
        circle(yaw=0.3, axis_offset=1.0, source_offset=(0.5, 0.6)),
        circle(FlatDetector((7, 9), 1.6, offset=(20.0, -3.0))),
        circle(in_plane_rotation=math.pi),
        circle(tilt=1e-8),
        circle(in_plane_rotation=-1e-8),
        ConeBeam.helical(source_to_origin=30, source_to_detector=50, angles=full_scan(5), detector=AREA, pitch=9.0),
        ParallelBeam(full_scan(5), AREA),
        ParallelBeam.from_vectors(
            directions=[[0.6, 0.0, 0.5]], centers=[[0, 0, 0]], u=[[0, 1.6, 0]], v=[[0, 0, 1.7]], detector=AREA
        ),
        FanBeam.circular(source_to_origin=30, source_to_detector=50, angles=[0.0, 1.0], detector=FlatDetector(9, 1.6)),
    ],
    ids=repr,
)
def test_rows_parallel_to_the_axis(geometry: Geometry) -> None:
    assert axial(geometry)


@pytest.mark.parametrize(
    "geometry",
    [
        circle(tilt=1e-4),
        circle(in_plane_rotation=1e-4),
        circle(in_plane_rotation=math.pi / 2),
        circle(CurvedDetector((7, 9), 1.6), tilt=0.1),
        circle(FlatDetector((70, 9), 1.6), source_to_detector=40),  # steeper than 45 degrees
        circle(FlatDetector((7, 9), 1.6, offset=(60.0, 0.0))),
        ParallelBeam(full_scan(5), AREA, tilt=0.01),
        ParallelBeam.from_vectors(
            directions=[[0.6, 0.0, 0.7]], centers=[[0, 0, 0]], u=[[0, 1.6, 0]], v=[[0, 0, 1.7]], detector=AREA
        ),
        ParallelBeam.from_vectors(
            directions=[[1, 0, 0], [1, 0, 0]],
            centers=[[0, 0, 0], [0, 0, 0]],
            u=[[0, 1.6, 0], [0, 1.6, 0]],
            v=[[0, 0, 1.7], [0, 0, -1.7]],
            detector=AREA,
        ),
    ],
    ids=repr,
)
def test_rows_in_any_direction(geometry: Geometry) -> None:
    """Tilted, rotated or steep, or running up in one view and down in another."""
    assert not axial(geometry)
