"""Ring reduction: constant errors of detector columns, told from the object by their constancy.

S. Titarenko, P. J. Withers, A. Yagola, "An analytical formula for ring artefact suppression in X-ray tomography",
Applied Mathematics Letters 23(12), 2010: the stripes o of a sinogram with the mean m over its views minimise
|D (m - o)|^2 + a |o|^2. With second differences D (E. X. Miqueles, J. Rinkel, F. O'Dowd, J. S. V. Bermudez,
"Generalized Titarenko's algorithm for ring artefacts reduction", Journal of Synchrotron Radiation 21, 2014) that is
o = m - b, b = (1 + 1/a D'D)^-1 m. b is fitted robustly, so that strong stripes do not bend it.

The scan is cut into segments: an error of the detector is the same in each, detail of the object is not, so that o is
the mean of the middle half of the segments and shrinks by 1 - SHRINKAGE (its standard error / its size)^2, or to zero.
What stands still in all segments may still be the object, if it is round and stands on the axis: then it is the same
on both sides of the axis, which errors are not (`mirrored`). Where the detector does not reach to the other side, a
ring and an edge of a round object are the same. There errors are reduced up to the size that is typical where both
sides are seen, or up to a small part of what the object changes by from segment to segment; larger ones are left, and
so are those beside edges, which lines through the columns beside tell: they contradict each other there. And what
deviates in more columns than a stripe has is none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant
from sinograd.preparation.mirrored import UNTYPICAL, not_mirrored, overlap, twice_the_axis, up_to
from sinograd.preparation.smooth_fit import NORMAL, fit, median, robust_weights, smoothness

SEGMENTS = 16

# Means over segments that are worked on at once.
BLOCK = 1 << 20

# The largest error that is reduced, and where the detector does not reach to the other side of the axis.
LIMIT, LIMIT_ALONE = 1.0, 0.1
SHRINKAGE = 4.0

# Variance of the mean of the middle half, from the variance of its values, times their number: 8 for a normal
# distribution, less for one with tails, as detail of the object that passes makes.
MIDDLE_SPREAD = 4.0

# Where there is no other side: the largest error as a share of the standard deviation of the smooth part over the
# segments, and the share of the largest line integral below which columns nearby see air, and any error is one.
MOVING, AIR = 0.05, 0.02

# Columns of the lines on either side; their contradiction that makes an edge: so many times what the stripes of all
# columns explain, or this share of the stripe itself. Between once and twice that, the error is reduced in part.
REACH, CONTRADICTION, USUAL, OWN_SHARE = 8, 3.0, 0.8, 0.4


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

    float64 inside, a block of rows at a time.
    """
    segments = means.flatten(1, -2) if means.ndim > 2 else means[:, None]
    columns = segments.shape[2]
    axis = None if limit is None else twice_the_axis(constant(segments.mean((0, 1), dtype=torch.float64)))
    rows = max(1, BLOCK // (len(segments) * columns))
    stripes = torch.cat([_stripes(block.double(), width, axis, limit is not None) for block in segments.split(rows, 1)])
    if limit is not None:
        first, end = overlap(columns, axis)
        most = torch.full((columns,), min(limit, LIMIT_ALONE), dtype=stripes.dtype, device=stripes.device)
        most[first:end] = limit
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


def _stripes(segments: Tensor, width: float, axis: float | None, spare: bool) -> Tensor:
    """Errors of the columns [rows, columns] that are no part of the object, from [segments, rows, columns]."""
    profiles = segments.mean(0)
    weights, smoothing = robust_weights(profiles, smoothness(width)), smoothness(width)
    smooth = fit(segments * weights, weights, smoothing)
    errors = _errors(segments - smooth)
    first, end = overlap(profiles.shape[1], axis)
    reach = max(REACH, round(2 * width))
    alone = _narrow(_beside_edges(errors, profiles, reach), reach)
    if not spare:
        return alone
    most = _that_no_object_has(smooth, reach)
    if axis is None or end <= first:
        return up_to(alone, most)
    both = not_mirrored(errors, profiles, axis, width)
    alone = up_to(alone, torch.maximum(most, UNTYPICAL * NORMAL * median(both.abs())))
    return _narrow(torch.cat([alone[:, :first], both, alone[:, end:]], 1), reach)


def _that_no_object_has(smooth: Tensor, reach: int) -> Tensor:
    """The largest errors [rows, columns] that no edge of the object which stands still explains.

    smooth: [segments, rows, columns]. What moves from segment to segment has no such edge; in air there is none.
    """
    level = smooth.mean(0).abs()
    moves = (smooth - smooth.mean(0)).square().mean(0).sqrt()
    nearby = torch.nn.functional.max_pool1d(level, 2 * reach + 1, 1, reach)
    return torch.where(nearby < AIR * level.amax(1, keepdim=True), torch.inf, MOVING * moves)


def _errors(high: Tensor) -> Tensor:
    """What stands out in all segments [segments, rows, columns]: [rows, columns]."""
    few = len(high) // 4
    middle = high.sort(0).values[few : len(high) - few]
    error, spread = middle.mean(0), MIDDLE_SPREAD * middle.var(0) / len(high)
    certain = 1 - SHRINKAGE * spread / (error.square() + 1e-30)
    return error * certain.clamp_min(0.0)


def _beside_edges(errors: Tensor, profiles: Tensor, reach: int) -> Tensor:
    """Errors [rows, columns], less where lines through the columns beside contradict each other, and no larger than the
    deviation from such a line.
    """
    count = profiles.shape[1]
    near, far = _lines(profiles, reach, 0), _lines(profiles, reach, 2)
    left, right = near
    both = torch.arange(count, device=errors.device)
    both = (both >= reach) & (both < count - reach)
    contradiction = torch.where(both, (left - right).abs(), 0.0)
    usual = CONTRADICTION * errors.abs().quantile(USUAL, dim=1, keepdim=True)
    limit = torch.maximum(usual, OWN_SHARE * errors.abs()) + 1e-30
    deviations = torch.stack([(profiles - line).abs() for line in (*near, *far)])
    most = torch.where(deviations.isnan(), -torch.inf, deviations).amax(0)
    most = torch.where(most < 0, torch.inf, most)  # a detector too narrow for lines
    kept = errors * (2 - contradiction / limit).clamp(0, 1)
    return torch.minimum(torch.maximum(kept, -most), most)


def _lines(profiles: Tensor, reach: int, gap: int) -> tuple[Tensor, Tensor]:
    """Each column as the least-squares line through `reach` columns before it, and behind it, continues; else NaN.

    `gap` columns beside it are left out.
    """
    count = profiles.shape[1]
    missing = profiles.new_full((len(profiles), min(reach + gap, count)), torch.nan)
    if count <= reach + gap:
        return missing, missing
    place = torch.arange(reach, 0, -1, dtype=profiles.dtype, device=profiles.device) + gap
    weights = torch.linalg.pinv(torch.stack([torch.ones_like(place), place], 1))[0]
    windows = profiles.unfold(1, reach, 1)
    before = windows[:, : count - reach - gap] @ weights
    behind = windows[:, gap + 1 :] @ weights.flip(0)
    return torch.cat([missing, before], 1), torch.cat([behind, missing], 1)


def _narrow(errors: Tensor, size: int) -> Tensor:
    """Errors [rows, columns] without what lasts over `size` columns or more (a morphological opening of both signs)."""
    return errors - _opening(errors.clamp_min(0), size) + _opening((-errors).clamp_min(0), size)


def _opening(values: Tensor, size: int) -> Tensor:
    """The largest of the smallest values of windows [rows, columns]: beyond the ends there are none."""
    before = size // 2
    for sign, pads in ((-1, (before, size - 1 - before)), (1, (size - 1 - before, before))):
        padded = torch.nn.functional.pad(sign * values, pads, value=-torch.inf)
        values = sign * padded.unfold(1, size, 1).amax(2)
    return values
