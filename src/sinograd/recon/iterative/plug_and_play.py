"""Plug and play: any denoiser as the prior, of proximal gradients or of ADMM.

S. V. Venkatakrishnan, C. A. Bouman, B. Wohlberg, "Plug-and-play priors for model based reconstruction", IEEE GlobalSIP,
2013. The denoiser takes the place of a prior's proximal map. Fixed points exist and are reached for denoisers that do
not expand distances; others can wander or diverge.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import real
from sinograd.recon.iterative.fidelity import Fidelity
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.regularized_least_squares import conjugate_gradients
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.smooth_part import SmoothPart
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop

Denoiser = Callable[[Tensor], Tensor]


def pnp_proximal_gradient(
    operator: Operator,
    projections: Tensor | Fidelity,
    denoiser: Denoiser,
    *,
    iterations: int = 50,
    step: float = 1.0,
    accelerate: bool = True,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    lower: float | Tensor | None = None,
    upper: float | Tensor | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """X <- denoiser(x - step / |A|^2 A.T W (A x - p)), with FISTA's momentum if `accelerate`.

    U. S. Kamilov, H. Mansour, B. Wohlberg, IEEE Signal Processing Letters 24(12), 2017. A start that is near, such as
    FDK's image, saves most of the iterations.

    Memory: besides the projections 4 images (x, x ahead, A.T of the residual, the best one), what the denoiser takes,
    2 copies of the projections.

    Args:
        projections: line integrals, or a `Fidelity`.
        denoiser: any function or module that takes and gives images [..., *domain_shape] in 1/mm; called without
            gradients. It acts once an iteration, so it should be gentle.
        step: above 0, below 2 (1 with momentum).
        others: as in `sirt`.

    Returns, raises and warns as `sirt`; also raises ValueError for a denoiser that changes the shape. The last image is
    returned unless the iterations diverge.
    """
    step = real(step, "step")
    if not 0 < step < 2:
        raise InputError(f"step: expected a number above 0 and below 2, got {step}")
    check_denoiser(denoiser)
    smooth = SmoothPart(operator, projections, weights=weights, start=start, lower=lower, upper=upper)
    run = Run("pnp_proximal_gradient", smooth.problem, Control(iterations, stop, callback, progress, keep_best))
    return run(_proximal_gradient(smooth, denoiser, step, accelerate), monotone=False)


def pnp_admm(
    operator: Operator,
    projections: Tensor,
    denoiser: Denoiser,
    *,
    iterations: int = 20,
    penalty: float = 0.01,
    inner_iterations: int = 5,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    lower: float | Tensor | None = None,
    upper: float | Tensor | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """The alternating direction method of multipliers with a denoiser in place of the prior's proximal map.

    Venkatakrishnan, Bouman, Wohlberg (2013); S. H. Chan, X. Wang, O. A. Elgendy, IEEE Transactions on Computational
    Imaging 3(1), 2017, algorithm 1. In turn: x fits the projections and stays near v - u (least squares, by conjugate
    gradients from the last x), v = denoiser(x + u), u adds up what is between them. v is returned.

    Memory: besides the projections 7 images (x, v, u, right-hand side, direction, A.T A of it, the best one), what the
    denoiser takes, 2 copies of the projections.

    Args:
        penalty: weight of the distance between x and v, in units of |A|^2; larger ones change x less in an iteration.
        inner_iterations: of conjugate gradients in each iteration, each a projection and a backprojection.
        others: as in `pnp_proximal_gradient`.

    Returns, raises and warns as `pnp_proximal_gradient`.
    """
    if not 0 < penalty < math.inf:
        raise InputError(f"penalty: expected a number above 0, got {penalty}")
    if inner_iterations < 1:
        raise InputError(f"inner_iterations: expected 1 or more, got {inner_iterations}")
    check_denoiser(denoiser)
    smooth = SmoothPart(operator, projections, weights=weights, start=start, lower=lower, upper=upper)
    run = Run("pnp_admm", smooth.problem, Control(iterations, stop, callback, progress, keep_best))
    return run(_admm(smooth, denoiser, penalty, inner_iterations), monotone=False)


def _proximal_gradient(smooth: SmoothPart, denoiser: Denoiser, step: float, accelerate: bool) -> Steps:
    problem = smooth.problem
    length = step / smooth.curvature()
    saved = problem.saved
    if saved is None:
        x = problem.start()
        ahead, momentum = x, 1.0
        projected = projected_ahead = problem.first_projection(x)
    else:
        x, ahead, momentum = saved["x"], saved["ahead"], float(saved["momentum"])
        projected, projected_ahead = saved["projected"], saved["projected_ahead"]
    while True:
        state = {"x": x, "ahead": ahead, "momentum": momentum}
        state |= {"projected": projected, "projected_ahead": projected_ahead}
        yield Step(x, problem.data_length(problem.projections - projected), state=state)
        gradient = problem.adjoint(smooth.fidelity.gradient_(projected_ahead.clone()))
        new = denoise(denoiser, torch.sub(ahead, gradient, alpha=length, out=gradient), problem)
        projected_new = problem.forward(new)
        before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        if accelerate:
            factor = 1 + (before - 1) / momentum
            ahead = torch.lerp(x, new, factor)
            projected_ahead = torch.lerp(projected, projected_new, factor)
        else:
            ahead, projected_ahead = new, projected_new
        x, projected = new, projected_new


def _admm(smooth: SmoothPart, denoiser: Denoiser, penalty: float, inner_iterations: int) -> Steps:
    problem = smooth.problem
    weight = penalty * smooth.curvature()

    def weighted(data: Tensor) -> Tensor:
        return data if problem.weights is None else data.mul_(problem.weights)

    def apply(image: Tensor) -> Tensor:
        return problem.adjoint(weighted(problem.forward(image))).add_(image, alpha=weight)

    if problem.saved is None:
        x = problem.start()
        v, u = x.clone(), torch.zeros_like(x)
        residual = problem.first_residual(v)
    else:
        x, v, u, residual = (problem.saved[name] for name in ("x", "v", "u", "residual"))
    fitted = problem.adjoint(weighted(problem.projections.clone()))
    while True:
        yield Step(v, problem.data_length(residual), state={"x": x, "v": v, "u": u, "residual": residual})
        del residual
        right = torch.sub(v, u).mul_(weight).add_(fitted)
        conjugate_gradients(apply, right, x, problem.image_ndim, inner_iterations, 0.0)
        v = denoise(denoiser, torch.add(x, u, out=right), problem)
        u.add_(x).sub_(v)
        residual = problem.residual(v)


def denoise(denoiser: Denoiser, image: Tensor, problem: Problem) -> Tensor:
    """The denoiser's image within bounds, in memory of its own; ValueError if it is another shape."""
    result = denoiser(image)
    if not isinstance(result, Tensor) or result.shape != image.shape:
        got = list(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise InputError(f"denoiser: expected it to give {list(image.shape)} as it was given, got {got}")
    result = result.detach().to(image)
    shared = result.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
    return problem.constrain_(result.clone() if shared and problem.constrained else result.contiguous())


def check_denoiser(denoiser: Denoiser) -> None:
    """TypeError unless it can be called."""
    if not callable(denoiser):
        raise InputTypeError(f"denoiser: expected a function or module, got {type(denoiser).__name__}")
