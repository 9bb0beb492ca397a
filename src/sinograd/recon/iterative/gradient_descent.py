"""`gradient_descent`: projected gradients, with a smoothed total variation if wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real
from sinograd.recon.iterative.fidelity import Fidelity
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.smooth_part import SmoothPart, attenuation_scale, checked_strength, voxel_spacing
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop
from sinograd.recon.iterative.total_variation import TotalVariation


def gradient_descent(
    operator: Operator,
    projections: Tensor | Fidelity,
    *,
    iterations: int = 200,
    regularization: float = 0.0,
    smoothing: float | None = None,
    step: float = 1.0,
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
    """Projected gradients of 1/2 |p - A x|^2 + regularization TV(x), TV smoothed to have a gradient.

    L. Landweber, American Journal of Mathematics 73(3), 1951; with bounds, A. A. Goldstein, Bulletin of the American
    Mathematical Society 70(5), 1964. TV sums sqrt(|gradient|^2 + smoothing^2) - smoothing. The simplest of all: for
    total variation `fista_tv` needs far fewer iterations.

    Memory: besides the projections 3 images (x, the best one, gradient) and 2 copies of the projections; with a
    likelihood that is not quadratic 1 image more.

    Args:
        projections: line integrals, or a `Fidelity` such as `PoissonLikelihood` instead of least squares.
        regularization: weight of the total variation.
        smoothing: difference between neighbours, in 1/mm, below which TV is smooth; 1 % of the scan's mean
            attenuation if not given.
        step: of 1 over the largest curvature; above 0, below 2 (for a likelihood that is not quadratic at most 1, and
            halved where its quadratic model does not lie above).
        spacing: of the voxels along the image's axes; the operator's grid's if not given.
        weights: minimises 1/2 sum(weights (p - A x)^2) + ...
        others: as in `sirt`.

    Returns, raises and warns as `sirt`. `objectives` holds what was minimised.
    """
    regularization = real(regularization, "regularization")
    checked_strength(regularization, 1.0)
    smoothing = None if smoothing is None else real(smoothing, "smoothing")
    step = real(step, "step")
    if not 0 < step < 2:
        raise InputError(f"step: expected a number above 0 and below 2, got {step}")
    if smoothing is not None and not 0 < smoothing < math.inf:
        raise InputError(f"smoothing: expected a number above 0, got {smoothing}")
    smooth = SmoothPart(operator, projections, weights=weights, start=start, lower=lower, upper=upper)
    variation = TotalVariation(voxel_spacing(operator, smooth.problem.image_ndim, spacing))
    run = Run("gradient_descent", smooth.problem, Control(iterations, stop, callback, progress, keep_best))
    if regularization and smoothing is None:
        smoothing = 0.01 * attenuation_scale(smooth)
    return run(_steps(smooth, variation, regularization, smoothing or 1.0, step))


def _steps(smooth: SmoothPart, variation: TotalVariation, weight: float, smoothing: float, step: float) -> Steps:
    problem, fidelity = smooth.problem, smooth.fidelity
    curvature = smooth.curvature() + weight * variation.bound / smoothing

    def measure(image: Tensor, projected: Tensor) -> tuple[Tensor, Tensor]:
        value, misfit = smooth.measure(projected)
        return (value + weight * variation.value(image, smoothing) if weight else value), misfit

    if problem.saved is None:
        x = problem.start()
        projected = problem.first_projection(x)
    else:
        x, projected, curvature = problem.saved["x"], problem.saved["projected"], float(problem.saved["curvature"])
    objective, misfit = measure(x, projected)
    while True:
        yield Step(x, misfit, objective, {"x": x, "projected": projected, "curvature": curvature})
        gradient = problem.adjoint(fidelity.gradient_(projected))
        if weight:
            variation.add_smoothed_gradient_(gradient, x, weight, smoothing)
        if fidelity.quadratic:
            problem.constrain_(x.sub_(gradient, alpha=step / curvature))
            del gradient
            projected = problem.forward(x)
            objective, misfit = measure(x, projected)
            continue
        while True:
            new = problem.constrain_(torch.sub(x, gradient, alpha=step / curvature))
            projected = problem.forward(new)
            value, misfit = measure(new, projected)
            if smooth.model_holds(value, objective, gradient, new, x, curvature / min(step, 1.0)):
                break
            curvature *= 2
        x, objective = new, value
