"""Gradients of fdk and fbp to the vectors of the views and to arguments of geometries, against central differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection
from sinograd.recon.analytic.virtual_detector import cubic_weights

AREA, LINE = sg.FlatDetector((8, 10), (1.1, 1.0)), sg.FlatDetector(14, 1.0)
DISTANCES = {"source_to_origin": 50.0, "source_to_detector": 75.0}
ANGLES = sg.full_scan(12) + 0.05
HALF_TURN = torch.arange(12) * torch.pi / 12 + 0.1
UNEVEN = torch.rand(20, generator=torch.Generator().manual_seed(4)).sort().values * 6.28
TURNED = {"tilt": 0.1, "in_plane_rotation": 0.05, "yaw": 0.07}

# Upright scans lie where the derivative of the cubic resampling has a kink, which central differences see in the third
# digit behind their step.
SCANS: dict[str, tuple[sg.Geometry, float]] = {
    "cone": (sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES), 2e-4),
    "cone, offset": (sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, axis_offset=1.2), 2e-4),
    "cone, turned": (sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, **TURNED), 1e-6),
    "cone, short": (sg.ConeBeam.short_scan(**DISTANCES, detector=AREA, views=14, tilt=0.01), 2e-4),
    "parallel": (sg.ParallelBeam(HALF_TURN, AREA, tilt=0.05), 2e-4),
    "fan": (sg.FanBeam.circular(**DISTANCES, detector=LINE, angles=ANGLES), 1e-6),
    "fan, offset": (sg.FanBeam.circular(**DISTANCES, detector=LINE, angles=ANGLES, axis_offset=1.3), 1e-6),
    "fan, short": (sg.FanBeam.short_scan(**DISTANCES, detector=LINE, views=14), 1e-6),
    "fan, curved": (sg.FanBeam.circular(**DISTANCES, detector=sg.CurvedDetector(14, 1.0), angles=ANGLES), 1e-6),
    "cone, curved": (
        sg.ConeBeam.circular(**DISTANCES, detector=sg.CurvedDetector((8, 10), 1.0), angles=ANGLES, axis_offset=0.3),
        1e-4,
    ),
    "parallel, 2-D": (sg.ParallelBeam(HALF_TURN, LINE), 1e-6),
    "parallel, 2-D, uneven": (sg.ParallelBeam(UNEVEN, LINE), 1e-6),
}


def grid_of(geometry: sg.Geometry) -> sg.Grid:
    return sg.Grid((4, 5, 6)[-geometry.ndim :], 0.8, (0.13, -0.21, 0.17)[: geometry.ndim])


def reconstructed(projections: Tensor, geometry: sg.Geometry) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sg.errors.CoverageWarning)
        if isinstance(geometry, sg.ConeBeam):
            return sg.fdk(projections, geometry, grid_of(geometry))
        return sg.fbp(projections, geometry, grid_of(geometry))  # type: ignore[arg-type]


def drawn(geometry: sg.Geometry) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    projections = torch.rand(geometry.projection_shape, dtype=torch.float64, generator=generator)
    return projections, torch.randn(grid_of(geometry).shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", SCANS)
def test_following_changes_no_value(name: str) -> None:
    """One formula for upright, tilted and jittered views."""
    geometry, _ = SCANS[name]
    projections, _ = drawn(geometry)
    plain = reconstructed(projections, geometry)
    followed = reconstructed(projections, geometry.at(geometry.vectors.requires_grad_()))
    assert followed.requires_grad
    assert float((followed.detach() - plain).abs().max()) <= 1e-12 * float(plain.abs().max())


@pytest.mark.parametrize("name", SCANS)
def test_gradients_to_vectors_are_differences(name: str) -> None:
    """Of two views, to every number of their vectors."""
    geometry, tolerance = SCANS[name]
    projections, weights = drawn(geometry)
    vectors = geometry.vectors.requires_grad_()
    (got,) = torch.autograd.grad((reconstructed(projections, geometry.at(vectors)) * weights).sum(), vectors)
    step = 1e-5

    def value(moved: Tensor) -> float:
        return float((reconstructed(projections, geometry.at(moved.requires_grad_())) * weights).sum().detach())

    expected, mask = torch.zeros_like(got), torch.zeros_like(got)
    for view in (0, 5):
        for row in range(geometry.vectors.shape[1]):
            for axis in range(3):
                if geometry.ndim == 2 and (axis == 2 or row == 3):
                    continue
                if geometry.ndim == 3 and geometry.vectors.shape[1] == 5 and row in (2, 3):
                    continue  # cylinders stay upright, and their tangents follow from the rest
                ends = []
                for sign in (1, -1):
                    moved = geometry.vectors
                    moved[view, row, axis] += sign * step
                    ends.append(value(moved))
                expected[view, row, axis], mask[view, row, axis] = (ends[0] - ends[1]) / (2 * step), 1
    for row in range(geometry.vectors.shape[1]):  # sources, centres and steps have gradients of different size
        size = float(expected[:, row].abs().max())
        assert float((got * mask - expected)[:, row].abs().max()) <= tolerance * size + 1e-12


RECIPES: dict[str, tuple[Callable[[Tensor], sg.Geometry], float]] = {
    "axis_offset": (lambda t: sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, axis_offset=t), 0.3),
    "tilt": (lambda t: sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, tilt=t), 0.02),
    "roll": (lambda t: sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, in_plane_rotation=t), 0.02),
    "source_to_detector": (
        lambda t: sg.ConeBeam.circular(source_to_origin=50.0, source_to_detector=t, detector=AREA, angles=ANGLES),
        76.0,
    ),
    "angles": (lambda t: sg.FanBeam.circular(**DISTANCES, detector=LINE, angles=ANGLES * t), 1.01),
    "fan axis_offset": (lambda t: sg.FanBeam.circular(**DISTANCES, detector=LINE, angles=ANGLES, axis_offset=t), 0.3),
}


@pytest.mark.parametrize("name", RECIPES)
def test_gradients_to_arguments_are_differences(name: str) -> None:
    make, at = RECIPES[name]
    projections, weights = drawn(make(torch.tensor(at, dtype=torch.float64)))

    def value(number: float) -> Tensor:
        parameter = torch.tensor(number, dtype=torch.float64, requires_grad=True)
        result = (reconstructed(projections, make(parameter)) * weights).sum()
        return torch.stack([result.detach(), *torch.autograd.grad(result, parameter)])

    step = 1e-6
    got, ends = float(value(at)[1]), [float(value(at + sign * step)[0]) for sign in (1, -1)]
    assert got == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)


def test_projections_get_gradients_as_well() -> None:
    geometry, _ = SCANS["cone, turned"]
    projections, weights = drawn(geometry)
    results = []
    for scan in (geometry, geometry.at(geometry.vectors.requires_grad_())):
        variable = projections.clone().requires_grad_()
        results += torch.autograd.grad((reconstructed(variable, scan) * weights).sum(), variable)
    torch.testing.assert_close(results[1], results[0], rtol=1e-10, atol=1e-12)


def test_without_gradients_nothing_is_followed() -> None:
    geometry, _ = SCANS["cone"]
    projections, _ = drawn(geometry)
    with torch.no_grad():
        result = reconstructed(projections, geometry.at(geometry.vectors.requires_grad_()))
    assert torch.equal(result, reconstructed(projections, geometry))


def test_cubic_weights_reproduce_squares() -> None:
    """Keys' kernel is exact for polynomials of the second degree."""
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    places = torch.arange(-1, 3, dtype=torch.float64)
    for power in (0, 1, 2):
        torch.testing.assert_close(sum(w * p**power for w, p in zip(cubic_weights(t), places, strict=True)), t**power)


def test_what_is_not_followed_yet_says_so() -> None:
    geometry, _ = SCANS["cone"]
    moving, (projections, _) = geometry.at(geometry.vectors.requires_grad_()), drawn(geometry)
    with pytest.raises(sg.errors.UnsupportedError, match=r"truncation other than .none. passes no gradients"):
        sg.fdk(projections, moving, grid_of(geometry), truncation="ellipse")
    whole = FilteredBackprojection.of(moving, grid_of(geometry))
    with pytest.raises(sg.errors.UnsupportedError, match="device: a geometry that requires gradients is reconstructed"):
        sg.fdk(projections, moving, grid_of(geometry), device="cpu")
    with pytest.raises(sg.errors.UnsupportedError, match="recomputed: a geometry that requires gradients"):
        whole.recomputed()
