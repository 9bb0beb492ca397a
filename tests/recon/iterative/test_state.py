"""Runs that stop and go on. Truth: the same run at once, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.iterative.small import as_operator, matrix
from sinograd.recon import (
    Iteration,
    PoissonLikelihood,
    Result,
    State,
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

M = matrix(24, 10, signs=False).float()
A = as_operator(M)
P = M @ torch.linspace(0, 2, 10) + 0.1 * torch.randn(24, generator=torch.Generator().manual_seed(1))
W = torch.linspace(0.5, 2, 24)
TOTAL = 7

ALGORITHMS: dict[str, Callable[..., Result]] = {
    "sirt": lambda **k: sirt(A, P, lower=0.0, **k),
    "sirt weighted": lambda **k: sirt(A, P, weights=W, relaxation=1.2, **k),
    "sart": lambda **k: sart(A, P, decay=0.9, **k),
    "os_sart": lambda **k: os_sart(A, P, subsets=4, decay=0.8, weights=W, **k),
    "os_sart random": lambda **k: os_sart(
        A, P, subsets=4, order="random", generator=torch.Generator().manual_seed(5), **k
    ),
    "os_sart random by default": lambda **k: os_sart(A, P, subsets=4, order="random", **k),
    "cgls": lambda **k: cgls(A, P, damp=0.1, **k),
    "cgls weighted": lambda **k: cgls(A, P, weights=W, **k),
    "lsqr": lambda **k: lsqr(A, P, damp=0.1, **k),
    "lsqr weighted": lambda **k: lsqr(A, P, weights=W, **k),
    "gradient_descent": lambda **k: gradient_descent(A, P, regularization=0.01, **k),
    "gradient_descent poisson": lambda **k: gradient_descent(
        A, PoissonLikelihood(1e3 * torch.exp(-P), 1e3), lower=0.0, **k
    ),
    "fista_tv": lambda **k: fista_tv(A, P, lower=0.0, **k),
    "fista_tv poisson": lambda **k: fista_tv(A, PoissonLikelihood(1e3 * torch.exp(-P), 1e3), lower=0.0, **k),
    "chambolle_pock": lambda **k: chambolle_pock(A, P, weights=W, **k),
    "pnp_proximal_gradient": lambda **k: pnp_proximal_gradient(A, P, lambda x: 0.999 * x, **k),
    "pnp_admm": lambda **k: pnp_admm(A, P, lambda x: 0.999 * x, **k),
}


def states(run: Callable[..., Result], **more: Any) -> tuple[Result, list[State], list[Tensor]]:
    """A whole run, and its state and image after each iteration."""
    taken: list[State] = []
    images: list[Tensor] = []

    def note(now: Iteration) -> None:
        taken.append(now.state())
        images.append(now.image.clone())

    return run(iterations=TOTAL, callback=note, **more), taken, images


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("started", [False, True])
def test_a_run_goes_on_from_every_iteration(name: str, started: bool) -> None:
    run = ALGORITHMS[name]
    whole, taken, images = states(run, **({"start": torch.full((10,), 0.5)} if started else {}))
    for done, state in enumerate(taken, 1):
        assert state.iterations == done
        later: list[Tensor] = []
        told: list[int] = []
        resumed = run(
            iterations=TOTAL,
            start=state,
            callback=lambda now, seen=later: seen.append(now.image.clone()),
            progress=lambda now, of, residual, seen=told: seen.append(now),
        )
        assert told == list(range(done + 1, TOTAL + 1))
        assert all(torch.equal(a, b) for a, b in zip(later, images[done:], strict=True))
        assert torch.equal(resumed.image, whole.image)
        assert torch.equal(resumed.residuals, whole.residuals) and resumed.iterations == TOTAL
        assert torch.equal(resumed.best, whole.best)


def test_states_of_something_else() -> None:
    _, taken, _ = states(ALGORITHMS["sirt"])
    with pytest.raises(ValueError, match="start: expected a state of cgls, got one of sirt"):
        cgls(A, P, start=taken[0])
    with pytest.raises(TypeError, match=r"start: expected a state of torch.float64"):
        sirt(as_operator(M.double()), P.double(), start=taken[0])
