"""`fista_tv`: total variation by accelerated proximal gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.recon.iterative.fidelity import Fidelity
from sinograd.recon.iterative.inner_products import spread
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.smooth_part import SmoothPart, checked_strength, tv_weight, voxel_spacing
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop
from sinograd.recon.iterative.total_variation import TotalVariation
from sinograd.recon.iterative.total_variation_proximal import TotalVariationProximal


def fista_tv(
    operator: Operator,
    projections: Tensor | Fidelity,
    *,
    iterations: int = 100,
    regularization: float | None = None,
    strength: float = 1.0,
    inner_iterations: int = 10,
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
    """Total variation: minimises 1/2 |p - A x|^2 + regularization TV(x) within bounds.

    A. Beck, M. Teboulle, SIAM Journal on Imaging Sciences 2(1), 2009 (FISTA) and IEEE Transactions on Image Processing
    18(11), 2009 (the proximal map of TV, by accelerated gradients on its dual), restarted where the objective rises
    (B. O'Donoghue, E. Candes, Foundations of Computational Mathematics 15, 2015). The step is 1 / |A|^2, from power
    iteration; for a likelihood that is not quadratic it is shortened until its quadratic model lies above.

    Memory: besides the projections 5 images (x, the next, the point ahead, A.T of the residual, the best one) and 2 for
    each dimension (dual), 3 copies of the projections; with a likelihood that is not quadratic 1 image and 1 copy more.

    Args:
        projections: line integrals, or a `Fidelity` such as `PoissonLikelihood` instead of least squares.
        iterations: each a projection, a backprojection and `inner_iterations` of the proximal map.
        regularization: weight of the total variation; if not given one that suits the scan, from its noise and
            attenuation (`recon.iterative.smooth_part.tv_weight`).
        strength: factor of the weight that is chosen so: 2 is twice as smooth.
        inner_iterations: of the proximal map; each starts where the last one ended.
        spacing: of the voxels along the image's axes; the operator's grid's if not given.
        weights: minimises 1/2 sum(weights (p - A x)^2) + ...
        others: as in `sirt`.

    Returns, raises and warns as `sirt`. `objectives` holds what was minimised.
    """
    regularization, strength = checked_strength(regularization, strength, inner_iterations)
    smooth = SmoothPart(operator, projections, weights=weights, start=start, lower=lower, upper=upper)
    variation = TotalVariation(voxel_spacing(operator, smooth.problem.image_ndim, spacing))
    run = Run("fista_tv", smooth.problem, Control(iterations, stop, callback, progress, keep_best))
    weight = tv_weight(smooth, strength) if regularization is None else regularization
    return run(_steps(smooth, variation, weight, inner_iterations))


def _steps(smooth: SmoothPart, variation: TotalVariation, weight: float, inner_iterations: int) -> Steps:
    problem, fidelity = smooth.problem, smooth.fidelity
    curvature = smooth.curvature()
    saved = problem.saved
    x = problem.start() if saved is None else saved["x"]
    proximal = TotalVariationProximal(x.shape, variation, problem.bounds, x)
    if saved is None:
        ahead = x.clone()
        projected = problem.first_projection(x)
        projected_ahead = projected.clone()
        momentum = torch.ones(problem.batch, dtype=torch.float64, device=x.device)
    else:
        ahead, projected, projected_ahead = saved["ahead"], saved["projected"], saved["projected_ahead"]
        momentum, curvature = saved["momentum"], float(saved["curvature"])
        proximal.dual.copy_(saved["dual"])
    new = torch.empty_like(x)
    value, misfit = smooth.measure(projected)
    objective = value + weight * variation.value(x)
    while True:
        state = {"x": x, "ahead": ahead, "projected": projected, "projected_ahead": projected_ahead}
        state |= {"momentum": momentum, "dual": proximal.dual, "curvature": curvature}
        yield Step(x, misfit, objective, state)
        if fidelity.quadratic:
            ahead.sub_(problem.adjoint(fidelity.gradient_(projected_ahead)), alpha=1 / curvature)
            proximal(ahead, weight / curvature, inner_iterations, new)
            projected_new = problem.forward(new)
            value, misfit = smooth.measure(projected_new)
        else:
            value_ahead, _ = smooth.measure(projected_ahead)
            gradient = problem.adjoint(fidelity.gradient_(projected_ahead))
            while True:
                proximal(torch.sub(ahead, gradient, alpha=1 / curvature), weight / curvature, inner_iterations, new)
                projected_new = problem.forward(new)
                value, misfit = smooth.measure(projected_new)
                if smooth.model_holds(value, value_ahead, gradient, new, ahead, curvature):
                    break
                curvature *= 2
            del gradient
        before, objective = objective, value + weight * variation.value(new)
        factor, momentum = _next_momentum(momentum, objective > before)
        torch.lerp(x, new, spread(1 + factor, x, problem.image_ndim), out=ahead)
        torch.lerp(projected, projected_new, spread(1 + factor, projected, problem.data_ndim), out=projected_ahead)
        x, new, projected = new, x, projected_new


def _next_momentum(momentum: Tensor, rose: Tensor) -> tuple[Tensor, Tensor]:
    """How far to go ahead, and t of the next iteration; from the beginning where the objective rose."""
    after = (1 + (1 + 4 * momentum**2).sqrt()) / 2
    factor = torch.where(rose, 0.0, (momentum - 1) / after)
    return factor, torch.where(rose, 1.0, after)
