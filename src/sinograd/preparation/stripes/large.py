"""Strong and wide stripes: found in the mean over the views, and replaced by readings of the columns around."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.preparation.stripes.columns import (
    checked_size,
    median_along_columns,
    mirrored_index,
    not_mirrored,
    values_of,
    widened,
)

# Parts of the views, in each of which a stripe is the same and the object is not.
SEGMENTS = 8

# Quantile of the deviations of all columns that is usual. Of this share of the largest line integral nothing is a
# stripe.
USUAL, LEAST = 0.75, 1e-4


def replace_large_stripes(
    sinograms: Tensor, *, snr: float = 3.0, size: int = 51, normalize: bool = False, spare: bool = True
) -> Tensor:
    """Sinograms [n, views, columns] without stripes that stand out of the columns around; differentiable.

    Vo, Atwood and Drakopoulos 2018, algorithm 5: readings of each column in order of size, their medians along the
    columns, put back in the order of the views, replace those of stripes. What stands out is looked for in the mean
    over the views there; here it has to do so in most of eight parts of them, which detail of the object does not.

    Args:
        snr: so many usual deviations are a stripe; more is less sensitive.
        size: columns of the median, more than twice the widest stripe.
        normalize: take the deviation of each column's mean from all columns, as the paper does; narrow objects near the
            axis go with it.
        spare: leave what stands out on both sides of the rotation axis; this is not part of the paper.
    """
    if not snr > 1:
        raise InputError(f"snr: expected a number above 1, got {snr}")
    size = min(checked_size(size, "size"), sinograms.shape[2] // 2 | 1)
    profiles = sinograms.mean(1)
    mask = _stripes(values_of(sinograms), snr, size, spare)
    mask = widened(mask)
    result = sinograms
    if normalize:
        result = sinograms - (profiles - median_along_columns(profiles, size))[:, None]
    rows = mask.any(1).nonzero()[:, 0].tolist()
    if not rows:
        return result
    return torch.stack([
        _replaced(result[k], sinograms[k], mask[k], size) if k in rows else result[k] for k in range(len(sinograms))
    ])  # fmt: skip


def _stripes(sinograms: Tensor, snr: float, size: int, spare: bool) -> Tensor:
    """Columns [n, columns] that stand out in most parts of the views, with those around that do so a little."""
    parts = torch.stack([part.mean(1) for part in sinograms.tensor_split(min(SEGMENTS, sinograms.shape[1]), 1)])
    errors = (parts - median_along_columns(parts, size)).median(0).values
    usual = errors.abs().quantile(USUAL, dim=1, keepdim=True)
    usual = torch.maximum(usual, LEAST * sinograms.abs().amax((1, 2))[:, None])
    mask, around = errors.abs() > snr * usual, errors.abs() > usual
    if spare:
        mask = not_mirrored(mask, errors, sinograms.mean(1))
    for _ in range(size // 4):
        mask = widened(mask) & around
    return mask


def _replaced(result: Tensor, sinogram: Tensor, mask: Tensor, size: int) -> Tensor:
    """One sinogram [views, columns] with its masked columns replaced."""
    columns = mask.nonzero()[:, 0]
    around = mirrored_index(sinogram.shape[1], size // 2).to(mask.device).unfold(0, size, 1)[columns]  # [stripes, size]
    needed, place = around.unique(return_inverse=True)
    ranked = sinogram[:, needed].sort(0).values
    medians = ranked[:, place].median(-1).values  # [views, stripes], by rank
    rank = sinogram[:, columns].argsort(0).argsort(0)
    return result.index_copy(1, columns, medians.gather(0, rank))
