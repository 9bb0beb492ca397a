"""The centre of rotation to a fraction of a column, and its standard error."""

from __future__ import annotations

import math

import numpy as np

from sinograd.preparation.center.comparisons import Comparison, differences, inner
from sinograd.preparation.center.search import Make
from sinograd.preparation.center.sinogram import Sinograms

# Fewer pairs tell nothing of their noise.
LEAST_PAIRS = 16

# Blocks of rows, or of columns where there are few rows, whose parts of the slope of the mismatch are independent.
ROW_BLOCKS, COLUMN_BLOCKS = 24, 8

# Standard errors are made larger by this: the level is chosen by them, which flatters them. In Monte Carlo trials of
# all kinds of scan, errors then are 0.6 to 1.2 times what is claimed.
CAUTION = 1.5

# Error in pixels that interpolation between columns and views leaves without any noise, and the largest difference
# between two levels that counts as such.
LEAST_ERROR, LARGEST_DIFFERENCE = 0.015, 0.2


def refine_center(make: Make, sinograms: Sinograms, factor: int, offset: float) -> tuple[float, float]:
    """Offset and standard error at the level where that is smallest, from joined columns down to single ones."""
    best: tuple[float, float] | None = None
    levels: list[float] = []
    last_error = math.inf
    while True:
        found = _descend(make(sinograms.binned(factor)), offset, factor)
        if found is not None:
            new, error = found
            jump = abs(new - offset)
            if best is not None and jump > 4 * math.hypot(error, last_error) + factor:
                break  # noise has taken over
            levels.append(new)
            offset, last_error = new, error
            if best is None or error < best[1]:
                best = found
        if factor == 1:
            break
        factor //= 2
    if best is None:
        return offset, math.inf
    # the same scan at two levels: what they differ by is no noise, but what interpolation and edges of the object do
    other = min((abs(new - best[0]) for new in levels if new != best[0]), default=0.0)
    return best[0], math.hypot(best[1], LEAST_ERROR, min(other, LARGEST_DIFFERENCE) / 2)


def _descend(comparison: Comparison, offset: float, factor: int) -> tuple[float, float] | None:
    """The minimum of the mismatch near an offset by parabolas, and its standard error."""
    found = None
    for _ in range(4):
        found = _parabola(comparison, offset, factor / 2)
        if found is None or abs(found[0] - offset) < 0.02 * factor:
            break
        offset = found[0]
    return found


def _parabola(comparison: Comparison, offset: float, step: float) -> tuple[float, float] | None:
    """The minimum of a parabola through the mismatch at seven places about an offset, at most two steps from it, and
    its standard error; None where there is none.
    """
    slopes = bends = mask = None
    for k in range(-3, 4):
        one, two, pairs = comparison.pairs(offset + step * k)
        squares = np.square(differences(one - two), dtype=np.float64)
        # slope and curvature of the least-squares parabola through the seven values of every element
        slope, bend = k / (28 * step) * squares, (k * k - 4) / (84 * step**2) * squares
        if slopes is None or bends is None or mask is None:
            slopes, bends, mask = slope, bend, inner(pairs)
        else:
            slopes, bends, mask = slopes + slope, bends + bend, mask & inner(pairs)
    if slopes is None or bends is None or mask is None or int(mask.sum()) < LEAST_PAIRS:
        return None
    slopes, bends = slopes * mask, bends * mask
    curvature = float(bends.sum())
    if not curvature > 0:
        return None
    move = min(max(-float(slopes.sum()) / (2 * curvature), -2 * step), 2 * step)
    variance = _sum_variance(slopes + 2 * move * bends, mask) * (2 if comparison.twice else 1)
    return offset + move, CAUTION * math.sqrt(variance) / (2 * curvature)


def _sum_variance(values: np.ndarray, mask: np.ndarray) -> float:
    """Variance of the sum of values [rows, columns] of mean zero, from blocks that are taken as independent."""
    used = np.nonzero(mask.any(1))[0]
    if len(used) >= ROW_BLOCKS // 2:
        sums = [part.sum() for part in np.array_split(values.sum(1)[used], min(ROW_BLOCKS, len(used)))]
    else:
        sums = [part.sum(1) for part in np.array_split(values, COLUMN_BLOCKS, axis=1)]
    return float(np.square(sums).sum())
