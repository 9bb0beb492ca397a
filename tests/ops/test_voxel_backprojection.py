"""`Backprojection`: the contract with every weighting, and coordinates and weights from textbook formulas."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sinograd import Backprojection, ConeBeam, CurvedDetector, FanBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.ops import backproject, backproject_adjoint
from sinograd.testing.operator_contract import ExactnessContract, OperatorContract, distance
from sinograd.testing.reference import backproject_reference

SOD, SDD = 40.0, 70.0
ANGLES = torch.tensor([0.0, 0.7, 2.9, 5.1], dtype=torch.float64)
GRID = Grid((5, 6, 7), (0.9, 1.0, 1.1), (0.5, -0.4, 0.3))


class Weighted:
    """How a backprojection is made, and its reference."""

    weighting: str

    def make(self, case: Any) -> Backprojection:
        return Backprojection(*case, weighting=self.weighting)

    def reference(self, operator: Backprojection, x: Tensor) -> Tensor:
        geometry, grid = operator.geometry, operator.grid
        missing = 3 - grid.ndim
        return backproject_reference(
            x.reshape(geometry.views, geometry.rows, geometry.columns),
            geometry.vectors,
            geometry.divergent,
            (1,) * missing + grid.shape,
            (1.0,) * missing + grid.spacing,
            grid.center + (0.0,) * missing,
            self.weighting,
        ).reshape(operator.range_shape)


class TestBackprojection(Weighted, OperatorContract):
    domain, range = "projections", "volume"
    weighting = "none"

    def custom_ops(self, operator: Backprojection) -> list[tuple[Any, tuple[Any, ...]]]:
        geometry, grid = operator.geometry, operator.grid
        x = torch.randn(2, *operator.domain_shape, requires_grad=True)
        y = torch.randn(2, *operator.range_shape, requires_grad=True)
        beam = geometry.vectors, geometry.divergent
        place = grid.spacing, grid.center
        return [
            (backproject, (x, *beam, grid.shape, *place)),
            (backproject_adjoint, (y, *beam, geometry.detector.shape, *place)),
        ]


class TestFdkWeighting(Weighted, ExactnessContract):
    weighting = "fdk"

    @staticmethod
    def accepts(geometry: Geometry) -> bool:
        return geometry.divergent


class TestFanWeighting(TestFdkWeighting):
    weighting = "fan"


class TestRatioWeighting(TestFdkWeighting):
    weighting = "ratio"


def test_nothing_where_no_voxel_is_seen(blind_case: Any) -> None:
    operator = Backprojection(*blind_case)
    assert operator(torch.randn(operator.domain_shape)).abs().max() == 0
    assert operator.T(torch.randn(operator.range_shape)).abs().max() == 0


def textbook(projections: Tensor, weighting: str) -> Tensor:
    """Kak and Slaney (1988), 3.4 and 3.6: with s along +u and t towards the detector, a voxel is seen at
    u = SDD s / (SOD + t), v = SDD z / (SOD + t), and weighs (SOD / (SOD + t))^2 on a flat detector or
    SOD^2 / (s^2 + (SOD + t)^2) on a curved one. Interpolation is torch's `grid_sample`."""
    z, y, x = torch.meshgrid(*GRID.axes(), indexing="ij")
    total = torch.zeros_like(x)
    views, rows, columns = projections.shape
    for view in range(views):
        sine, cosine = ANGLES[view].sin(), ANGLES[view].cos()
        s, depth = x * cosine + y * sine, SOD - x * sine + y * cosine
        u, v = SDD * s / depth, SDD * z / depth
        if weighting == "fan":
            weight = SOD**2 / (s**2 + depth**2)
        else:
            weight = (SOD / depth) ** {"none": 0, "ratio": 1, "fdk": 2}[weighting]
        # detector elements of 1.5 mm by 1.2 mm; grid_sample counts from -1 at the first to 1 at the last
        at = torch.stack([u / 1.2 / ((columns - 1) / 2), v / 1.5 / ((rows - 1) / 2)], dim=-1)
        images = torch.nn.functional.grid_sample(
            projections[None, None, view], at.reshape(1, -1, 1, 2), padding_mode="zeros", align_corners=True
        )
        total += weight * images.reshape(x.shape)
    return total


@pytest.mark.parametrize("weighting", ["none", "fan", "fdk", "ratio"])
def test_circular_cone_beam_by_the_book(weighting: str) -> None:
    geometry = ConeBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=ANGLES, detector=FlatDetector((6, 9), (1.5, 1.2))
    )
    projections = torch.randn(4, 6, 9, dtype=torch.float64)
    actual = Backprojection(geometry, GRID, weighting=weighting)(projections)
    assert distance(actual, textbook(projections, weighting)) <= 1e-10


@pytest.mark.parametrize("weighting", ["fan", "fdk", "ratio"])
def test_curved_detector_weighs_by_the_distance_in_the_plane(weighting: str) -> None:
    """A detector of ones gives every voxel SOD^2 / L^2, for both names of the weighting; "ratio" is not squared."""
    geometry = FanBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=[0.6], detector=CurvedDetector(200, 0.5)
    )
    grid = Grid((5, 6), 1.5)
    y, x = torch.meshgrid(*grid.axes(), indexing="ij")
    expected = SOD**2 / ((x - SOD * math.sin(0.6)) ** 2 + (y + SOD * math.cos(0.6)) ** 2)
    actual = Backprojection(geometry, grid, weighting=weighting)(torch.ones(1, 200, dtype=torch.float64))
    assert torch.allclose(actual, expected.sqrt() if weighting == "ratio" else expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("along", [0.3, 0.8])
@pytest.mark.parametrize("radius", [None, 45.0])
def test_voxels_on_the_rays_of_a_turned_curved_detector_read_their_pixels(along: float, radius: float | None) -> None:
    """Positions are the geometry's own; `along` of the way from the source to the pixel."""
    detector = CurvedDetector((3, 5), (6.0, 7.0), radius=radius, offset=(2.0, -3.0))
    geometry = ConeBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=[0.6], detector=detector, tilt=0.3, yaw=-0.1,
        in_plane_rotation=0.8, source_offset=(1.0, 2.0),
    )  # fmt: skip
    pixels = geometry.pixel_positions().reshape(3, 5, 3)
    source = geometry.vectors[0, 0]
    projections = torch.randn(1, 3, 5, dtype=torch.float64)
    for row, column in [(0, 0), (0, 4), (1, 2), (2, 1), (2, 4)]:
        voxel = Grid((1, 1, 1), 1e-3, (source + along * (pixels[row, column] - source)).tolist())
        actual = Backprojection(geometry, voxel)(projections)
        assert torch.allclose(actual, projections[0, row, column], rtol=0, atol=1e-9)


def test_parallel_beam_smears_along_the_rays() -> None:
    """At angle 0 column i is column i of the image, at angle pi / 2 (u = +y) row i."""
    sinogram = torch.randn(2, 4, dtype=torch.float64)
    geometry = ParallelBeam([0.0, math.pi / 2], FlatDetector(4, 1.0))
    expected = sinogram[0][None, :] + sinogram[1][:, None]
    assert torch.allclose(Backprojection(geometry, Grid((4, 4)))(sinogram), expected, rtol=0, atol=1e-12)


def test_unknown_weighting() -> None:
    geometry = ParallelBeam([0.0], FlatDetector(4, 1.0))
    with pytest.raises(ValueError, match=r"weighting.*none, fan, fdk.*'hann'"):
        Backprojection(geometry, Grid((4, 4)), weighting="hann")
    with pytest.raises(ValueError, match=r"weighting.*parallel.*'fdk'"):
        Backprojection(geometry, Grid((4, 4)), weighting="fdk")


@pytest.mark.parametrize("weighting", ["none", "fan", "fdk"])
def test_weighting_is_part_of_the_repr_and_of_copies(weighting: str) -> None:
    geometry = FanBeam.circular(
        source_to_origin=SOD, source_to_detector=SDD, angles=[0.6], detector=FlatDetector(20, 0.5)
    )
    operator = Backprojection(geometry, Grid((5, 6)), weighting)
    assert f"weighting={weighting!r}" in repr(operator)
    assert copy.deepcopy(operator).weighting == weighting
