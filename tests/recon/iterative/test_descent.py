"""Gradient descent, FISTA-TV, Chambolle-Pock, fidelities. Truth: each other, scipy, autograd, phantoms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, minimize
from torch import Tensor

import sinograd as sg
from recon.iterative.small import as_operator, few_views, matrix
from sinograd.recon import (
    LeastSquares,
    PoissonLikelihood,
    chambolle_pock,
    fista_tv,
    gradient_descent,
    operator_norm,
    photon_weights,
    sirt,
    tv_denoise,
)
from sinograd.recon.iterative.total_variation import TotalVariation

M = matrix(24, 10, signs=False)
X = torch.tensor([0.0, 0, 0, 2, 2, 2, 2, 1, 1, 0], dtype=torch.float64)
P = M @ X + 0.2 * torch.randn(24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_bounded_least_squares() -> None:
    expected = torch.from_numpy(lsq_linear(M.numpy(), P.numpy(), (0.1, 1.4), tol=1e-14).x)
    for result in (
        gradient_descent(as_operator(M), P, iterations=500, step=1.9, lower=0.1, upper=1.4),
        fista_tv(as_operator(M), P, iterations=300, regularization=0.0, lower=0.1, upper=1.4),
    ):
        assert (result.image - expected).abs().max() < 1e-4
        assert result.objectives is not None
        assert result.objectives[int(result.best)] == result.objectives.min()


def test_tensors_as_bounds() -> None:
    upper = torch.linspace(0, 2, 10, dtype=torch.float64)
    result = fista_tv(as_operator(M), P, regularization=0.0, lower=0.0, upper=upper, iterations=300)
    expected = lsq_linear(M.numpy(), P.numpy(), (0.0, upper.numpy() + 1e-13), tol=1e-14).x
    assert (result.image - torch.from_numpy(expected)).abs().max() < 1e-4


@pytest.mark.parametrize("weights", [None, torch.linspace(0.1, 2, 24, dtype=torch.float64)], ids=["plain", "weighted"])
def test_total_variation_in_one_dimension(weights: Tensor | None) -> None:
    """Against a quadratic program: x = cumulative sums of a difference that is split in two parts from 0 up."""
    weight = 0.8
    w = torch.ones_like(P) if weights is None else weights
    sums = torch.tril(torch.ones(10, 10, dtype=torch.float64))
    steps = M @ sums

    def split(z: np.ndarray) -> tuple[float, np.ndarray]:
        first, up, down = z[0], z[1:10], z[10:]
        residual = steps.numpy() @ np.concatenate([[first], up - down]) - P.numpy()
        slope = steps.numpy().T @ (w.numpy() * residual)
        value = 0.5 * (w.numpy() * residual**2).sum() + weight * (up.sum() + down.sum())
        return value, np.concatenate([[slope[0]], slope[1:] + weight, -slope[1:] + weight])

    bounds = [(None, None), *[(0, None)] * 18]
    found = minimize(
        split, np.zeros(19), jac=True, bounds=bounds, options={"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-10}
    )
    result = fista_tv(as_operator(M), P, iterations=150, regularization=weight, weights=weights, inner_iterations=10)
    assert result.objectives is not None
    assert result.objectives[-1].item() == pytest.approx(found.fun, rel=1e-4)
    smoothed = gradient_descent(
        as_operator(M), P, iterations=600, regularization=weight, smoothing=0.03, weights=weights
    )
    assert smoothed.objectives is not None
    assert smoothed.objectives[-1].item() == pytest.approx(found.fun, rel=0.05)


def test_the_identity_is_denoising() -> None:
    class Identity:
        domain_shape = range_shape = (8, 9)

        def __call__(self, x: Tensor) -> Tensor:
            return x

        T = staticmethod(lambda y: y)

    noisy = torch.randn(8, 9, dtype=torch.float64)
    kept = noisy.clone()
    result = fista_tv(Identity(), noisy, regularization=0.3, iterations=30, inner_iterations=20)
    assert (result.image - tv_denoise(noisy, 0.3, iterations=500)).abs().max() < 1e-3
    assert torch.equal(noisy, kept)


@pytest.mark.parametrize("weights", [None, torch.linspace(0.1, 2, 24, dtype=torch.float64)], ids=["plain", "weighted"])
def test_chambolle_pock_has_the_least_variation_that_fits(weights: Tensor | None) -> None:
    """At the residual that FISTA-TV reaches, the same image; also as one of a batch."""
    options: dict[str, Any] = dict(lower=0.0, weights=weights)
    fitted = fista_tv(as_operator(M), P, iterations=120, regularization=0.8, inner_iterations=10, **options)
    misfit = float(fitted.residuals[-1])
    both = chambolle_pock(
        as_operator(M),
        torch.stack([P, P]),
        misfit=torch.tensor([misfit, 2 * misfit]),
        iterations=800,
        balance=30.0,
        **options,
    )
    assert (both.image[0] - fitted.image).abs().max() < 0.01
    assert both.residuals[-1].tolist() == pytest.approx([misfit, 2 * misfit], rel=0.01)
    value = TotalVariation((1.0,)).value(both.image)
    assert value[1] < 0.98 * value[0]


@pytest.mark.parametrize(("views", "photons", "factor"), [(30, 0.0, 2.5), (60, 1e4, 1.6), (60, 1e3, 1.5)])
def test_few_views_without_tuning(views: int, photons: float, factor: float) -> None:
    """FBP's RMSE is so many times FISTA-TV's, with the default regularization, few views and few photons alike."""
    scan = few_views(views, photons)
    fbp = sg.fbp(scan.projections, scan.operator.geometry, scan.operator.grid)
    best = fista_tv(scan.operator, scan.projections, iterations=60, lower=0.0)
    assert factor * scan.error(best.image) < scan.error(fbp)


@pytest.mark.parametrize("photons", [1e4, 1e3])
def test_the_usual_misfit_is_the_noise(photons: float) -> None:
    """Of Poisson counts, with 4 % for voxels; no image is better than FBP's by less than a fifth."""
    scan = few_views(60, photons)
    result = chambolle_pock(scan.operator, scan.projections, iterations=150, lower=0.0)
    exact = few_views(60, 0.0).projections
    noise = ((scan.projections - exact).norm() / scan.projections.norm()).item()
    assert float(result.residuals[-1]) == pytest.approx(math.hypot(noise, 0.04), rel=0.15)
    fbp = sg.fbp(scan.projections, scan.operator.geometry, scan.operator.grid)
    assert 1.2 * scan.error(result.image) < scan.error(fbp)
    smoother = chambolle_pock(scan.operator, scan.projections, iterations=150, lower=0.0, strength=1.5)
    variation = TotalVariation((2.0, 2.0))
    assert variation.value(smoother.image) < 0.95 * variation.value(result.image)
    assert chambolle_pock(scan.operator, 0 * scan.projections, iterations=2).image.abs().max() == 0


def test_the_default_does_not_depend_on_units() -> None:
    scan = few_views(30, 1e4)
    g = scan.operator.geometry
    plain = fista_tv(scan.operator, scan.projections, iterations=20)
    metres = sg.FanBeam.circular(
        source_to_origin=0.3, source_to_detector=0.45, angles=g.angles, detector=sg.FlatDetector(72, 0.003)
    )
    small = sg.XRayTransform(metres, sg.Grid((64, 64), 0.002))
    scaled = fista_tv(small, scan.projections, iterations=20)
    torch.testing.assert_close(scaled.image / 1000, plain.image, rtol=1e-3, atol=1e-6)
    strong = fista_tv(scan.operator, 3 * scan.projections, iterations=20)
    torch.testing.assert_close(strong.image / 3, plain.image, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["least squares", "weighted", "poisson"])
def test_fidelities(kind: str) -> None:
    """Gradients by autograd; values by their formulas; curvature at the data."""
    p = torch.rand(2, 5, dtype=torch.float64)
    w = torch.rand(5, dtype=torch.float64) + 0.5
    photons = torch.tensor([50.0, 100, 200, 400, 800], dtype=torch.float64)
    counts = (photons * torch.exp(-p)).round()
    counts[0, 0] = 0
    fidelity = {
        "least squares": lambda: LeastSquares(p),
        "weighted": lambda: LeastSquares(p, w),
        "poisson": lambda: PoissonLikelihood(counts, photons),
    }[kind]()
    line = torch.rand(2, 5, dtype=torch.float64, requires_grad=True)
    if kind == "poisson":
        logarithm = torch.where(counts > 0, (counts / photons).clamp(min=1e-9).log(), 0.0)
        terms = photons * torch.exp(-line) - counts + counts * (line + logarithm)
    else:
        terms = 0.5 * (w if kind == "weighted" else 1.0) * (line - p) ** 2
    torch.testing.assert_close(fidelity.value(line.detach().clone(), 1), terms.detach().sum(1))
    (slope,) = torch.autograd.grad(terms.sum(), line)
    torch.testing.assert_close(fidelity.gradient_(line.detach().clone()), slope)


def test_poisson_likelihood() -> None:
    """Many rays of few photons: the likelihood finds the object, logarithms are biased."""
    photons, repeats = 6.0, 400
    m = 0.2 * M.repeat(repeats, 1)
    counts = sg.physics.photon_counts(m @ X, photons, generator=torch.Generator().manual_seed(3))
    fidelity = PoissonLikelihood(counts, photons)
    found = fista_tv(as_operator(m), fidelity, iterations=80, regularization=0.0, lower=0.0)
    assert found.stopped == "iterations" and found.objectives is not None
    logarithm = fista_tv(as_operator(m), fidelity.projections, weights=counts, iterations=80, regularization=0.0)
    assert (found.image - X).norm() < 0.15 * X.norm()
    assert (found.image - X).norm() < 0.3 * (logarithm.image - X).norm()
    descended = gradient_descent(as_operator(m), fidelity, iterations=200, lower=0.0)
    assert descended.objectives is not None and (descended.objectives.diff() < 0).all()
    assert descended.objectives[-1].item() == pytest.approx(found.objectives[-1].item(), rel=0.01)
    expected = -(counts.clamp(min=0.5) / photons).log()
    torch.testing.assert_close(fidelity.projections, expected)
    same = PoissonLikelihood.from_line_integrals(P, 1e6)
    torch.testing.assert_close(same.projections, P)
    torch.testing.assert_close(same.counts, 1e6 * torch.exp(-P))


def test_photon_weights() -> None:
    """One over the variance of simulated line integrals."""
    p = torch.tensor([0.0, 1.0, 2.0]).repeat(20000, 1)
    noisy = sg.add_photon_noise(p, 2000.0, 10.0, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(photon_weights(p[0], 2000.0, 10.0), 1 / noisy.var(0), rtol=0.05, atol=0)
    torch.testing.assert_close(photon_weights(p[0], torch.full((3,), 500.0)), 500 * torch.exp(-p[0]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonLikelihood(torch.tensor([3.0, -1, -2]), 10.0), r"counts: .* got 2 below 0, down to -2"),
        (lambda: PoissonLikelihood(torch.tensor([3.0, math.nan]), 10.0), "counts: expected finite"),
        (lambda: PoissonLikelihood(torch.ones(3), 0.0), "photons: expected finite numbers above 0, got 0"),
        (lambda: PoissonLikelihood(torch.ones(3), torch.ones(2)), r"photons: \[2\] does not broadcast to \[3\]"),
        (lambda: photon_weights(torch.ones(3), -1.0), "photons"),
        (lambda: photon_weights(torch.ones(3), 1.0, -1.0), "electronic_noise"),
        (lambda: fista_tv(as_operator(M), LeastSquares(P), weights=P.abs()), "weights: LeastSquares has its own"),
        (lambda: fista_tv(as_operator(M), P, regularization=-1.0), "regularization: expected a number from 0"),
        (lambda: fista_tv(as_operator(M), P, strength=math.inf), "strength"),
        (lambda: fista_tv(as_operator(M), P, inner_iterations=0), "inner_iterations"),
        (lambda: fista_tv(as_operator(M), P, spacing=(1.0, 1.0)), "spacing: expected 1 numbers above 0"),
        (lambda: gradient_descent(as_operator(M), P, step=2.0), "step"),
        (lambda: gradient_descent(as_operator(M), P, smoothing=0.0), "smoothing"),
        (lambda: chambolle_pock(as_operator(M), P, misfit=-0.1), "misfit"),
        (lambda: chambolle_pock(as_operator(M), P, misfit=torch.ones(2)), "misfit: expected a number or one"),
        (lambda: chambolle_pock(as_operator(M), P, misfit=0.1, balance=0.0), "balance"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_norm() -> None:
    for m in (M, matrix()):
        expected = torch.linalg.matrix_norm(m, 2).item()
        assert operator_norm(as_operator(m), tolerance=1e-9, iterations=500) == pytest.approx(expected, rel=1e-5)
        w = torch.linspace(0, 2, len(m), dtype=torch.float64)
        weighted = torch.linalg.matrix_norm(w.sqrt()[:, None] * m, 2).item()
        found = operator_norm(as_operator(m), weights=w, tolerance=1e-9, iterations=500, dtype=torch.float64)
        assert found == pytest.approx(weighted, rel=1e-5)
    with pytest.raises(ValueError, match="norm above 0"):
        operator_norm(as_operator(0 * M))


def test_what_is_known_of_an_operator_is_kept() -> None:
    operator = as_operator(M)
    calls = 0
    forward = operator._forward

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(x)

    operator._forward = counted
    first = operator_norm(operator), calls
    assert (operator_norm(operator), calls) == first
    sirt(operator, P, iterations=0)
    before = calls
    sirt(operator, P, iterations=0)
    assert calls == before
