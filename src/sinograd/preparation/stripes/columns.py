"""Columns of sinograms that stand out: medians along columns, detection, and filling from the columns beside.

N. T. Vo, R. C. Atwood, M. Drakopoulos, "Superior techniques for eliminating ring artifacts in X-ray micro-tomography",
Optics Express 26(22), 28396, 2018: algorithm 4 detects stripes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant, recorded
from sinograd.preparation.mirrored import twice_the_axis

# The noise of a profile is at least this share of its largest value: sums of float32 are no better.
LEAST_NOISE = 2e-5

# What the other side of the axis has of a deviation for it to be the object's.
PART = 0.5

# Elements of the windows of a median that are worked on at once.
BLOCK = 1 << 24


def checked_size(size: int, name: str) -> int:
    """An odd window of columns; InputError for one below 3."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 3:
        raise InputError(f"{name}: expected at least 3 columns, got {size!r}")
    return size | 1


def values_of(tensor: Tensor) -> Tensor:
    """The numbers of a tensor, through which no derivative passes."""
    return torch.from_numpy(constant(tensor)).to(tensor.device)


def median_along_columns(values: Tensor, size: int) -> Tensor:
    """The median of each element and its neighbours along the last axis, mirrored at the ends; differentiable."""
    rows = values.reshape(-1, values.shape[-1])
    if size // 2 < values.shape[-1] and not recorded(values) and bool(torch.isfinite(values).all()):
        return _running_medians(rows, size).reshape(values.shape)
    index = mirrored_index(values.shape[-1], size // 2).to(values.device)
    parts = rows.split(max(1, BLOCK // (size * values.shape[-1])))
    medians = [part[:, index].unfold(1, size, 1).median(-1).values for part in parts]
    return torch.cat(medians).reshape(values.shape)


def _running_medians(rows: Tensor, size: int) -> Tensor:
    """The same of finite numbers, without derivatives, in a tenth of the time: all rows one after another as a line."""
    from scipy.ndimage import median_filter

    reach = size // 2
    medians = []
    for part in rows.split(max(1, BLOCK // (rows.shape[1] + 2 * reach))):
        wide = np.pad(part.detach().cpu().numpy(), ((0, 0), (reach, reach)), mode="symmetric")
        medians.append(median_filter(wide.ravel(), size).reshape(wide.shape)[:, reach:-reach])
    return torch.from_numpy(np.concatenate(medians)).to(rows.device)


def mirrored_index(count: int, reach: int) -> Tensor:
    """Indices -reach ... count - 1 + reach, mirrored at the ends so that the first one comes twice."""
    index = torch.arange(-reach, count + reach) % (2 * count)
    return torch.where(index < count, index, 2 * count - 1 - index)


def standing_out(profiles: Tensor, snr: float, level: Tensor) -> Tensor:
    """Which columns stand out of profiles [n, columns] that are flat otherwise; bool.

    A line through the middle half of the sorted values says how far values go without stripes.

    Args:
        snr: how far beyond a value must be, in units of that range; more is less sensitive.
        level: [n, 1], values of which LEAST_NOISE is noise.
    """
    if not snr > 1:
        raise InputError(f"snr: expected a number above 1, got {snr}")
    values = values_of(profiles).double()
    count = values.shape[1]
    ranked = values.sort(1).values
    few = count // 4
    place = torch.arange(count, dtype=torch.float64, device=values.device)
    middle, at = ranked[:, few : count - few], place[few : count - few]
    slope = ((at - at.mean()) * middle).sum(1, keepdim=True) / (at - at.mean()).square().sum()
    low = middle.mean(1, keepdim=True) - slope * at.mean()
    high = low + slope * place[-1]
    noise = torch.maximum((high - low).abs(), LEAST_NOISE * values_of(level).double())
    above = (ranked[:, -1:] - high >= snr * noise) & (values > high + noise * snr / 2)
    below = (low - ranked[:, :1] >= snr * noise) & (values < low - noise * snr / 2)
    return above | below


def widened(mask: Tensor) -> Tensor:
    """With the columns beside, [n, columns]."""
    return torch.nn.functional.max_pool1d(mask.float(), 3, 1, 1) > 0


def not_mirrored(mask: Tensor, deviations: Tensor, profiles: Tensor) -> Tensor:
    """Columns [n, columns] that do not stand out the same way on the other side of the axis: what does is the object's.

    deviations: by which columns stand out. profiles: means over the views; nothing is spared where they have no axis.
    """
    axis = twice_the_axis(constant(profiles).astype(np.float64).mean(0))
    if axis is None:
        return mask
    count = mask.shape[1]
    places = round(axis) - torch.arange(count, device=mask.device)
    same = torch.zeros_like(mask)
    for beside in (-1, 0, 1):
        other = places + beside
        seen = (other >= 0) & (other < count)
        there = deviations[:, other.clamp(0, count - 1)]
        same |= seen & (there * deviations > PART * deviations.square())
    return mask & ~same


def filled(sinograms: Tensor, mask: Tensor) -> Tensor:
    """Sinograms [n, views, columns] with masked columns [n, columns] interpolated from the next ones on both sides.

    Linear, and differentiable. A sinogram whose columns are all masked stays as it is.
    """
    count = mask.shape[1]
    place = torch.arange(count, device=mask.device).expand_as(mask)
    before = torch.where(mask, -1, place).cummax(1).values
    behind = torch.where(mask, count, place).flip(1).cummin(1).values.flip(1)
    none = (before < 0) & (behind >= count)
    left = torch.where(before < 0, behind, before).clamp(max=count - 1)
    right = torch.where(behind >= count, before, behind).clamp(min=0)
    weight = ((place - left) / (right - left).clamp(min=1)).to(sinograms)[:, None]
    shape = (-1, sinograms.shape[1], -1)
    low = sinograms.gather(2, left[:, None].expand(shape))
    high = sinograms.gather(2, right[:, None].expand(shape))
    return torch.where((mask & ~none)[:, None], low + weight * (high - low), sinograms)
