"""`cgls`: conjugate gradients for least squares."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real
from sinograd.recon.iterative.inner_products import spread
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop


def cgls(
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
    """Least squares by conjugate gradients: minimises |p - A x|^2 + damp^2 |x|^2.

    M. R. Hestenes, E. Stiefel, Journal of Research of the National Bureau of Standards 49(6), 1952, section 10; A.
    Bjorck, "Numerical Methods for Least Squares Problems", SIAM, 1996, algorithm 7.4.1. Converges much faster than
    SIRT, and then fits noise: stop early (`Stop(noise=...)`), or damp. No bounds: they would break the conjugacy.

    Memory: besides the projections 4 images (x, the best one, direction, gradient) and 2 copies of the projections
    (residual, projected direction).

    Args:
        damp: weight of the image's own norm, as scipy's `lsqr` has it; with a start, of its distance to zero.
        weights: how much each ray counts: minimises sum(weights (p - A x)^2).
        others: as in `sirt`.

    Returns, raises and warns as `sirt`.
    """
    damp = real(damp, "damp")
    if not 0 <= damp < math.inf:
        raise InputError(f"damp: expected a number from 0, got {damp}")
    problem = Problem(operator, projections, start=start, weights=weights)
    run = Run("cgls", problem, Control(iterations, stop, callback, progress, keep_best))
    return run(_steps(problem, damp))


def _steps(problem: Problem, damp: float) -> Steps:
    limit: Tensor | None = None
    if problem.saved is None:
        x = problem.start()
        residual = problem.first_residual(x)
        gradient = _gradient(problem, residual, x, damp)
        direction = gradient.clone()
        length = problem.image_dot(gradient, gradient)
        del gradient
    else:
        x, residual, direction, length = (problem.saved[name] for name in ("x", "residual", "direction", "length"))
        limit = problem.saved.get("limit")
    while True:
        misfit = problem.data_length(residual)
        state = {"x": x, "residual": residual, "direction": direction, "length": length, "limit": limit}
        yield Step(x, misfit, misfit**2 + damp**2 * problem.image_dot(x, x) if damp else None, state)
        projected = problem.forward(direction)
        curvature = problem.data_dot(projected, projected)
        if damp:
            curvature = curvature + damp**2 * problem.image_dot(direction, direction)
        if limit is None:
            limit = _rounding(problem, _quotient(curvature, length))
        length = torch.where(length > limit, length, 0.0)
        step = _quotient(length, curvature)
        x.addcmul_(direction, spread(step, x, problem.image_ndim))
        residual.sub_(projected.mul_(spread(step, residual, problem.data_ndim)))
        del projected
        gradient = _gradient(problem, residual, x, damp)
        before, length = length, problem.image_dot(gradient, gradient)
        direction.mul_(spread(_quotient(length, before), x, problem.image_ndim)).add_(gradient)
        del gradient


def _gradient(problem: Problem, residual: Tensor, x: Tensor, damp: float) -> Tensor:
    """A.T W (p - A x) - damp^2 x."""
    gradient = problem.adjoint(residual if problem.weights is None else residual * problem.weights)
    return gradient.sub_(x, alpha=damp**2) if damp else gradient


def _rounding(problem: Problem, squared_norm: Tensor) -> Tensor:
    """The squared length of a gradient that is rounding only: a problem with such a one is solved, and left alone."""
    return squared_norm * (4 * torch.finfo(problem.projections.dtype).eps * problem.data_norm) ** 2


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """A / b, 0 where b is 0: the problem is solved."""
    return torch.where(b > 0, a / b, 0.0)
