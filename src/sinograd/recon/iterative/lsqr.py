"""`lsqr`: least squares by Golub-Kahan bidiagonalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real
from sinograd.recon.iterative.inner_products import norm, spread
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop

_STATE: tuple[str, ...] = ("x", "u", "v", "w", "alpha", "phi_bar", "rho_bar", "damped")


def lsqr(
    operator: Operator,
    projections: Tensor,
    *,
    iterations: int = 12,
    damp: float = 0.0,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """Least squares by LSQR: minimises |p - A x|^2 + damp^2 |x - start|^2.

    C. C. Paige, M. A. Saunders, "LSQR: An algorithm for sparse linear equations and sparse least squares", ACM
    Transactions on Mathematical Software 8(1), 1982, section 4 and, for damp, equation 2.14. In exact arithmetic the
    iterates of `cgls`, and steadier ones where A is ill-conditioned. The residual is told by a recurrence.

    Memory: besides the projections 5 images (x, the best one, v, w, A.T u) and 2 copies of the projections (u, A v),
    one more with weights.

    Args:
        damp: weight of the image's distance to the start, as scipy's `lsqr` has it.
        weights: how much each ray counts: minimises sum(weights (p - A x)^2).
        others: as in `sirt`.

    Returns, raises and warns as `sirt`.
    """
    damp = real(damp, "damp")
    if not 0 <= damp < math.inf:
        raise InputError(f"damp: expected a number from 0, got {damp}")
    problem = Problem(operator, projections, start=start, weights=weights)
    run = Run("lsqr", problem, Control(iterations, stop, callback, progress, keep_best))
    return run(_steps(problem, damp))


def _steps(problem: Problem, damp: float) -> Steps:
    root = None if problem.weights is None else problem.weights.sqrt()

    def forward(image: Tensor) -> Tensor:
        return problem.forward(image) if root is None else problem.forward(image).mul_(root)

    def adjoint(data: Tensor) -> Tensor:
        return problem.adjoint(data if root is None else data * root)

    if problem.saved is None:
        x = problem.start()
        u = problem.first_residual(x)
        u = u if root is None else u.mul_(root)
        beta = _normalise_(u, problem.data_ndim)
        v = adjoint(u)
        alpha = _normalise_(v, problem.image_ndim)
        w = v.clone()
        phi_bar, rho_bar = beta, alpha
        damped = torch.zeros_like(beta)  # squares that rotating the damping away took out of the residual
    else:
        x, u, v, w, alpha, phi_bar, rho_bar, damped = (problem.saved[name] for name in _STATE)
    while True:
        misfit = phi_bar**2 + damped
        state = dict(zip(_STATE, (x, u, v, w, alpha, phi_bar, rho_bar, damped), strict=True))
        if damp:
            yield Step(x, (misfit - damp**2 * _moved(problem, x)).clamp_(min=0).sqrt_(), misfit, state)
        else:
            yield Step(x, phi_bar.abs(), state=state)
        u = forward(v).sub_(u.mul_(spread(alpha, u, problem.data_ndim)))
        beta = _normalise_(u, problem.data_ndim)
        v = adjoint(u).sub_(v.mul_(spread(beta, v, problem.image_ndim)))
        alpha = _normalise_(v, problem.image_ndim)
        rho_hat = torch.hypot(rho_bar, torch.full_like(rho_bar, damp))
        damped = damped + (_quotient(damp * phi_bar, rho_hat)) ** 2
        phi_bar = _quotient(rho_bar * phi_bar, rho_hat)
        rho = torch.hypot(rho_hat, beta)
        cosine, sine = _quotient(rho_hat, rho), _quotient(beta, rho)
        theta, rho_bar = sine * alpha, -cosine * alpha
        phi, phi_bar = cosine * phi_bar, sine * phi_bar
        x.addcmul_(w, spread(_quotient(phi, rho), x, problem.image_ndim))
        w.mul_(spread(-_quotient(theta, rho), w, problem.image_ndim)).add_(v)


def _normalise_(tensor: Tensor, ndim: int) -> Tensor:
    """The length of each problem's tensor, which is then divided by it in place."""
    length = norm(tensor, ndim)
    tensor.mul_(spread(_quotient(torch.ones_like(length), length), tensor, ndim))
    return length


def _moved(problem: Problem, x: Tensor) -> Tensor:
    """|x - start|^2."""
    if problem.starts_at_zero:
        return problem.image_dot(x, x)
    difference = problem.start().sub_(x)
    return problem.image_dot(difference, difference)


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """A / b, 0 where b is 0: the problem is solved."""
    return torch.where(b > 0, a / b, 0.0)
