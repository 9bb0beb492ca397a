"""`operator_norm`: the largest singular value, by power iteration."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.stored import drawn
from sinograd.recon.iterative.inner_products import norm
from sinograd.recon.iterative.operators import Operator, check_operator, kept, own, shape_of


def operator_norm(
    operator: Operator,
    domain_shape: tuple[int, ...] | None = None,
    *,
    weights: Tensor | None = None,
    iterations: int = 50,
    tolerance: float = 1e-4,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> float:
    """Largest singular value of A (with weights w, of sqrt(w) A), from below, by power iteration on A.T A.

    G. H. Golub, C. F. Van Loan, "Matrix Computations", 2013, section 7.3.1. The first image is random and positive,
    the same in every call: for operators without negative entries, whose first singular vector has none either, a few
    iterations do. Without weights it is computed once for an operator and kept with it.

    Memory: 2 images and a copy of the projections.

    Args:
        operator: A; anything with `A(x)` and `A.T(y)`.
        domain_shape: shape of an image, for operators that do not tell it.
        weights: not negative, of the shape of projections.
        iterations: at most so many projections and backprojections.
        tolerance: relative change at which to stop.
        dtype, device: to compute with.

    Raises:
        ValueError: the shape of an image is not known, or A is zero.
    """
    check_operator(operator)
    shape = shape_of(operator, "domain_shape") if domain_shape is None else tuple(domain_shape)
    if shape is None:
        raise InputError(f"domain_shape: {type(operator).__name__} does not tell its own, expected one to be given")
    return norm_like(operator, shape, torch.empty(0, dtype=dtype, device=device), weights, (iterations, tolerance))


def norm_like(
    operator: Operator,
    shape: tuple[int, ...],
    like: Tensor,
    weights: Tensor | None,
    limits: tuple[int, float] = (50, 1e-4),
) -> float:
    """`operator_norm` in the dtype, on the device and in the place of a tensor; limits: iterations and tolerance."""
    if weights is not None:
        return _power(operator, shape, like, weights, limits)
    key = ("norm", shape, like.dtype, like.device, *limits)
    return kept(operator, key, lambda: _power(operator, shape, like, None, limits))


@torch.no_grad()
def _power(
    operator: Operator, shape: tuple[int, ...], like: Tensor, weights: Tensor | None, limits: tuple[int, float]
) -> float:
    generator, (iterations, tolerance) = torch.Generator().manual_seed(0), limits
    x = drawn(shape, like, lambda some: torch.rand(*some, generator=generator).add_(0.5))
    length, value = norm(x, x.ndim), 0.0
    for _ in range(iterations):
        x.div_(length.to(x))
        projected = own(operator(x), x)
        before, value = value, float(norm(projected, projected.ndim, weights))
        if not value > 0:
            raise InputError(f"operator: expected a norm above 0, got {value}")
        if abs(value - before) <= tolerance * value:
            break
        x = own(operator.T(projected if weights is None else projected.mul_(weights)), projected)
        length = norm(x, x.ndim)
    return value
