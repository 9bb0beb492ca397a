"""Stripes that last over a part of the views, or change slowly, narrow or wide: found where the object moves on."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.preparation.smooth_fit import quantile, rest
from sinograd.preparation.stripes.columns import (
    checked_size,
    filled,
    median_along_columns,
    not_mirrored,
    values_of,
    widened,
)

# Groups of neighbouring views whose means are looked at, the fewest views of one, and groups over which a stripe lasts.
GROUPS, VIEWS, LASTING = 64, 4, 13
WIDE_GROUPS = 16

# Quantile of the deviations that is usual. Of this share of the largest line integral nothing is a stripe. Share of the
# columns beyond which they are none.
USUAL, LEAST, MOST = 0.75, 1e-4, 1 / 3


# Share of the groups from which a stripe is constant over the views.
ALWAYS = 0.8

# A stripe deviates so many times more than its deviation changes: an edge that turns back there does not.
STEADY = 4.0


def level_drifting_stripes(sinograms: Tensor, *, snr: float = 5.0, size: int = 13, spare: bool = True) -> Tensor:
    """Sinograms [n, views, columns] without narrow stripes that last over a tenth of the views; differentiable.

    Means over 64 groups of views deviate from their medians along the columns. The median of that over 13 groups is
    what stays: detail of the object passes a column sooner, but close to the axis. Where it stands out, the group's
    mean is compared with the line between the columns on both sides, and the difference is taken from its views.

    Args:
        snr: so many usual deviations are a stripe; more is less sensitive.
        size: columns of the median, more than twice the widest stripe.
        spare: leave what stands out on both sides of the rotation axis: it may be round.
    """
    return _leveled(sinograms, snr, size, (GROUPS, LASTING), spare)


def level_wide_stripes(sinograms: Tensor, *, snr: float = 5.0, size: int = 51, spare: bool = True) -> Tensor:
    """The same of stripes that last over all views, up to half of `size` columns wide."""
    return _leveled(sinograms, snr, size, (WIDE_GROUPS, WIDE_GROUPS), spare)


def _leveled(sinograms: Tensor, snr: float, size: int, groups: tuple[int, int], spare: bool) -> Tensor:
    """groups: how many of all views, and of a stripe."""
    count, lasting = groups
    if not snr > 1:
        raise InputError(f"snr: expected a number above 1, got {snr}")
    views, columns = sinograms.shape[1:]
    size = min(checked_size(size, "size"), columns // 2 | 1)
    parts = sinograms.tensor_split(max(1, min(count, views // VIEWS)), 1)
    means = torch.stack([part.mean(1) for part in parts], 1)  # [n, groups, columns]
    mask = _lasting(values_of(means), snr, size, lasting, spare)
    mask = widened(mask.flatten(0, 1))
    mask &= mask.sum(1, keepdim=True) < MOST * columns
    if not bool(mask.any()):
        return sinograms
    flat = means.flatten(0, 1)
    stripes = (flat - filled(flat[:, None], mask)[:, 0]).reshape(means.shape)
    always = mask.reshape(means.shape).float().mean(1, keepdim=True) >= ALWAYS
    stripes = torch.where(always, stripes.median(1, keepdim=True).values, stripes)
    counts = torch.tensor([part.shape[1] for part in parts], device=sinograms.device)
    return sinograms - stripes.repeat_interleave(counts, 1)


def _deviations(means: Tensor, size: int) -> Tensor:
    """What stands out of the smooth part of means [n, groups, columns], up to half of `size` columns wide."""
    return rest(means.flatten(0, 1).double(), size / 2).reshape(means.shape).to(means)


def _lasting(means: Tensor, snr: float, size: int, lasting: int, spare: bool) -> Tensor:
    """Where means [n, groups, columns] stand out of the columns around over so many groups; bool."""
    deviations = _deviations(means, size)
    steady = _median_of_groups(deviations, lasting)
    usual = quantile(steady.abs().flatten(1), USUAL)[:, :, None]
    usual = torch.maximum(usual, LEAST * means.abs().amax((1, 2))[:, None, None])
    mask = steady.abs() > snr * usual
    if lasting < means.shape[1]:
        mask &= steady.abs() > STEADY * _median_of_groups((deviations - steady).abs(), lasting)
    around = steady.abs() > snr / 2 * usual
    if spare:
        largest = steady.gather(1, steady.abs().argmax(1, keepdim=True))[:, 0]
        kept = not_mirrored(torch.ones_like(largest, dtype=torch.bool), largest, means.mean(1))[:, None]
        mask, around = mask & kept, around & kept
    for _ in range(size // 4):
        mask = widened(mask.flatten(0, 1)).reshape(mask.shape) & around
    return mask


def _median_of_groups(values: Tensor, lasting: int) -> Tensor:
    """The median over so many groups of values [n, groups, columns]."""
    if lasting >= values.shape[1]:
        return values.median(1, keepdim=True).values.expand_as(values)
    return median_along_columns(values.mT.contiguous(), lasting).mT
