"""`XRayTransform`: the contract, and line integrals known without any code of ours."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from sinograd import (
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
from sinograd.ops import joseph, joseph_adjoint
from sinograd.phantoms import Ellipsoids
from sinograd.testing.operator_contract import OperatorContract, distance
from sinograd.testing.reference import joseph_reference

AREA = FlatDetector((9, 10), 5.0)
CIRCLE: dict[str, Any] = dict(source_to_origin=80.0, source_to_detector=120.0, angles=full_scan(5, start=0.2))
GEOMETRIES: dict[str, Geometry] = {
    "parallel 2-D": ParallelBeam(full_scan(5, start=0.2), FlatDetector(14, 2.3)),
    "parallel": ParallelBeam(full_scan(5, start=0.2), FlatDetector((9, 10), 3.1)),
    "parallel, tilted": ParallelBeam(full_scan(5, start=0.2), FlatDetector((9, 10), 3.1), tilt=0.3),
    "fan": FanBeam.circular(**CIRCLE, detector=FlatDetector(14, 3.5)),
    "fan, curved": FanBeam.circular(**CIRCLE, detector=CurvedDetector(14, 3.5)),
    "cone": ConeBeam.circular(**CIRCLE, detector=AREA),
    "cone, curved": ConeBeam.circular(**CIRCLE, detector=CurvedDetector((9, 10), 5.0)),
    "cone, tilted": ConeBeam.circular(**CIRCLE, detector=AREA, tilt=0.2, in_plane_rotation=0.1),
    "helix": ConeBeam.helical(**CIRCLE, detector=AREA, pitch=8.0),
}


class TestXRayTransform(OperatorContract):
    domain, range = "volume", "projections"

    def make(self, case: Any) -> XRayTransform:
        return XRayTransform(*case)

    def reference(self, operator: XRayTransform, x: Tensor) -> Tensor:
        geometry, grid = operator.geometry, operator.grid
        missing = 3 - grid.ndim
        return joseph_reference(
            x.reshape((1,) * missing + grid.shape),
            geometry.vectors,
            geometry.divergent,
            (geometry.rows, geometry.columns),
            (1.0,) * missing + grid.spacing,
            grid.center + (0.0,) * missing,
        ).reshape(operator.range_shape)

    def custom_ops(self, operator: XRayTransform) -> list[tuple[Any, tuple[Any, ...]]]:
        geometry, grid = operator.geometry, operator.grid
        x = torch.randn(2, *operator.domain_shape, requires_grad=True)
        y = torch.randn(2, *operator.range_shape, requires_grad=True)
        beam = geometry.vectors, geometry.divergent
        place = grid.spacing, grid.center
        return [
            (joseph, (x, *beam, geometry.detector.shape, *place)),
            (joseph_adjoint, (y, *beam, grid.shape, *place)),
        ]


def test_nothing_where_no_voxel_is_met(blind_case: Any) -> None:
    operator = XRayTransform(*blind_case)
    assert operator(torch.randn(operator.domain_shape)).abs().max() == 0
    assert operator.T(torch.randn(operator.range_shape)).abs().max() == 0


def cube(ndim: int, voxels: int) -> Grid:
    """48 mm on every side."""
    return Grid((voxels,) * ndim, 48 / voxels)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_gaussian(name: str) -> None:
    """The integral of exp(-|p - c|^2 / s^2) along a line at the distance b from c is s sqrt(pi) exp(-b^2 / s^2).

    Linear interpolation is of second order, so half the voxel leaves about a quarter of the error.
    """
    geometry = GEOMETRIES[name]
    width, center = 6.0, torch.tensor([1.5, -2.0, 1.0 if geometry.ndim == 3 else 0.0], dtype=torch.float64)
    origin, direction = geometry.rays()
    nearest = torch.linalg.cross(center - origin, direction).norm(dim=-1)
    expected = width * math.sqrt(math.pi) * torch.exp(-((nearest / width) ** 2))
    errors = []
    for voxels in (24, 48):
        grid = cube(geometry.ndim, voxels)
        squared = [(axis - c) ** 2 for axis, c in zip(grid.axes(), reversed(center[: grid.ndim]), strict=True)]
        volume = torch.exp(-sum(torch.meshgrid(*squared, indexing="ij")) / width**2)
        errors.append(distance(XRayTransform(geometry, grid)(volume), expected))
    assert errors[0] < 0.03
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("name", GEOMETRIES)
def test_chords_of_a_ball(name: str) -> None:
    """The chords of a homogeneous ball; its edge lies inside voxels, so the error falls with their size."""
    geometry = GEOMETRIES[name]
    ball = Ellipsoids(0.02, 17.0, (1.0, -1.5, 0.5 if geometry.ndim == 3 else 0.0))
    expected = ball.project(geometry, dtype=torch.float64)
    errors = []
    for voxels in (16, 48):
        grid = cube(geometry.ndim, voxels)
        volume = ball.voxelize(grid, supersampling=4, dtype=torch.float64)
        errors.append(distance(XRayTransform(geometry, grid)(volume), expected))
    assert errors[0] < 0.06
    assert errors[1] < min(0.02, errors[0] / 2.3)


def test_radon_transform_of_scikit_image() -> None:
    """`radon` turns the image and sums its columns; its rows run down, so its angle is minus ours."""
    radon = pytest.importorskip("skimage.transform").radon
    y, x = torch.meshgrid(*Grid((65, 65)).axes(), indexing="ij")
    image = sum(
        value * torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / width**2)
        for value, cx, cy, width in [(1.0, 5.0, -9.0, 6.0), (0.7, -12.0, 3.0, 4.0), (0.5, 9.0, 12.0, 5.0)]
    )
    angles = [0.0, 17.0, 45.0, 90.0, 133.0, 200.0, 310.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pixels outside its circle, where the image is 1e-9
        expected = torch.from_numpy(radon(image.numpy(), theta=[-a for a in angles])).T
    geometry = ParallelBeam([math.radians(a) for a in angles], FlatDetector(65, 1.0))
    assert distance(XRayTransform(geometry, Grid((65, 65)))(image), expected) < 0.01


@pytest.mark.parametrize("angle, axis", [(0.0, 0), (math.pi / 2, 1)])
def test_rays_along_an_axis_sum_voxels(angle: float, axis: int) -> None:
    """At angle 0 rays run along +y and columns along +x; at pi / 2 rays along -x and columns along +y."""
    volume = torch.randn(3, 4, 4, dtype=torch.float64)
    geometry = ParallelBeam([angle], FlatDetector((3, 4), (2.0, 1.5)))
    actual = XRayTransform(geometry, Grid((3, 4, 4), (2.0, 1.5, 1.5)))(volume)[0]
    assert torch.allclose(actual, 1.5 * volume.sum(1 + axis), rtol=0, atol=1e-10)


def test_attenuation_times_length_is_what_counts() -> None:
    """The same scan in metres and micrometres: voxel values in 1/mm scale against lengths."""
    volume = torch.randn(6, 7, 8, dtype=torch.float64)
    results = []
    for unit in (1e3, 1.0, 1e-3):
        geometry = ConeBeam.circular(
            source_to_origin=30 * unit,
            source_to_detector=50 * unit,
            angles=full_scan(3, start=0.2),
            detector=FlatDetector((6, 7), 1.7 * unit),
        )
        results.append(XRayTransform(geometry, Grid((6, 7, 8), unit))(volume / unit))
    assert distance(results[0], results[1]) <= 1e-11
    assert distance(results[2], results[1]) <= 1e-11
