"""Losses for images in [0, 1]: how values get there, and the check that they do."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from sinograd.errors import InputError

Window = tuple[float, float] | None

_LEAST_INSIDE = 0.01  # of the targets' values, else the window is for other data
_ROUNDING = 1e-3  # beyond [0, 1], of interpolation and float32


class UnitRange:
    """What losses of images in [0, 1] share: the option `window` and the check of training targets.

    Args:
        window: (low, high) in the unit of the data: these become 0 and 1. Targets beyond are clipped, and a prediction
            counts as right that lies beyond on the same side. None: values over the scale must lie in [0, 1].
    """

    def __init__(self, window: Window = None) -> None:
        if window is not None:
            low, high = window
            if not -math.inf < low < high < math.inf:
                raise InputError(f"window: expected two finite numbers, low < high, got {tuple(window)}")
        self.window = None if window is None else (float(window[0]), float(window[1]))

    def in_unit_range(self, predicted: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Prediction and target, 0 to 1."""
        if self.window is None:
            return predicted / scale, target / scale
        low, high = self.window
        predicted, target = ((values - low) / (high - low) for values in (predicted, target))
        predicted = torch.where(target >= 1, predicted.clamp_max(1), predicted)
        return torch.where(target <= 0, predicted.clamp_min(0), predicted), target.clamp(0, 1)

    def check_targets(self, targets: Iterable[Tensor], *, scale: float) -> None:
        """InputError unless the targets of training lie in [0, 1], or some of them inside the window."""
        low, high, inside, count = math.inf, -math.inf, 0, 0
        first, last = (0.0, scale) if self.window is None else self.window
        for target in targets:
            low, high = min(low, float(target.min())), max(high, float(target.max()))
            inside += int(((target > first) & (target < last)).sum())
            count += target.numel()
        if not count:
            return
        reach = f"the training targets reach from {low:.4g} to {high:.4g}"
        if self.window is None:
            if min(low, scale - high) < -_ROUNDING * scale:
                over = "" if scale == 1 else f" (of the scale {scale:.4g})"
                words = "(low, high) in their unit, such as [-160, 240] in HU"
                raise InputError(f"window: expected {words}, as this loss needs values in [0, 1]{over} and {reach}")
        elif inside < _LEAST_INSIDE * count:
            share = 100 * (1 - inside / count)
            raise InputError(f"window: [{first:g}, {last:g}] clips {share:.3g} % of the values, {reach}")
