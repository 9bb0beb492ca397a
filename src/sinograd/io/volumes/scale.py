"""The scale of whole numbers that stand for values: value = slope * stored + intercept."""

from __future__ import annotations

import math
from typing import Any

from sinograd.errors import InputError


def checked_scale(scale: Any) -> tuple[float, float]:
    """Slope and intercept; InputError for a scale that is none."""
    numbers = list(scale) if isinstance(scale, list | tuple) else []
    if len(numbers) != 2 or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers) or not numbers[0]:
        raise InputError(f"scale must be two numbers, slope and intercept, got {scale!r:.60}")
    slope, intercept = (float(n) for n in numbers)
    return slope, intercept
