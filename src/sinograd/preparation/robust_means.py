"""Means of reference and dark images without single readings that no other image has: cosmic rays, saturated ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Fewest images that tell which of them is wrong, and the standard deviations beyond which one is.
FEWEST, OUTLYING = 3, 10.0

# Standard deviations in a median of absolute values; rows worked on at once, readings that tell the noise.
NORMAL, ROWS, SAMPLE = 1.4826, 64, 100_000


def without_outliers(means: Tensor, images: Tensor, group: np.ndarray, *, share: float, least: float = 0.0) -> Tensor:
    """Means [m, rows, columns] with those elements done again in which a reading stands out; a copy where any does.

    Args:
        means: of the images of each group.
        images: [n, rows, columns].
        group: 0 to m - 1 of each image, [n].
        share: of the median beyond which a reading stands out, and by `least`, and by ten standard deviations.
    """
    result = means
    for number in range(len(means)):
        members = np.flatnonzero(group == number).tolist()
        if len(members) < FEWEST:
            continue
        stack = images[members]
        levels = _levels(stack)
        for start in range(0, stack.shape[1], ROWS):
            part = stack[:, start : start + ROWS] / levels
            middle = part.median(0).values
            away = (part - middle).abs()
            noise = NORMAL * float(away.flatten()[:: max(1, away.numel() // SAMPLE)].nanmedian())
            bad = away > (share * middle.abs()).clamp_min(max(least, OUTLYING * noise))
            if bad.any():
                result = means.clone() if result is means else result
                good = (~bad).to(part)
                again = (torch.where(bad, 0.0, part).sum(0) / good.sum(0).clamp_min(1.0)) * levels.mean()
                target = result[number, start : start + ROWS]
                target.copy_(torch.where(bad.any(0), again, target))
    return result


def _levels(stack: Tensor) -> Tensor:
    """Brightness of each image relative to all, [n, 1, 1]: beams vary from one to the next."""
    values = stack.flatten(1)[:, :: max(1, stack[0].numel() // SAMPLE)]
    ratios = (values / values.median(0).values).nanmedian(1).values
    ratios = torch.where(torch.isfinite(ratios) & (ratios > 0), ratios, 1.0)
    return ratios[:, None, None]
