"""Regularised least squares and its implicit gradients. Truth: dense solutions, gradcheck."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

import sinograd as sg
from recon.iterative.small import as_operator, matrix
from sinograd.recon import regularized_least_squares

M = matrix(24, 10)


def test_the_solution() -> None:
    p, prior = torch.randn(3, 24, dtype=torch.float64), torch.randn(3, 10, dtype=torch.float64)
    for weight in (0.3, torch.tensor(0.3, dtype=torch.float64)):
        x = regularized_least_squares(as_operator(M), p, prior, weight, iterations=40)
        left = M.T @ M + 0.3 * torch.eye(10, dtype=torch.float64)
        expected = torch.linalg.solve(left, M.T @ p.T + 0.3 * prior.T).T
        assert (x - expected).abs().max() < 1e-10
    still = regularized_least_squares(as_operator(M), p, prior, 0.3, iterations=0)
    assert torch.equal(still, prior)


def test_gradients_do_not_go_through_the_iterations() -> None:
    geometry = sg.FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(3), detector=sg.FlatDetector(5, 8.0)
    )
    operator = sg.XRayTransform(geometry, sg.Grid((3, 4), 6.0))
    inputs = (
        torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True),
        torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True),
        torch.tensor(5.0, dtype=torch.float64, requires_grad=True),
    )
    assert gradcheck(
        lambda p, z, w: regularized_least_squares(operator, p, z, w, iterations=40), inputs, fast_mode=True
    )
    for i in range(3):
        alone = [t.detach().requires_grad_(i == k) for k, t in enumerate(inputs)]
        regularized_least_squares(operator, *alone, iterations=40).sum().backward()
        assert [t.grad is not None for t in alone] == [i == k for k in range(3)]


def test_wrong_arguments() -> None:
    p, prior = torch.randn(24), torch.randn(10)
    for weight in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="weight: expected a number above 0"):
            regularized_least_squares(as_operator(M), p, prior, weight)
    with pytest.raises(ValueError, match=r"prior: expected \[\.\.\., 10\], got \[9\]"):
        regularized_least_squares(as_operator(M), p, prior[1:], 1.0)
    with pytest.raises(TypeError, match="operator"):
        regularized_least_squares(3, p, prior, 1.0)  # type: ignore[arg-type]
