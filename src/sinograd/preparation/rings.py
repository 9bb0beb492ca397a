"""Ring reduction: constant errors of detector columns, told from the object by their constancy.

S. Titarenko, P. J. Withers, A. Yagola, "An analytical formula for ring artefact suppression in X-ray tomography",
Applied Mathematics Letters 23(12), 2010: the stripes o of a sinogram with the mean m over its views minimise
|D (m - o)|^2 + a |o|^2. With second differences D (E. X. Miqueles, J. Rinkel, F. O'Dowd, J. S. V. Bermudez,
"Generalized Titarenko's algorithm for ring artefacts reduction", Journal of Synchrotron Radiation 21, 2014) that is
o = m - b, b = (1 + 1/a D'D)^-1 m. b is fitted robustly, so that strong stripes do not bend it.

The scan is cut into segments: an error of the detector is the same in each, detail of the object is not, so that o is
the mean of the middle half of the segments and shrinks by 1 - SHRINKAGE (its standard error / its size)^2, or to zero.
What stands still in all segments may still be the object, if it is round and stands on the axis. Then it is the same
on both sides of the axis, which errors are not; the axis is where the profile is its own mirror image, as the mean of
every object over a full turn is. Where the detector does not reach to the other side, lines through the columns beside
tell edges of the object: they contradict each other there. And what deviates in more columns than a stripe has is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant, followed

SEGMENTS = 16

# The largest error that is reduced, and where the detector does not reach to the other side of the axis.
LIMIT, LIMIT_ALONE = 1.0, 0.1
SHRINKAGE = 4.0

# Variance of the mean of the middle half, from the variance of its values, times their number: 8 for a normal
# distribution, less for one with tails, as detail of the object that passes makes.
MIDDLE_SPREAD = 4.0

# Rounds of reweighting for the smooth part, and the robust standard deviations at which a weight falls to a quarter.
# A scale below this share of the profile's own spread tells nothing.
ROUNDS = 3
TUNING = 2.5
LEAST_SCALE = 0.007

# Columns of the lines on either side; their contradiction that makes an edge: so many times what the stripes of all
# columns explain, or this share of the stripe itself. Between once and twice that, the error is reduced in part.
REACH, CONTRADICTION, USUAL, OWN_SHARE = 8, 3.0, 0.8, 0.4

# Likeness (1: equal) of a column and its neighbours to their mirror image from which errors are, and are wholly, the
# object's; and the relative mismatch of a profile with its mirror image up to which it has an axis.
MIRRORED, NEIGHBOURS, SYMMETRIC = (0.5, 0.75), 5, 0.05


def remove_rings(line_integrals: Tensor, *, width: float = 4.0, limit: float | None = LIMIT) -> Tensor:
    """Line integrals [..., views, (rows,) columns] without the constant errors of detector columns; differentiable.

    Args:
        line_integrals: at least 32 views; in the detector's own columns, so before any shift.
        width: columns: stripes of this width are halved, narrower ones go, wider ones stay.
        limit: errors larger than this (in line integrals; about the relative error of the element's sensitivity) are
            taken for the object and left, and so is what is symmetric about the rotation axis. None: no limit, and
            nothing is spared at the axis.

    Raises:
        ValueError: fewer views, or fewer than 5 columns.
    """
    views_axis = -2 if line_integrals.ndim == 2 else -3
    check_ring_options(width, limit, line_integrals.shape[views_axis], line_integrals.shape[-1])
    parts = line_integrals.tensor_split(SEGMENTS, dim=views_axis)
    means = torch.stack([part.mean(views_axis) for part in parts])
    stripes = ring_errors(means, width=width, limit=limit)
    return line_integrals - stripes.unsqueeze(views_axis)


def ring_errors(means: Tensor, *, width: float = 4.0, limit: float | None = LIMIT) -> Tensor:
    """Errors of the columns [..., columns] from the means of line integrals over segments, [segments, ..., columns].

    float64 inside; allocates a few times the means.
    """
    profiles = means.double().flatten(1, -2) if means.ndim > 2 else means.double()[:, None]
    smoothing = (2 * np.sin(np.pi / (2 * width))) ** -4
    whole = constant(profiles.mean(0))
    axis = None if limit is None else _twice_the_axis(whole.mean(0))
    stripes = torch.stack(
        [_stripes(profiles[:, i], row, smoothing, max(REACH, round(2 * width)), axis) for i, row in enumerate(whole)]
    )
    if limit is not None:
        alone = torch.from_numpy(_mirror(whole.shape[-1], axis) < 0).to(stripes.device)
        most = torch.where(alone, min(limit, LIMIT_ALONE), limit)
        stripes = torch.where(stripes.abs() <= most, stripes, 0.0)
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


def _stripes(segments: Tensor, profile: np.ndarray, smoothing: float, reach: int, axis: int | None) -> Tensor:
    """Errors of one row's columns that are no part of the object."""
    errors = _errors(segments, torch.from_numpy(_weights(profile, smoothing)), smoothing)
    plain = constant(errors)
    mirror = _mirror(len(plain), axis)
    left = np.where(mirror >= 0, _not_mirrored(plain, mirror), _beside_edges(plain, profile, reach))
    left = _narrow(left, reach)
    share = np.divide(left, plain, out=np.zeros_like(plain), where=plain != 0)
    return errors * torch.from_numpy(share).to(errors)


def _errors(segments: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """What stands out of the smooth fit in all of one row's means over segments, [segments, columns]."""
    high = segments - _Smooth.apply(segments * weights.to(segments.device), weights, smoothing)
    few = len(high) // 4
    middle = high.sort(0).values[few : len(high) - few]
    error, spread = middle.mean(0), MIDDLE_SPREAD * middle.var(0) / len(high)
    certain = 1 - SHRINKAGE * spread / (error.square() + 1e-30)
    return error * certain.clamp_min(0.0)


def _beside_edges(errors: np.ndarray, profile: np.ndarray, reach: int) -> np.ndarray:
    """Errors [columns], less where lines through the columns beside contradict each other, and no larger than the
    deviation from such a line.
    """
    left, right = _lines(profile, reach, 0), _lines(profile[::-1], reach, 0)[::-1]
    farther = _lines(profile, reach, 2), _lines(profile[::-1], reach, 2)[::-1]
    contradiction = np.nan_to_num(np.abs(left - right))
    usual = CONTRADICTION * float(np.quantile(np.abs(errors), USUAL))
    limit = np.maximum(usual, OWN_SHARE * np.abs(errors)) + 1e-30
    most = np.fmax.reduce([np.abs(profile - line) for line in (left, right, *farther)])
    most = np.nan_to_num(most, nan=np.inf)  # a detector too narrow for lines
    return np.clip(errors * np.clip(2 - contradiction / limit, 0, 1), -most, most)


def _lines(profile: np.ndarray, reach: int, gap: int) -> np.ndarray:
    """Each column as the least-squares line through `reach` columns before it, `gap` left out, continues; else NaN."""
    line = np.full(len(profile), np.nan)
    if len(profile) > reach + gap:
        place = np.arange(reach, 0, -1) + gap
        weights = np.linalg.pinv(np.stack([np.ones(reach), place], axis=1))[0]
        windows = np.lib.stride_tricks.sliding_window_view(profile, reach)
        line[reach + gap :] = windows[: len(profile) - reach - gap] @ weights
    return line


def _mirror(count: int, axis: int | None) -> np.ndarray:
    """Column on the other side of the axis, of each of `count` columns; -1 where there is none, and at the ends."""
    if axis is None:
        return np.full(count, -1)
    place, end = axis - np.arange(count), NEIGHBOURS // 2
    inside = (place >= end) & (place < count - end) & (place <= axis - end) & (place > axis - count + end)
    return np.where(inside, place, -1)


def _not_mirrored(errors: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Errors [columns] without those that are the same on the other side of the axis, with their neighbours."""
    from scipy import ndimage

    other = np.where(mirror >= 0, errors[mirror.clip(min=0)], 0.0)
    both = ndimage.uniform_filter1d(errors * other, NEIGHBOURS, mode="constant")
    energy = ndimage.uniform_filter1d(errors**2 + other**2, NEIGHBOURS, mode="constant") / 2
    alike = both / np.maximum(energy, 1e-30)
    low, high = MIRRORED
    return errors * (1 - np.clip((alike - low) / (high - low), 0, 1))


def _narrow(errors: np.ndarray, size: int) -> np.ndarray:
    """Errors [columns] without what lasts over `size` columns or more (a morphological opening of both signs)."""
    from scipy import ndimage

    return errors - ndimage.grey_opening(errors.clip(min=0), size) + ndimage.grey_opening((-errors).clip(min=0), size)


def _twice_the_axis(profile: np.ndarray) -> int | None:
    """Twice the column about which a profile is its own mirror image; None where it is not."""
    count, best, axis = len(profile), SYMMETRIC, None
    for twice in range(count // 4, 2 * count - 1 - count // 4):
        part = profile[max(0, twice - count + 1) : twice + 1]
        variance = part.var()
        mismatch = np.square(part - part[::-1]).mean() / (2 * variance) if variance > 0 else np.inf
        if mismatch < best:
            best, axis = mismatch, twice
    return axis


def _weights(profile: np.ndarray, smoothing: float) -> np.ndarray:
    """Weights of the columns in the smooth fit: small where a column stands out."""
    weights = np.ones_like(profile)
    for _ in range(ROUNDS):
        rest = profile - _solve(weights * profile, weights, smoothing)
        scale = max(1.4826 * np.median(np.abs(rest)), LEAST_SCALE * float(profile.std()))
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
        solved = _solve(values.detach().cpu().numpy(), weights.numpy(), smoothing)
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
