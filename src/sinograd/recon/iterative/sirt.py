"""`sirt`: the simultaneous iterative reconstruction technique."""

from __future__ import annotations

from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.row_column_weights import column_weights, reciprocal_, row_weights
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop


def sirt(
    operator: Operator,
    projections: Tensor,
    *,
    iterations: int = 50,
    relaxation: float = 1.9,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    lower: float | Tensor | None = None,
    upper: float | Tensor | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """Simultaneous algebraic reconstruction: x <- x + relaxation C A.T R (p - A x).

    P. Gilbert, Journal of Theoretical Biology 36, 1972; in this form J. Gregor, T. Benson, IEEE Transactions on
    Medical Imaging 27(7), 2008, eq. 2. R holds 1 / row sums, C 1 / column sums. It converges for 0 < relaxation < 2
    to the image that minimises (p - A x).T R (p - A x) within the bounds. The first iteration, which finds the mean, is
    relaxed by 1 at most; thereafter 1.9 is about twice as fast as 1.

    Memory: besides the projections 4 images (x, the best one, C, A.T of the residual; 3 with keep_best=False) and 2
    copies of the projections (R, residual). R and C stay with the operator.

    Args:
        operator: A; anything with `A(x)` and `A.T(y)`, see `recon.Operator`.
        projections: line integrals p, [..., *range_shape], float32 or float64, on any device; leading dimensions
            are separate problems.
        iterations: each a projection and a backprojection.
        relaxation: above 0, below 2.
        weights: how much each ray counts, from 0 up; broadcast to the projections (see `photon_weights`). One more
            backprojection, and C is not kept.
        start: image to begin with, [..., *domain_shape]; zeros if not given. Or the `State` of an earlier run, which
            then goes on; `iterations` counts those that were done before.
        lower, upper: bounds of the image, numbers or tensors that broadcast to it; lower=0 for attenuation.
        stop: rules to stop before the last iteration.
        callback: called after each iteration; True stops.
        progress: called with (iterations done, asked for, relative residual).
        keep_best: hold a copy of the best image, to return after a divergence or an interrupt.

    Returns:
        The image, in 1/mm, and how the iterations went. An interrupt (Ctrl-C) ends them and is told by a warning.

    Raises:
        TypeError, ValueError: naming the argument: not an operator, wrong shapes or dtypes, values that are not
            finite, bounds or weights that leave nothing, no ray that meets the grid.

    Warns:
        ConvergenceWarning: diverged or interrupted.
        UnmatchedPairWarning: A.T is not the adjoint of A.
        GridWarning: rays that miss the grid are attenuated: the object is larger than the grid.
    """
    relaxation = checked_relaxation(relaxation)
    problem = Problem(operator, projections, start=start, weights=weights, lower=lower, upper=upper)
    run = Run("sirt", problem, Control(iterations, stop, callback, progress, keep_best))
    return run(_steps(problem, relaxation))


def _steps(problem: Problem, relaxation: float) -> Steps:
    rows = row_weights(problem.operator, problem.image_shape, problem.projections)
    if problem.weights is None:
        columns = column_weights(problem.operator, problem.data_shape, problem.projections)
    else:
        rows = rows * problem.weights
        columns = reciprocal_(problem.adjoint(problem.weights))
    if problem.saved is None:
        x = problem.start()
        residual = problem.first_residual(x)
        now = min(relaxation, 1.0)
    else:
        x, residual, now = problem.saved["x"], problem.saved["residual"], float(problem.saved["now"])
    while True:
        yield Step(x, problem.data_length(residual), state={"x": x, "residual": residual, "now": now})
        x.addcmul_(columns, problem.adjoint(residual.mul_(rows)), value=now)
        now = relaxation
        problem.constrain_(x)
        del residual  # its memory serves the next one
        residual = problem.residual(x)


def checked_relaxation(relaxation: float) -> float:
    """A Python number; InputError unless 0 < relaxation < 2."""
    relaxation = real(relaxation, "relaxation")
    if not 0 < relaxation < 2:
        raise InputError(f"relaxation: expected a number above 0 and below 2, got {relaxation}")
    return relaxation
