"""Air that is cut off at the detector's limit: it has no noise, where darker readings have.

A white level and a saturated open beam have the same values. Light has noise, though: around a white level readings
lie on both sides of it, so that about as many are a little below the largest value as are at it. Where the beam is
brighter than the detector counts, all readings of air are at the largest value, and next to none are just below.
Views without any noise tell nothing.
"""

from __future__ import annotations

from torch import Tensor

# Shares of the largest value between which readings tell the noise, and the fewest that do.
BAND, LEAST = (0.3, 0.97), 100

# Readings at the largest value that make air, as a share of all; so many times those within three standard deviations
# below it. Noise of less than so many counts may be that of rounding.
AIR, MANY_TIMES, LEAST_NOISE = 0.02, 10.0, 1.0

# Standard deviations of the second over the first differences along columns and rows: 3^0.5 of noise, below 1 of what
# is smooth.
ROUGH = 1.4

# Standard deviations in a median of absolute values.
NORMAL = 1.4826


def is_clipped(pairs: Tensor, limit: float) -> bool:
    """Whether air is cut off at `limit`.

    Args:
        pairs: counts of neighbouring views [n, 2, rows, columns].
        limit: the largest value.
    """
    noise = _noise(pairs, limit)
    top = int((pairs >= limit).sum())
    if noise is None or top < AIR * pairs.numel():
        return False
    below = int(((pairs >= limit - 3 * noise) & (pairs < limit)).sum())
    return top > MANY_TIMES * below


def _noise(pairs: Tensor, limit: float) -> float | None:
    """Standard deviation of readings, counts; None where they have none, or none that is told from structure."""
    good = ((pairs > BAND[0] * limit) & (pairs < BAND[1] * limit)).all(1)
    change = pairs[:, 1] - pairs[:, 0]
    noise = None
    for axis in (-1, -2):  # structure is smooth along one of them
        if change.shape[axis] < 3:
            continue
        length = change.shape[axis]
        first, second = change.diff(dim=axis).narrow(axis, 1, length - 2), change.diff(n=2, dim=axis)
        usable = good.unfold(axis, 3, 1).all(-1)
        if int(usable.sum()) < LEAST:
            return None
        one, two = (NORMAL * float(d[usable].abs().median()) for d in (first, second))
        if one / 2 <= LEAST_NOISE or two <= ROUGH * one:
            return None
        noise = one / 2 if noise is None else min(noise, one / 2)
    return noise
