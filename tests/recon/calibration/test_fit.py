"""Volumes that fit projections. Truth: linear algebra."""

from __future__ import annotations

import pytest
import torch

import sinograd as sg
from recon.calibration.scans import cone
from sinograd.ops import XRayTransform
from sinograd.recon.calibration.fit import MiddleFrequencies, SmoothVoxels, dot, fit_volume, follow, smoothed


@pytest.fixture(params=["cone", "fan"])
def model(request: pytest.FixtureRequest) -> SmoothVoxels:
    if request.param == "cone":
        return SmoothVoxels(XRayTransform(cone(16, 12), sg.Grid((12, 12, 12), 3.0)))
    orbit = {"source_to_origin": 100.0, "source_to_detector": 200.0, "angles": sg.full_scan(20)}
    return SmoothVoxels(
        XRayTransform(sg.FanBeam.circular(**orbit, detector=sg.FlatDetector(24, 4.0)), sg.Grid((16, 16), 3.0))
    )


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_smooth_voxels_and_the_norm_have_adjoints(model: SmoothVoxels) -> None:
    geometry = model.operator.geometry
    volume, lines = drawn(*model.operator.grid.shape), drawn(*geometry.projection_shape, seed=1)
    other = drawn(*geometry.projection_shape, seed=2)
    assert dot(model(volume), lines) == pytest.approx(dot(volume, model.T(lines)), rel=1e-10)
    norm = MiddleFrequencies(lines)
    assert dot(norm(lines), other) == pytest.approx(dot(lines, norm(other)), rel=1e-10)
    assert dot(norm(lines), lines) > 0


def test_a_filter_keeps_the_sum_and_spreads_by_its_variance() -> None:
    values = torch.zeros(15, 15, dtype=torch.float64)
    values[7, 7] = 1
    place = torch.arange(15.0, dtype=torch.float64) - 7
    for times, variance in ((1, 0.5), (2, 1.0)):
        result = smoothed(values, 2, times)
        assert float(result.sum()) == pytest.approx(1)
        assert float((result.sum(0) * place.square()).sum()) == pytest.approx(variance)


def test_a_fit_is_the_least_of_its_norm(model: SmoothVoxels) -> None:
    """Nothing is left that a volume explains, and more iterations leave less."""
    lines = model(drawn(*model.operator.grid.shape))
    norm = MiddleFrequencies(lines)
    left = [fit_volume(model, norm, lines, number).residual for number in (1, 6, 60)]
    costs = [dot(norm(residual), residual) for residual in left]
    assert costs[0] > costs[1] > costs[2] and costs[2] < 1e-3 * dot(norm(lines), lines)


def test_the_way_of_a_fit_is_linear_and_symmetric(model: SmoothVoxels) -> None:
    shape = model.operator.geometry.projection_shape
    lines, one, other = (drawn(*shape, seed=seed) for seed in range(3))
    norm = MiddleFrequencies(lines)
    fit = fit_volume(model, norm, lines, 5)
    again = follow(fit.path, model, norm, lines)
    torch.testing.assert_close(again.residual, fit.residual, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(again.volume, fit.volume, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(lines - model(fit.volume), fit.residual, rtol=1e-10, atol=1e-10)
    several = follow(fit.path, model, norm, torch.stack([one, 2 * one + other])).residual
    first, second = (follow(fit.path, model, norm, values).residual for values in (one, other))
    torch.testing.assert_close(several, torch.stack([first, 2 * first + second]), rtol=1e-8, atol=1e-9)
    assert dot(norm(first), other) == pytest.approx(dot(norm(one), second), rel=1e-8)


def test_projections_of_zeros_are_fitted_by_zeros(model: SmoothVoxels) -> None:
    nothing = torch.zeros(model.operator.geometry.projection_shape)
    fit = fit_volume(model, MiddleFrequencies(nothing), nothing, 4)
    assert not bool(fit.volume.any()) and not bool(fit.residual.any())
