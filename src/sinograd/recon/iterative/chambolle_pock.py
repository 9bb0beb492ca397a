"""`chambolle_pock`: the image with the least total variation among those that fit the projections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real, without_gradients
from sinograd.recon.iterative.inner_products import norm, spread
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.smooth_part import (
    SmoothPart,
    attenuation_scale,
    checked_strength,
    usual_misfit,
    voxel_spacing,
)
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop
from sinograd.recon.iterative.total_variation import TotalVariation

# Of the steps, times the scale of attenuation: what is quickest on phantoms with few and with many views.
BALANCE = 0.003

_STATE: tuple[str, ...] = ("x", "ahead", "field", "projected", "projected_ahead", "y")


def chambolle_pock(
    operator: Operator,
    projections: Tensor,
    *,
    iterations: int = 300,
    misfit: float | Tensor | None = None,
    strength: float = 1.0,
    balance: float = 1.0,
    spacing: Sequence[float] | None = None,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    lower: float | Tensor | None = None,
    upper: float | Tensor | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """Constrained total variation: minimises TV(x) among images within bounds with |p - A x| <= misfit |p|.

    A. Chambolle, T. Pock, Journal of Mathematical Imaging and Vision 40(1), 2011, algorithm 1; for CT E. Y. Sidky,
    J. H. Jorgensen, X. Pan, Physics in Medicine and Biology 57(10), 2012, section 3.3. Instead of a weight of the total
    variation it takes how well the image is to fit. A misfit smaller than any image reaches ends near least squares.

    Memory: besides the projections 4 images (x, x ahead, A.T y, the best one) and 1 for each dimension (dual), 5 copies
    of the projections.

    Args:
        iterations: each a projection and a backprojection.
        misfit: largest relative residual; a number, or a tensor with one for each problem of the batch. The noise's
            length over the projections', for example; 0 for equality. If not given one that suits the scan, from its
            noise (`recon.iterative.smooth_part.usual_misfit`).
        strength: factor of the misfit that is chosen so: 2 leaves a residual twice as large, and is smoother.
        balance: of the primal and the dual step: above 1 the image moves faster. The result does not depend on it.
        spacing: of the voxels along the image's axes; the operator's grid's if not given.
        weights: |.| then sums weights times squares.
        others: as in `sirt`.

    Returns, raises and warns as `sirt`.
    """
    balance = real(balance, "balance")
    if not 0 < balance < math.inf:
        raise InputError(f"balance: expected a number above 0, got {balance}")
    _, strength = checked_strength(None, strength)
    smooth = SmoothPart(operator, projections, weights=weights, start=start, lower=lower, upper=upper)
    problem = smooth.problem
    if misfit is None:
        misfit = usual_misfit(smooth, strength)
    without_gradients(misfit, "misfit")
    bound = torch.as_tensor(misfit, dtype=torch.float64, device=problem.projections.device)
    if not bool(((bound >= 0) & torch.isfinite(bound)).all()):
        raise InputError(f"misfit: expected numbers from 0, got {misfit}")
    if bound.ndim and bound.shape != problem.batch:
        raise InputError(
            f"misfit: expected a number or one for each problem {list(problem.batch)}, got {list(bound.shape)}"
        )
    variation = TotalVariation(voxel_spacing(operator, problem.image_ndim, spacing))
    run = Run("chambolle_pock", problem, Control(iterations, stop, callback, progress, keep_best))
    return run(_steps(smooth, variation, bound * problem.data_norm, balance), monotone=False)


def _steps(smooth: SmoothPart, variation: TotalVariation, misfit: Tensor, balance: float) -> Steps:
    problem = smooth.problem
    root = None if problem.weights is None else problem.weights.sqrt()
    length = math.sqrt(smooth.curvature())
    # the gradient is scaled to the operator's norm, so that both halves of the stacked operator weigh the same
    scale = length / math.sqrt(variation.bound)
    primal = BALANCE * balance * attenuation_scale(smooth) * scale / (math.sqrt(2) * length)
    dual = 1 / (2 * length**2 * primal)
    if problem.saved is None:
        x = problem.start()
        ahead, field = x.clone(), x.new_zeros((variation.ndim, *x.shape))
        projected = problem.first_projection(x)
        projected_ahead, y = projected.clone(), torch.zeros_like(projected)
    else:
        x, ahead, field, projected, projected_ahead, y = (problem.saved[name] for name in _STATE)
    while True:
        state = dict(zip(_STATE, (x, ahead, field, projected, projected_ahead, y), strict=True))
        yield Step(x, problem.data_length(problem.projections - projected), state=state)
        _update_data_dual(problem, y, projected_ahead, root, dual, misfit)
        variation.ascend_(field, ahead, dual * scale, limit=1.0)
        gradient = problem.adjoint(y if root is None else y * root)
        variation.descend(gradient, field, -scale, gradient)
        new = problem.constrain_(torch.sub(x, gradient, alpha=primal, out=gradient))
        torch.lerp(x, new, 2.0, out=ahead)
        x = new
        projected_new = problem.forward(x)
        torch.lerp(projected, projected_new, 2.0, out=projected_ahead)
        projected = projected_new


def _update_data_dual(
    problem: Problem, y: Tensor, projected: Tensor, root: Tensor | None, step: float, misfit: Tensor
) -> None:
    """Y + step sqrt(W) (A x - p), shrunk by step * misfit: the proximal map of the conjugate of a ball's indicator."""
    projected.sub_(problem.projections)
    y.add_(projected if root is None else projected.mul_(root), alpha=step)
    length = norm(y, problem.data_ndim)
    shrunk = torch.where(length > 0, (1 - step * misfit / length).clamp(min=0), 0.0)
    y.mul_(spread(shrunk, y, problem.data_ndim))
