"""Regularised least squares, (A.T W A + weight) x = A.T W p + weight z: a step of ADMM, and a layer.

`regularized_least_squares` is differentiable by implicit differentiation: the gradient of the solution is the solution
of the same equations with another right-hand side, so that no iteration is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant, followed, linear, primals
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

    Differentiable in projections, prior and weight, to any order and in forward mode, whatever the number of
    iterations, without keeping them (as in H. K. Aggarwal, M. P. Mani, M. Jacob, "MoDL", IEEE Transactions on Medical
    Imaging 38(2), 2019, section III-D). The gradient is that of the exact solution, and as exact as the equations are
    solved. Needs a matched pair.

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
    tensor = weight if isinstance(weight, Tensor) else torch.tensor(weight, dtype=prior.dtype, device=prior.device)
    value = float(constant(tensor).item()) if tensor.numel() == 1 else math.nan
    if not 0 < value < math.inf:
        raise InputError(f"weight: expected a number above 0, got {value if tensor.numel() == 1 else tensor}")
    tolerance = 10 * torch.finfo(prior.dtype).eps if tolerance is None else tolerance
    expected = shape_of(operator, "domain_shape") or prior.shape
    if tuple(prior.shape[prior.ndim - len(expected) :]) != tuple(expected):
        raise InputError(f"prior: expected [..., {', '.join(map(str, expected))}], got {list(prior.shape)}")
    equations = _Equations(operator, len(expected), iterations, tolerance)
    # for the difference from the prior: (A.T A + weight) d = A.T (p - A prior)
    right = linear(projections - linear(prior, equations.project, equations.backproject), *equations.pair)
    return prior + _Solve.apply(right, tensor.to(prior).reshape(()), equations)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Equations:
    """(A.T A + weight) x = b, and how well they are solved."""

    operator: Operator
    ndim: int
    iterations: int
    tolerance: float

    def project(self, x: Tensor) -> Tensor:
        """A x, in memory of its own."""
        return own(self.operator(x), x)

    def backproject(self, y: Tensor) -> Tensor:
        """A.T y, in memory of its own."""
        return own(self.operator.T(y), y)

    @property
    def pair(self) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """A.T and its adjoint."""
        return self.backproject, self.project

    def solve(self, right: Tensor, weight: Tensor) -> Tensor:
        """The solution for a right-hand side."""
        factor = float(weight)

        def apply(image: Tensor) -> Tensor:
            return self.backproject(self.operator(image)).add_(image, alpha=factor)

        b = right.clone(memory_format=torch.contiguous_format)
        return conjugate_gradients(apply, b, torch.zeros_like(b), self.ndim, self.iterations, self.tolerance)


class _Solve(torch.autograd.Function):
    """A right-hand side [..., *domain_shape] and a weight [] to the solution x; dx solves for db - x dweight."""

    @staticmethod
    def forward(right: Tensor, weight: Tensor, equations: _Equations) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return equations.solve(right, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, weight, ctx.equations = inputs
        ctx.save_for_backward(weight, output)
        ctx.save_for_forward(weight, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight, x = ctx.saved_tensors
        solved = _Solve.apply(gradient, weight, ctx.equations)
        return solved, -(solved.double() * x.double()).sum().to(weight.dtype), None  # type: ignore[union-attr]

    @staticmethod
    def jvp(ctx: Any, right: Tensor | None, weight: Tensor | None, _: None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        value, x = primals(ctx.saved_tensors)
        assert x is not None
        with followed():
            change = torch.zeros_like(x) if right is None else right
            change = change if weight is None else change - x * weight
            return _Solve.apply(change, value, ctx.equations)  # type: ignore[no-any-return]

    @staticmethod
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, dims: tuple[int | None, ...], right: Tensor, weight: Tensor, equations: _Equations
    ) -> tuple[Tensor, int]:
        if dims[1] is None:
            assert dims[0] is not None
            return _Solve.apply(right.movedim(dims[0], 0), weight, equations), 0  # type: ignore[return-value]
        parts = right.expand(info.batch_size, *right.shape) if dims[0] is None else right.movedim(dims[0], 0)
        pairs = zip(parts, weight.movedim(dims[1], 0), strict=True)
        return torch.stack([_Solve.apply(part, one, equations) for part, one in pairs]), 0  # type: ignore[misc]
