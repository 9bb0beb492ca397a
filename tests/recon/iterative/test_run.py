"""Counting, stopping, telling, interrupts and divergence, the same for all algorithms."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.iterative.small import Bare, as_operator, few_views, matrix
from sinograd.recon import (
    ConvergenceWarning,
    Iteration,
    Result,
    Stop,
    UnmatchedPairWarning,
    cgls,
    chambolle_pock,
    fista_tv,
    gradient_descent,
    lsqr,
    os_sart,
    pnp_admm,
    pnp_proximal_gradient,
    sart,
    sirt,
)

M = matrix(24, 10, signs=False)
X = torch.linspace(0, 2, 10, dtype=torch.float64)
P = M @ X + 0.1 * torch.randn(24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

ALGORITHMS: dict[str, Callable[..., Result]] = {
    "sirt": sirt,
    "sart": sart,
    "os_sart": lambda a, p, **k: os_sart(a, p, subsets=4, **k),
    "cgls": cgls,
    "lsqr": lsqr,
    "gradient_descent": gradient_descent,
    "fista_tv": lambda a, p, **k: fista_tv(a, p, regularization=0.01, **k),
    "chambolle_pock": lambda a, p, **k: chambolle_pock(a, p, misfit=0.05, **k),
    "pnp_proximal_gradient": lambda a, p, **k: pnp_proximal_gradient(a, p, lambda x: 0.999 * x, **k),
    "pnp_admm": lambda a, p, **k: pnp_admm(a, p, lambda x: 0.999 * x, **k),
}
every = pytest.mark.parametrize("name", ALGORITHMS)


@every
def test_result(name: str) -> None:
    result = ALGORITHMS[name](as_operator(M), P, iterations=4)
    assert (result.algorithm, result.iterations, result.stopped) == (name, 4, "iterations")
    assert result.residuals.shape == (5,) and result.residuals.dtype == torch.float64
    assert result.residuals[0] == pytest.approx(1)
    assert result.residuals[-1] < 0.5
    assert repr(result).startswith(f"Result({name}, image [10], 4 iterations, residual 1 to 0.")
    if name not in ("sart", "os_sart"):
        left = (P - M @ result.image).norm() / P.norm()
        assert result.residuals[int(result.best)] == pytest.approx(left.item(), abs=1e-9)
    if result.objectives is not None:
        assert result.objectives.shape == (5,) and (result.objectives.diff() < 0).all()


@every
def test_no_iterations_return_the_start(name: str) -> None:
    result = ALGORITHMS[name](as_operator(M), P, iterations=0, start=X)
    assert torch.equal(result.image, X) and result.residuals.shape == (1,)
    assert result.residuals[0] == pytest.approx(((P - M @ X).norm() / P.norm()).item())
    assert result.image is not X


@every
@pytest.mark.parametrize(("count", "error"), [(-1, ValueError), (2.5, TypeError), ("many", TypeError)])
def test_iterations_are_a_count(name: str, count: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="iterations: expected"):
        ALGORITHMS[name](as_operator(M), P, iterations=count)


@every
def test_a_batch_is_its_problems(name: str) -> None:
    p = torch.stack([P, 3 * P, P.flip(0)])
    whole = ALGORITHMS[name](as_operator(M), p, iterations=5)
    assert whole.image.shape == (3, 10) and whole.residuals.shape == (6, 3) and whole.best.shape == (3,)
    if name == "chambolle_pock":  # its steps come from all the data
        return
    for i in range(3):
        alone = ALGORITHMS[name](as_operator(M), p[i], iterations=5)
        assert (whole.image[i] - alone.image).abs().max() < 1e-10
    empty = ALGORITHMS[name](as_operator(M), p[:0], iterations=2)
    assert empty.image.shape == (0, 10)


@every
def test_operators_that_tell_no_shapes(name: str) -> None:
    if name in ("sart", "os_sart"):
        pytest.skip("needs the operator of some views")
    told = ALGORITHMS[name](as_operator(M), P, iterations=3)
    assert (ALGORITHMS[name](Bare(M), P, iterations=3).image - told.image).abs().max() < 1e-12


@every
def test_callback_and_progress(name: str) -> None:
    seen: list[tuple[int, int, float, Tensor]] = []
    told: list[tuple[int, int, float]] = []

    def callback(now: Iteration) -> bool:
        seen.append((now.number, now.total, float(now.residual), now.image.clone()))
        return now.number == 3

    result = ALGORITHMS[name](
        as_operator(M), P, iterations=9, callback=callback, progress=lambda *now: told.append(now)
    )
    assert [s[:2] for s in seen] == [(1, 9), (2, 9), (3, 9)]
    assert told == [s[:3] for s in seen]
    assert (result.stopped, result.iterations) == ("callback", 3)
    assert torch.equal(result.image, seen[int(result.best) - 1][3])
    assert [s[2] for s in seen] == result.residuals[1:].tolist()


@every
def test_an_interrupt_keeps_the_best_image(name: str) -> None:
    """In the middle of the fourth iteration, wherever that is."""
    seen: list[Tensor] = []
    calls = 0

    class Interrupted(Bare):
        domain_shape, range_shape = (10,), (24,)

        def __call__(self, x: Tensor) -> Tensor:
            nonlocal calls
            calls += len(seen) == 3
            if calls == 1:
                raise KeyboardInterrupt
            return super().__call__(x)

        def subset(self, views: list[int]) -> Interrupted:
            return Interrupted(self.m[views])

    with pytest.warns(ConvergenceWarning, match=rf"{name} was interrupted after 3 of 50 iterations"):
        result = ALGORITHMS[name](Interrupted(M), P, iterations=50, callback=lambda now: seen.append(now.image.clone()))
    assert result.stopped == "interrupted" and result.iterations == 3
    assert torch.isfinite(result.image).all()
    # the last image told, or that of the iteration that was cut short
    assert (P - M @ result.image).norm() <= 1.05 * (P - M @ seen[-1]).norm()


def test_an_interrupt_before_anything_is_an_interrupt() -> None:
    class Interrupted(Bare):
        def __call__(self, x: Tensor) -> Tensor:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sirt(Interrupted(M), P)


def test_stop_at_a_residual() -> None:
    result = sirt(as_operator(M), P, iterations=500, stop=Stop(residual=0.1))
    assert result.stopped == "residual" and result.iterations < 500
    assert result.residuals[-1] <= 0.1 < result.residuals[-2]


def test_the_discrepancy_principle() -> None:
    """Stops where the residual is the noise: with noise of that strength, near the smallest error."""
    scan = few_views(60)
    noise = 0.05 * torch.randn(scan.projections.shape, generator=torch.Generator().manual_seed(0))
    p = scan.projections + noise
    errors: dict[int, float] = {}
    sigma = (0.05**2 + (scan.operator(scan.truth) - scan.projections).square().mean().item()) ** 0.5

    def note(now: Iteration) -> None:
        errors[now.number] = scan.error(now.image)

    result = cgls(scan.operator, p, iterations=60, stop=Stop(noise=sigma), callback=note)
    assert result.stopped == "noise" and 3 < result.iterations < 40
    assert (p - scan.operator(result.image)).norm() <= sigma * p.numel() ** 0.5
    assert errors[result.iterations] < 1.1 * min(errors.values())
    later = cgls(scan.operator, p, iterations=60)
    assert scan.error(later.image) > 1.5 * errors[result.iterations]
    per_ray = torch.full(p.shape, sigma)
    assert cgls(scan.operator, p, iterations=60, stop=Stop(noise=per_ray)).iterations == result.iterations
    eager = cgls(scan.operator, p, iterations=60, stop=Stop(noise=sigma, factor=1.3))
    assert eager.iterations < result.iterations


def test_a_batch_stops_when_all_are_there() -> None:
    p = torch.stack([P, P])
    start = torch.stack([torch.zeros_like(X), X])
    alone = sirt(as_operator(M), P, iterations=500, stop=Stop(residual=0.1)).iterations
    assert sirt(as_operator(M), p, iterations=500, stop=Stop(residual=0.1), start=start).iterations == alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"residual": -0.1}, "residual: expected a number from 0, got -0.1"),
        ({"residual": math.nan}, "residual"),
        ({"noise": -1.0}, "noise"),
        ({"noise": torch.tensor([1.0, math.nan])}, "noise"),
        ({"factor": 0.5}, "factor: expected a number from 1, got 0.5"),
    ],
)
def test_wrong_stops(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stop(**arguments)
    with pytest.raises(ValueError, match=r"stop\.noise: \[5\] does not broadcast"):
        sirt(as_operator(M), P, stop=Stop(noise=torch.ones(5)))
    with pytest.raises(TypeError, match="stop: expected a Stop, got float"):
        sirt(as_operator(M), P, stop=0.1)  # type: ignore[arg-type]


class Wrong(Bare):
    """A pair whose T is so far off that iterations grow."""

    domain_shape, range_shape = (10,), (24,)

    def __init__(self, m: Tensor) -> None:
        turned = m.T.clone()
        turned[::2] *= -1
        super().__init__(m, turned)


@pytest.mark.parametrize("name", ["cgls", "gradient_descent", "fista_tv", "pnp_proximal_gradient"])
def test_divergence_stops_and_keeps_the_best(name: str) -> None:
    seen = [torch.zeros_like(X)]
    with pytest.warns(UnmatchedPairWarning), pytest.warns(ConvergenceWarning, match=f"{name} diverged: after"):
        result = ALGORITHMS[name](Wrong(M), P, iterations=400, callback=lambda now: seen.append(now.image.clone()))
    assert result.stopped == "diverged" and result.iterations < 400
    assert torch.isfinite(result.image).all()
    lengths = [float((P - M @ x).norm()) for x in seen]
    best = int(result.best)
    assert torch.equal(result.image, seen[best])
    if name != "fista_tv":  # which goes by its objective
        assert lengths[best] == pytest.approx(min(lengths), rel=1e-6)


def test_divergence_without_a_copy() -> None:
    with pytest.warns(UnmatchedPairWarning), pytest.warns(ConvergenceWarning, match="is that of iteration"):
        result = cgls(Wrong(M), P, iterations=400, keep_best=False)
    assert result.stopped == "diverged" and int(result.best) == result.iterations


def test_one_of_a_batch_diverges() -> None:
    """The others are what they would have been."""

    class Half:
        domain_shape, range_shape = (10,), (24,)

        def __call__(self, x: Tensor) -> Tensor:
            return x @ M.T

        @property
        def T(self) -> Callable[[Tensor], Tensor]:
            def back(y: Tensor) -> Tensor:
                result = y @ M
                if y.ndim == 2:
                    result[1] *= -1.0
                return result

            return back

    with pytest.warns(ConvergenceWarning, match="diverged for 1 of 2 problems"):
        result = gradient_descent(Half(), torch.stack([P, P]), iterations=60)
    right = gradient_descent(as_operator(M), P, iterations=60)
    assert result.stopped == "iterations"
    assert (result.image[0] - right.image).abs().max() < 1e-12
    assert result.best.tolist() == [60, 0] and not result.image[1].any()


def test_not_a_number_is_divergence() -> None:
    def denoiser(x: Tensor) -> Tensor:
        return x / 0 if x.norm() > 0.5 else x

    with pytest.warns(ConvergenceWarning, match="diverged"):
        result = pnp_proximal_gradient(as_operator(M), P, denoiser)
    assert result.stopped == "diverged" and torch.isfinite(result.image).all()


def test_long_runs_do_not_count_as_diverged() -> None:
    """Converged to rounding, residuals go up and down."""
    p = (M @ X).float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("sirt", "cgls", "lsqr", "gradient_descent", "fista_tv"):
            options = {"start": X.float()} if name == "sirt" else {}
            result = ALGORITHMS[name](as_operator(M), p, iterations=150, **options)
            assert result.stopped == "iterations", name


def test_nothing_is_kept_for_gradients() -> None:
    p = P.clone().requires_grad_()
    assert not sirt(as_operator(M), p, iterations=2).image.requires_grad
