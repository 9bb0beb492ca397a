"""Stripes of elements that do not respond, or whose readings fluctuate: found by how much they change, and filled."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.preparation.stripes.columns import (
    checked_size,
    filled,
    median_along_columns,
    not_mirrored,
    standing_out,
    values_of,
    widened,
)

VIEWS = 10  # over which readings of good elements change little


def fill_dead_stripes(sinograms: Tensor, *, snr: float = 3.0, size: int = 51, spare: bool = True) -> Tensor:
    """Sinograms [n, views, columns] without unresponsive and fluctuating columns; linear where none is chosen anew.

    Vo, Atwood and Drakopoulos 2018, algorithm 6: the sums over the views of what deviates from a moving mean along
    them, over their own median along the columns, stand out where a column hardly changes or changes all the time. Such
    columns and those beside are interpolated along the columns.

    Args:
        snr: of the detection; more is less sensitive.
        size: columns of the median, more than twice the widest stripe.
        spare: leave what stands out on both sides of the rotation axis; this is not part of the paper.
    """
    size = checked_size(size, "size")
    values = values_of(sinograms)
    change = (values - _moving_mean(values)).abs().mean(1)
    usual = median_along_columns(change, size)
    usual = torch.where(usual > 0, usual, usual.mean(1, keepdim=True).clamp_min(1e-30))
    mask = standing_out(change / usual, snr, torch.ones_like(usual[:, :1]))
    if spare:
        mask = not_mirrored(mask, change - usual, values.mean(1))
    mask = widened(mask)
    mask[:, :2] = mask[:, -2:] = False
    mask &= mask.sum(1, keepdim=True) < mask.shape[1] // 3
    return filled(sinograms, mask) if bool(mask.any()) else sinograms


def _moving_mean(values: Tensor) -> Tensor:
    """Over VIEWS views, fewer at the ends."""
    flat = values.transpose(1, 2)
    size = min(VIEWS, flat.shape[-1]) | 1
    return torch.nn.functional.avg_pool1d(flat, size, 1, size // 2, count_include_pad=False).transpose(1, 2)
