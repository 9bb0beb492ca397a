"""The centre of rotation to a fraction of a column, and its standard error.

The error has three parts, added in squares. *Noise*: the curvature of the mismatch and how much its slope differs
between parts of the scan (the sandwich estimate of H. White, Econometrica 50(1), 1982). *Sampling*: columns are points
of rows with edges finer than they are, which moves the centre without any noise; how much is measured on the same scan
with every second and every third column, where it is several times larger (and where ends of a half turn are compared,
with fits over one view more). *Ambiguity*: the distance to other minima
of the mismatch, as far as chance may have made them the larger ones (`Search.ambiguity`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sinograd.preparation.center.comparisons import Comparison, differences, inner
from sinograd.preparation.center.search import Make, Search
from sinograd.preparation.center.sinogram import Sinograms

# Fewer pairs tell nothing of their noise.
LEAST_PAIRS = 16

# Blocks of rows, or of columns where there are few rows, whose parts of the slope of the mismatch are independent.
ROW_BLOCKS, COLUMN_BLOCKS = 24, 8

# The error of noise is made larger by this: the level is chosen by it, which flatters it.
CAUTION = 1.5

# How much smaller the error of sampling is than what half and a third of the columns differ by (deviation between the
# two, and between the three), fewest columns that these may have, and the least error of sampling, pixels.
THINNED = ((2, 2.5), (3, 3.5))
LEAST_THINNED = 24
LEAST_ERROR = 0.01


def refine_center(make: Make, sinograms: Sinograms, search: Search) -> tuple[float, float]:
    """Offset and standard error, pixels, at the level where noise errs least, from joined columns to single ones."""
    best: tuple[float, float, int] | None = None
    factor, offset, last_error = search.joined, search.best, math.inf
    while True:
        found = _descend(make(sinograms.binned(factor)), offset, factor)
        if found is not None:
            new, error = found
            jump = abs(new - offset)
            if best is not None and jump > 4 * math.hypot(error, last_error) + factor:
                break  # noise has taken over
            offset, last_error = new, error
            if best is None or error < best[1]:
                best = (*found, factor)
        if factor == 1:
            break
        factor //= 2
    if best is None:
        return offset, math.inf
    offset, noise, factor = best
    sampling = _sampling_error(make, sinograms.binned(factor), offset, factor)
    return offset, math.hypot(noise, sampling, LEAST_ERROR, search.ambiguity(offset))


def _sampling_error(make: Make, sinograms: Sinograms, offset: float, factor: int) -> float:
    """What columns and views as far apart as these err by, from what parts of them differ by."""
    coarser = make(sinograms).coarser()
    moved = None if coarser is None else _descend(coarser, offset, factor)
    errors = [0.0 if moved is None else abs(moved[0] - offset)]
    for every, smaller in THINNED:
        if sinograms.columns // every < LEAST_THINNED:
            continue
        parts = [sinograms.thinned(every, first) for first in range(every)]
        found = [_descend(make(part), offset, every * factor) for part in parts]
        offsets = [part[0] for part in found if part is not None]
        if len(offsets) > 1:
            errors.append(float(np.std(offsets)) / smaller)
    return max(errors)


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
    twice = 2 if comparison.twice else 1
    variance = _sum_variance(slopes + 2 * move * bends, mask) * twice
    error = CAUTION * math.sqrt(variance) / (2 * curvature)
    return offset + move, error * math.hypot(1, error / step)


def _sum_variance(values: np.ndarray, mask: np.ndarray) -> float:
    """Variance of the sum of values [rows, columns] of mean zero, from blocks that are taken as independent."""
    used = np.nonzero(mask.any(1))[0]
    if len(used) >= ROW_BLOCKS // 2:
        return _block_variance([part.sum() for part in np.array_split(values.sum(1)[used], min(ROW_BLOCKS, len(used)))])
    # an edge of the object that lies on an end of a block adds to two what cancels in one: other ends, the median
    width = max(values.shape[1] // COLUMN_BLOCKS, 1)
    ends = (range(first, values.shape[1], width) for first in range(0, width, max(width // 4, 1)))
    return float(np.median([_block_variance(np.add.reduceat(values, list(end), axis=1)) for end in ends]))


def _block_variance(sums: Any) -> float:
    """Variance of the sum of blocks' sums. That it is zero takes one of their degrees of freedom; few blocks have the
    wider t distribution.
    """
    count = np.size(sums)
    return float(np.square(sums).sum()) * count / (count - 1) * (1 + 2.5 / count)
