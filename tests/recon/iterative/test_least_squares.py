"""CGLS and LSQR. Truth: scipy's lsqr and dense solutions on explicit matrices."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from scipy.sparse.linalg import lsqr as scipy_lsqr
from torch import Tensor

from recon.iterative.small import as_operator, few_views, matrix
from sinograd.recon import Result, cgls, lsqr

both = pytest.mark.parametrize("algorithm", [cgls, lsqr])
Algorithm = Callable[..., Result]


def scipy_solution(m: Tensor, p: Tensor, damp: float = 0.0, start: Tensor | None = None) -> Tensor:
    first = None if start is None else start.numpy()
    x, *_ = scipy_lsqr(m.numpy(), p.numpy(), damp=damp, atol=1e-15, btol=1e-15, conlim=0, iter_lim=500, x0=first)
    return torch.from_numpy(x)


def data(m: Tensor, seed: int = 0) -> Tensor:
    return torch.randn(len(m), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@both
@pytest.mark.parametrize("damp", [0.0, 0.7])
def test_scipy(algorithm: Algorithm, damp: float) -> None:
    m = matrix()
    p = data(m)
    result = algorithm(as_operator(m), p, iterations=60, damp=damp)
    assert (result.image - scipy_solution(m, p, damp)).abs().max() < 1e-8
    expected = ((p - m @ result.image).norm() / p.norm()).item()
    assert result.residuals[-1].item() == pytest.approx(expected, abs=1e-9)


@both
def test_iterates_are_scipys(algorithm: Algorithm) -> None:
    """Not only the limit: after each iteration."""
    m = matrix()
    p = data(m)
    for iterations in (1, 2, 5):
        x, _, _, length, *_ = scipy_lsqr(m.numpy(), p.numpy(), iter_lim=iterations, atol=0, btol=0, conlim=0)
        result = algorithm(as_operator(m), p, iterations=iterations)
        assert (result.image - torch.from_numpy(x)).abs().max() < 1e-10
        assert result.residuals[-1].item() == pytest.approx(length / p.norm().item(), abs=1e-10)


@both
def test_weights(algorithm: Algorithm) -> None:
    m = matrix()
    p, w = data(m), torch.rand(30, dtype=torch.float64) + 0.1
    w[:3] = 0.0
    expected = torch.linalg.solve(m.T @ (w[:, None] * m), m.T @ (w * p))
    result = algorithm(as_operator(m), p, iterations=60, weights=w)
    assert (result.image - expected).abs().max() < 1e-8
    left = ((w * (p - m @ expected) ** 2).sum() / (w * p**2).sum()).sqrt().item()
    assert result.residuals[-1].item() == pytest.approx(left, abs=1e-9)


@both
def test_warm_start(algorithm: Algorithm) -> None:
    """Underdetermined: what the rays do not see stays as the start has it."""
    m = matrix(8, 12)
    p, start = data(m), torch.arange(12, dtype=torch.float64)
    result = algorithm(as_operator(m), p, iterations=40, start=start)
    expected = start + torch.linalg.pinv(m) @ (p - m @ start)
    assert (result.image - expected).abs().max() < 1e-8
    assert start[3] == 3.0  # the start itself is left alone


def test_damped_lsqr_stays_near_its_start() -> None:
    m = matrix()
    p, start = data(m), torch.arange(12, dtype=torch.float64)
    result = lsqr(as_operator(m), p, iterations=60, damp=0.7, start=start)
    assert (result.image - scipy_solution(m, p, 0.7, start)).abs().max() < 1e-8
    left = ((p - m @ result.image).norm() / p.norm()).item()
    assert result.residuals[-1].item() == pytest.approx(left, abs=1e-9)


@both
def test_a_batch_is_its_problems(algorithm: Algorithm) -> None:
    m = matrix()
    p = torch.stack([data(m, seed) * 10**seed for seed in range(6)]).reshape(2, 3, 30)
    result = algorithm(as_operator(m), p, iterations=9, damp=0.1)
    assert result.image.shape == (2, 3, 12) and result.residuals.shape == (10, 2, 3)
    for i in range(2):
        for j in range(3):
            alone = algorithm(as_operator(m), p[i, j], iterations=9, damp=0.1)
            assert (result.image[i, j] - alone.image).abs().max() <= 1e-12 * alone.image.abs().max()


@both
def test_already_solved(algorithm: Algorithm) -> None:
    """More iterations than unknowns, projections of zero, a start that fits: no division by zero."""
    m = matrix(12, 4)
    x = torch.ones(4, dtype=torch.float64)
    for p, start in ((m @ x, None), (m @ x, x), (torch.zeros(12, dtype=torch.float64), None)):
        result = algorithm(as_operator(m), p, iterations=30, start=start)
        assert (result.image - (x if p.any() else 0 * x)).abs().max() < 1e-12
        assert math.isfinite(result.residuals[-1]) and result.stopped == "iterations"


@both
def test_a_scan_in_float32(algorithm: Algorithm) -> None:
    scan = few_views(60)
    result = algorithm(scan.operator, scan.projections)
    assert result.image.dtype == torch.float32
    assert scan.error(result.image) < 0.4 * scan.error(torch.zeros_like(scan.truth))
    assert (result.residuals.diff() < 0).all()
    exact = (scan.projections - scan.operator(result.image)).norm() / scan.projections.norm()
    assert result.residuals[-1].item() == pytest.approx(exact.item(), rel=1e-3)
