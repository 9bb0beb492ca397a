"""Errors of detector columns on both sides of the rotation axis: what is alike on both belongs to the object.

Over a full turn the mean of every object is the same on both sides of the axis, that of a round one over any arc;
errors of the detector are not. Of the errors that are looked at, those of typical size are taken for the detector's:
the difference of both sides says what is typical, as the object has no part in it. Larger ones are the object's if the
other side has them, too, within a column of the mirrored place where the axis does not lie on or midway between
columns. And no error is much larger than the difference of both sides nearby.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sinograd.preparation.smooth_fit import NORMAL, median, rest

# The relative mismatch of a profile with its mirror image up to which it has an axis; and the fewest columns on both
# sides that tell.
SYMMETRIC, FEWEST = 0.05, 24

# Twice the axis is a whole number where that costs no more than the first factor of the best mismatch; where it is so
# near, than the second.
WHOLE, NEAR, WHOLE_NEAR = 1.1, 0.1, 1.3

# An error is untypical beyond so many standard deviations; it is the object's if the other side has this part of it
# or more, with the columns beside.
UNTYPICAL, PART, BESIDE = 2.0, 0.3, 2

# Variance of the difference of two independent columns, and where one of them is interpolated, over that of one.
INDEPENDENT = (2.0, 1.7)

# No error is larger than the difference of both sides nearby, and so many median differences. Differences over more
# than so many stripe widths are none of the detector's.
MEDIANS, WIDTHS = 1.0, 6.0


def twice_the_axis(profile: np.ndarray) -> float | None:
    """Twice the column about which a profile is its own mirror image; None where it is not."""
    count, best, axis = len(profile), SYMMETRIC, None
    for twice in range(count // 4, 2 * count - 1 - count // 4):
        part = profile[max(0, twice - count + 1) : twice + 1]
        variance = part.var()
        mismatch = np.square(part - part[::-1]).mean() / (2 * variance) if variance > 0 else np.inf
        if mismatch < best:
            best, axis = mismatch, twice
    return None if axis is None else _between_columns(profile, axis)


def overlap(count: int, axis: float | None) -> tuple[int, int]:
    """First and end of the columns that the detector sees from the other side, too; (0, 0) where they are too few."""
    if axis is None:
        return 0, 0
    first, end = max(0, int(np.ceil(axis - (count - 3)))), min(count, int(np.floor(axis - 2)) + 1)
    return (first, end) if end - first >= FEWEST else (0, 0)


def not_mirrored(errors: Tensor, profiles: Tensor, axis: float, width: float) -> Tensor:
    """Errors [rows, columns] of the overlapping columns without those that are the object's.

    profiles: means over the views [rows, columns], of all columns as the errors. width: of stripes, columns.
    """
    first, end = overlap(errors.shape[1], axis)
    places = axis - torch.arange(first, end, dtype=torch.float64)
    own, other = errors[:, first:end], interpolated(errors, places)
    whole = axis == round(axis)
    typical = NORMAL * median((own - other).abs()) / INDEPENDENT[not whole] ** 0.5
    reach = 0 if whole else 1
    same = torch.where(own > 0, _largest(other, reach), _largest(-other, reach))
    size = own.abs()
    objects = torch.where((size > UNTYPICAL * typical) & (same > PART * size), size, 0.0)
    left = torch.where(_largest(objects, BESIDE) > PART * size, 0.0, own)
    apart = rest(profiles[:, first:end] - interpolated(profiles, places), WIDTHS * width).abs()
    most = _largest(apart, 1) + MEDIANS * NORMAL * median(apart)
    return up_to(left, most)


def up_to(errors: Tensor, most: Tensor) -> Tensor:
    """Errors of up to this size; of larger ones a part, from twice the size on nothing."""
    return errors * (2 - errors.abs() / (most + 1e-30)).clamp(0, 1)


def interpolated(profiles: Tensor, places: Tensor) -> Tensor:
    """Profiles [rows, columns] at fractions of columns [n]: cubic, of the four columns around (Catmull-Rom)."""
    low = (places + 1e-9).floor().clamp(1, profiles.shape[1] - 3)
    index = low.long().to(profiles.device)
    f = (places - low).to(profiles)
    a, b, c, d = (profiles[:, index + k] for k in (-1, 0, 1, 2))
    return b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))


def _between_columns(profile: np.ndarray, twice: int) -> float:
    """Twice the axis to a fraction of a column: the least median difference of the profile and its mirror image."""
    values, columns = torch.from_numpy(profile)[None], torch.arange(len(profile), dtype=torch.float64)

    def cost(at: float) -> float:
        places = at - columns
        inside = (places >= 3) & (places <= len(profile) - 4)
        if int(inside.sum()) < FEWEST:
            return np.inf
        apart = (values[:, inside] - interpolated(values, places[inside])).abs()
        return float(apart.median() + 0.05 * apart.mean())

    best, step = float(twice), 0.05
    for _ in range(2):
        best = min((best + step * k for k in range(-20, 21)), key=cost)
        step /= 20
    if cost(twice) <= WHOLE * cost(best):
        return float(twice)
    whole = round(best)
    return float(whole) if abs(best - whole) <= NEAR and cost(whole) <= WHOLE_NEAR * cost(best) else best


def _largest(values: Tensor, reach: int) -> Tensor:
    """Of each column and those up to `reach` beside it, [rows, columns]."""
    if reach == 0:
        return values
    padded = torch.nn.functional.pad(values, (reach, reach), value=-torch.inf)
    return padded.unfold(1, 2 * reach + 1, 1).amax(2)
