"""Ring reduction: constant errors of detector columns, told from the object by their constancy.

S. Titarenko, P. J. Withers, A. Yagola, "An analytical formula for ring artefact suppression in X-ray tomography",
Applied Mathematics Letters 23(12), 2010: the stripes o of a sinogram with the mean m over its views minimise
|D (m - o)|^2 + a |o|^2. With second differences D (E. X. Miqueles, J. Rinkel, F. O'Dowd, J. S. V. Bermudez,
"Generalized Titarenko's algorithm for ring artefacts reduction", Journal of Synchrotron Radiation 21, 2014) that is
o = m - b, b = (1 + 1/a D'D)^-1 m. Two things keep the object whole. b is fitted robustly, so that strong stripes do
not bend it. And the scan is cut into segments: an error of the detector is the same in each, detail of the object is
not, so that o shrinks by 1 - SHRINKAGE (its standard error / its size)^2, or to zero. What is left out are features
that are symmetric about the rotation axis, which no method can tell from rings: `limit` spares strong ones.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant, followed

SEGMENTS = 16
SHRINKAGE = 4.0

# Rounds of reweighting for the smooth part, and the robust standard deviations at which a weight falls to a quarter.
ROUNDS = 3
TUNING = 2.5


def remove_rings(line_integrals: Tensor, *, width: float = 4.0, limit: float | None = 0.1) -> Tensor:
    """Line integrals [..., views, (rows,) columns] without the constant errors of detector columns; differentiable.

    Args:
        line_integrals: at least 32 views; in the detector's own columns, so before any shift.
        width: columns: stripes of this width are halved, narrower ones go, wider ones stay.
        limit: errors larger than this (in line integrals; about the relative error of the element's sensitivity) are
            taken for the object and left. None: no limit.

    Raises:
        ValueError: fewer views, or fewer than 5 columns.
    """
    views_axis = -2 if line_integrals.ndim == 2 else -3
    check_ring_options(width, limit, line_integrals.shape[views_axis], line_integrals.shape[-1])
    parts = line_integrals.tensor_split(SEGMENTS, dim=views_axis)
    means = torch.stack([part.mean(views_axis) for part in parts])
    stripes = ring_errors(means, width=width, limit=limit)
    return line_integrals - stripes.unsqueeze(views_axis)


def ring_errors(means: Tensor, *, width: float = 4.0, limit: float | None = 0.1) -> Tensor:
    """Errors of the columns [..., columns] from the means of line integrals over segments, [segments, ..., columns].

    float64 inside; allocates a few times the means.
    """
    profiles = means.double().flatten(1, -2) if means.ndim > 2 else means.double()[:, None]
    smoothing = (2 * np.sin(np.pi / (2 * width))) ** -4
    weights = constant(profiles.mean(0), partial(_weights_of_rows, smoothing=smoothing))
    stripes = torch.stack([_errors(profiles[:, i], row, smoothing) for i, row in enumerate(weights.unbind())])
    if limit is not None:
        stripes = torch.where(stripes.abs() <= limit, stripes, 0.0)
    return stripes.reshape(means.shape[1:]).to(means)


def check_ring_options(width: float, limit: float | None, views: int, columns: int) -> None:
    """ValueError for options or a scan that ring reduction cannot work with."""
    if not width >= 1:
        raise InputError(f"width: expected at least 1 column, got {width}")
    if limit is not None and not limit > 0:
        raise InputError(f"limit: expected a positive error or None, got {limit}")
    if views < 2 * SEGMENTS or columns < 5:
        raise InputError(
            f"rings: expected at least {2 * SEGMENTS} views and 5 columns, got {views} views of {columns} columns"
        )


def _errors(segments: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Errors of one row's columns from its means over segments, [segments, columns]."""
    high = segments - _Smooth.apply(segments * weights, weights, smoothing)
    error, spread = high.mean(0), high.var(0) / len(high)
    certain = 1 - SHRINKAGE * spread / (error.square() + 1e-30)
    return error * certain.clamp_min(0.0)


def _weights_of_rows(profiles: Tensor, smoothing: float) -> Tensor:
    """`_weights` of each row of profiles [rows, columns]."""
    rows = [torch.from_numpy(_weights(row, smoothing)) for row in profiles.cpu().numpy()]
    return torch.stack(rows).to(profiles.device)


def _weights(profile: np.ndarray, smoothing: float) -> np.ndarray:
    """Weights of the columns in the smooth fit: small where a column stands out."""
    weights = np.ones_like(profile)
    for _ in range(ROUNDS):
        rest = profile - _solve(weights * profile, weights, smoothing)
        scale = 1.4826 * np.median(np.abs(rest))
        if not scale > 0:
            break
        weights = (1 + (rest / (TUNING * scale)) ** 2) ** -2
    return weights


def _solve(values: np.ndarray, weights: np.ndarray, smoothing: float) -> np.ndarray:
    """(diag(weights) + smoothing D'D)^-1 values along the last axis, D the second differences."""
    from scipy.linalg import solveh_banded

    count = values.shape[-1]
    bands = np.zeros((3, count))
    for shift, product in ((0, (1, 4, 1)), (1, (-2, -2)), (2, (1,))):
        for k, value in enumerate(product):
            # element (i + k, i + k + shift) of each outer product of (1, -2, 1) at i
            bands[2 - shift, shift + k : shift + k + count - 2] += smoothing * value
    bands[2] += weights + 1e-12
    return solveh_banded(bands, values.T, check_finite=False).T


class _Smooth(torch.autograd.Function):
    """`_solve` of float64 tensors [..., columns]; symmetric, so it is its own gradient."""

    @staticmethod
    def forward(values: Tensor, weights: Tensor, smoothing: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        solved = _solve(values.detach().cpu().numpy(), weights.detach().cpu().numpy(), smoothing)
        return torch.from_numpy(np.ascontiguousarray(solved)).to(values.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, weights, ctx.smoothing = inputs
        ctx.save_for_backward(weights)
        ctx.save_for_forward(weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weights,) = ctx.saved_tensors
        return _Smooth.apply(gradients[0], weights, ctx.smoothing), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        with followed():
            return _Smooth.apply(tangent, *ctx.saved_tensors, ctx.smoothing)  # type: ignore[no-any-return]

    @staticmethod
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, dims: tuple[int | None, ...], values: Tensor, weights: Tensor, smoothing: float
    ) -> tuple[Tensor, int]:
        each = [
            [one] * info.batch_size if dim is None else one.unbind(dim)
            for one, dim in zip((values, weights), dims, strict=False)
        ]
        return torch.stack([_Smooth.apply(*pair, smoothing) for pair in zip(*each, strict=True)]), 0
