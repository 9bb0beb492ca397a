"""Plug and play. Truth: priors whose proximal maps are known, and networks as denoisers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.iterative.small import as_operator, few_views, matrix
from sinograd.recon import fista_tv, operator_norm, pnp_admm, pnp_proximal_gradient, tv_denoise

M = matrix(24, 10, signs=False)
P = M @ torch.linspace(0, 2, 10, dtype=torch.float64) + 0.1
NORM = operator_norm(as_operator(M), dtype=torch.float64) ** 2 * 1.02


@pytest.mark.parametrize("weights", [None, torch.linspace(0.1, 2, 24, dtype=torch.float64)], ids=["plain", "weighted"])
def test_a_quadratic_prior(weights: Tensor | None) -> None:
    """The proximal map of c/2 |x|^2 divides: damped least squares."""
    c = 3.0
    w = torch.ones_like(P) if weights is None else weights
    expected = torch.linalg.solve(M.T @ (w[:, None] * M) + c * torch.eye(10, dtype=torch.float64), M.T @ (w * P))
    norm = NORM if weights is None else operator_norm(as_operator(M), weights=w, dtype=torch.float64) ** 2 * 1.02
    for accelerate, iterations in ((True, 200), (False, 300)):
        result = pnp_proximal_gradient(
            as_operator(M),
            P,
            lambda x: x / (1 + c / norm),
            iterations=iterations,
            weights=weights,
            accelerate=accelerate,
        )
        assert (result.image - expected).abs().max() < 1e-4
    result = pnp_admm(
        as_operator(M), P, lambda x: x / (1 + c / (0.02 * norm)), iterations=100, penalty=0.02, weights=weights
    )
    assert (result.image - expected).abs().max() < 1e-4


def test_total_variation_as_a_denoiser() -> None:
    scan = few_views(30)
    norm = 1.02 * operator_norm(scan.operator) ** 2
    weight = 0.05

    def denoiser(x: Tensor) -> Tensor:
        return tv_denoise(x, weight / norm, lower=0.0, iterations=10)

    expected = fista_tv(scan.operator, scan.projections, regularization=weight, lower=0.0, iterations=60)
    result = pnp_proximal_gradient(scan.operator, scan.projections, denoiser, lower=0.0, iterations=60)
    assert scan.error(result.image) == pytest.approx(scan.error(expected.image), rel=0.1)


@pytest.mark.parametrize("function", [pnp_proximal_gradient, pnp_admm])
def test_a_network_as_a_denoiser(function: Any) -> None:
    """Channels are added by the caller; its parameters get no gradient; a near start is a near end."""
    scan = few_views(30)
    blur = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect", bias=False)
    nn.init.constant_(blur.weight, 0.01)
    blur.weight.data[0, 0, 1, 1] = 0.92
    result = function(
        scan.operator, scan.projections.expand(2, -1, -1), lambda x: blur(x[:, None])[:, 0], iterations=10, lower=0.0
    )
    assert result.image.shape == (2, 64, 64) and result.image.min() >= 0
    assert not result.image.requires_grad and blur.weight.grad is None
    assert torch.equal(result.image[0], result.image[1])
    near = function(scan.operator, scan.projections, lambda x: x, iterations=1, start=scan.truth)
    assert scan.error(near.image) < 2e-3


@pytest.mark.parametrize("function", [pnp_proximal_gradient, pnp_admm])
def test_wrong_denoisers(function: Any) -> None:
    for denoiser, message in (
        (lambda x: x[:-1], r"denoiser: expected it to give \[10\] as it was given, got \[9\]"),
        (lambda x: None, "got NoneType"),
    ):
        with pytest.raises(ValueError, match=message):
            function(as_operator(M), P, denoiser)
    with pytest.raises(TypeError, match="denoiser: expected a function or module, got float"):
        function(as_operator(M), P, 0.3)


def test_wrong_options() -> None:
    for options in ({"penalty": 0.0}, {"inner_iterations": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            pnp_admm(as_operator(M), P, lambda x: x, **options)
    with pytest.raises(ValueError, match="step"):
        pnp_proximal_gradient(as_operator(M), P, lambda x: x, step=2.0)
