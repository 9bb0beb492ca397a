"""Regularised least squares, (A.T W A + weight) x = A.T W p + weight z: a step of ADMM, and a layer.

`regularized_least_squares` is differentiable by implicit differentiation: the gradient of the solution is the solution
of the same equations with another right-hand side, so that no iteration is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sinograd.errors import InputError
from sinograd.recon.iterative.inner_products import dot, spread
from sinograd.recon.iterative.operators import Operator, check_operator, own, shape_of


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], b: Tensor, x: Tensor, ndim: int, iterations: int, tolerance: float
) -> Tensor:
    """Solves apply(x) = b from x on, in place; `apply` is symmetric and positive definite, in memory of its own.

    Stops when |b - apply(x)| <= tolerance |b| for every problem of the batch. b is overwritten. Memory: 2 images.
    """
    limit = tolerance**2 * dot(b, b, ndim)
    residual = b.sub_(apply(x)) if bool(x.any()) else b
    direction = residual.clone()
    length = dot(residual, residual, ndim)
    for _ in range(iterations):
        if bool((length <= limit).all()):
            break
        applied = apply(direction)
        curvature = dot(direction, applied, ndim)
        step = torch.where(curvature > 0, length / curvature, 0.0)
        x.addcmul_(direction, spread(step, x, ndim))
        residual.sub_(applied.mul_(spread(step, x, ndim)))
        del applied
        before, length = length, dot(residual, residual, ndim)
        direction.mul_(spread(torch.where(before > 0, length / before, 0.0), x, ndim)).add_(residual)
    return x


def regularized_least_squares(
    operator: Operator,
    projections: Tensor,
    prior: Tensor,
    weight: float | Tensor,
    *,
    iterations: int = 20,
    tolerance: float | None = None,
) -> Tensor:
    """The x that minimises |p - A x|^2 + weight |x - prior|^2, by conjugate gradients from the prior.

    Differentiable once in projections, prior and weight, whatever the number of iterations, without keeping them (as in
    H. K. Aggarwal, M. P. Mani, M. Jacob, "MoDL", IEEE Transactions on Medical Imaging 38(2), 2019, section III-D). The
    gradient is that of the exact solution, and as exact as the equations are solved. Needs a matched pair.

    Args:
        operator: A, anything with `A(x)` and `A.T(y)`.
        projections: p, [..., *range_shape].
        prior: [..., *domain_shape].
        weight: above 0; a tensor of one element trains.
        iterations, tolerance: of the solution and of its gradient; stops where the equations' relative residual is
            below the tolerance, 10 roundings if not given.

    Raises:
        TypeError, ValueError: wrong shapes, a weight that is not above 0.
    """
    check_operator(operator)
    value = float(weight.detach()) if isinstance(weight, Tensor) else float(weight)
    if not 0 < value < math.inf:
        raise InputError(f"weight: expected a number above 0, got {value}")
    tolerance = 10 * torch.finfo(prior.dtype).eps if tolerance is None else tolerance
    expected = shape_of(operator, "domain_shape") or prior.shape
    if tuple(prior.shape[prior.ndim - len(expected) :]) != tuple(expected):
        raise InputError(f"prior: expected [..., {', '.join(map(str, expected))}], got {list(prior.shape)}")
    tensor = weight if isinstance(weight, Tensor) else torch.tensor(weight, dtype=prior.dtype, device=prior.device)
    return _Solve.apply(projections, prior, tensor, operator, len(expected), iterations, tolerance)  # type: ignore[no-any-return]


class _Solve(torch.autograd.Function):
    """Projections, prior and weight to the solution."""

    @staticmethod
    def forward(ctx: Any, projections, prior, weight, operator, ndim, iterations, tolerance) -> Tensor:
        ctx.call = (operator, ndim, iterations, tolerance)
        x = prior.clone(memory_format=torch.contiguous_format)
        # for the difference from the prior: (A.T A + weight) d = A.T (p - A prior)
        right = own(operator.T(projections - operator(x)), x)
        x.add_(_solve(right, torch.zeros_like(x), weight, *ctx.call))
        ctx.save_for_backward(prior, weight, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        prior, weight, x = ctx.saved_tensors
        (gradient,) = gradients
        solved = _solve(gradient.clone(memory_format=torch.contiguous_format), torch.zeros_like(x), weight, *ctx.call)
        operator = ctx.call[0]
        to_projections = operator(solved) if ctx.needs_input_grad[0] else None
        to_weight = None
        if ctx.needs_input_grad[2]:
            to_weight = dot(solved, prior - x, solved.ndim).to(weight.dtype).reshape(weight.shape)
        return to_projections, solved * weight, to_weight, None, None, None, None


def _solve(
    right: Tensor, x: Tensor, weight: Tensor, operator: Operator, ndim: int, iterations: int, tolerance: float
) -> Tensor:
    factor = float(weight.detach())

    def apply(image: Tensor) -> Tensor:
        return own(operator.T(operator(image)), image).add_(image, alpha=factor)

    return conjugate_gradients(apply, right, x, ndim, iterations, tolerance)
