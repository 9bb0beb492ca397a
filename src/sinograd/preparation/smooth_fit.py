"""The smooth part of profiles: a weighted fit with second differences, and weights that spare it what stands out."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.ops.derivatives import followed, primals, recorded, untraced

# Rounds of reweighting, and the robust standard deviations at which a weight falls to a quarter. A scale below this
# share of the profile's own spread tells nothing.
ROUNDS = 3
TUNING = 2.5
LEAST_SCALE = 0.007

NORMAL = 1.4826  # standard deviations of a normal distribution in a median deviation


def smoothness(width: float) -> float:
    """The factor of the squared second differences with which a wave of this half period is halved."""
    return float((2 * np.sin(np.pi / (2 * width))) ** -4)


def rest(profiles: Tensor, width: float) -> Tensor:
    """What stands out of the smooth part of each of the profiles [rows, columns], float64."""
    weights = robust_weights(profiles, smoothness(width))
    return profiles - fit(weights * profiles, weights, smoothness(width))


def robust_weights(profiles: Tensor, smoothing: float) -> Tensor:
    """Weights of the columns in the smooth fit of each row: small where a column stands out; [rows, columns]."""
    weights = torch.ones_like(profiles)
    spread = profiles.var(1, correction=0, keepdim=True).clamp_min(1e-200).sqrt()
    for _ in range(ROUNDS):
        left = profiles - fit(weights * profiles, weights, smoothing)
        scale = torch.maximum(NORMAL * median(left.abs()), LEAST_SCALE * spread)
        weights = (1 + (left / (TUNING * scale)) ** 2) ** -2
    return weights


def median(values: Tensor) -> Tensor:
    """Of each row [rows, columns], [rows, 1]: the mean of the middle two, as NumPy's."""
    return quantile(values, 0.5)


def quantile(values: Tensor, share: float) -> Tensor:
    """`values.quantile(share, 1, keepdim=True)` of rows [rows, columns]; without derivatives by partial sorting."""
    if recorded(values) or values.device.type != "cpu" or not bool(torch.isfinite(values).all()):
        return values.quantile(share, dim=1, keepdim=True)
    rank = share * (values.shape[1] - 1)
    below, above = int(np.floor(rank)), int(np.ceil(rank))
    ranked = np.partition(values.detach().numpy(), sorted({below, above}), axis=1)
    low, high = (torch.from_numpy(ranked[:, [at]]) for at in (below, above))
    return low.lerp(high, rank - below)


def fit(values: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """(diag(weights) + smoothing D'D)^-1 values along the last axis, D the second differences.

    values: [..., rows, columns], weights: [rows, columns], float64. Differentiable in both, in every mode.
    """
    stack = values if values.ndim == 3 else values[None]
    result: Tensor = _Fit.apply(stack, weights, smoothing)  # pyright: ignore[reportAssignmentType]
    return result if values.ndim == 3 else result[0]


def solve(values: np.ndarray, weights: np.ndarray, smoothing: float) -> np.ndarray:
    """`fit` of one row: values [..., columns], weights [columns]."""
    bands = _bands(values.shape[-1], smoothing).copy(order="F")
    bands[2] += weights + 1e-12
    _, result, failed = _banded_solver()(bands, values.T, overwrite_ab=1)
    if failed:
        raise np.linalg.LinAlgError(f"profiles have no smooth fit: row {failed} of its matrix depends on others")
    return result.T


@functools.cache
def _banded_solver() -> Any:
    """LAPACK's, called by scipy's solveh_banded, whose checks take far longer than a row."""
    from scipy.linalg import get_lapack_funcs

    return get_lapack_funcs("pbsv", dtype=np.float64)


@functools.lru_cache(maxsize=8)
def _bands(count: int, smoothing: float) -> np.ndarray:
    """The upper bands of smoothing D'D, as LAPACK has them."""
    bands = np.zeros((3, count))
    for shift, product in ((0, (1, 4, 1)), (1, (-2, -2)), (2, (1,))):
        for k, value in enumerate(product):
            # element (i + k, i + k + shift) of each outer product of (1, -2, 1) at i
            bands[2 - shift, shift + k : shift + k + count - 2] += smoothing * value
    return bands


class _Fit(torch.autograd.Function):
    """Of values [n, rows, columns] and weights [rows, columns]; the matrices are symmetric."""

    @staticmethod
    @untraced
    def forward(values: Tensor, weights: Tensor, smoothing: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        right, diagonal = values.detach().cpu().numpy(), weights.detach().cpu().numpy()
        result = np.empty_like(right)
        for row, one in enumerate(diagonal):
            result[:, row] = solve(right[:, row], one, smoothing)
        return torch.from_numpy(result).to(values.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, weights, ctx.smoothing = inputs
        ctx.save_for_backward(weights, output)
        ctx.save_for_forward(weights, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        weights, fitted = ctx.saved_tensors
        gradient = fit(gradients[0], weights, ctx.smoothing)
        return gradient, -(gradient * fitted).sum(0), None

    @staticmethod
    @untraced
    def jvp(ctx: Any, tangent: Tensor | None, weights_tangent: Tensor | None, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with followed():
            weights, fitted = primals(ctx.saved_tensors)
            assert weights is not None and fitted is not None
            right = torch.zeros_like(fitted) if tangent is None else tangent
            if weights_tangent is not None:
                right = right - weights_tangent * fitted
            return fit(right, weights, ctx.smoothing)

    @staticmethod
    @untraced
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, dims: tuple[int | None, ...], values: Tensor, weights: Tensor, smoothing: float
    ) -> tuple[Tensor, int]:
        count = info.batch_size
        values = values.unsqueeze(0).expand(count, *values.shape) if dims[0] is None else values.movedim(dims[0], 0)
        if dims[1] is None:
            return fit(values.flatten(0, 1), weights, smoothing).unflatten(0, (count, -1)), 0
        weights = weights.movedim(dims[1], 0)
        fitted = fit(values.movedim(0, 1).flatten(1, 2), weights.flatten(0, 1), smoothing)
        return fitted.unflatten(1, (count, -1)), 1
