"""References that the sample was left in: their structure is that of the views, as the beam's own is not.

Divided by such references, line integrals are p_k - p_0 in place of p_k. Two things tell:

- A view that was taken as the references were has nothing left, while the others have structure of both signs. Nothing
  is left of a view without an object, too, but then the object of the others only attenuates.
- Where the sample stood elsewhere in the references, line integrals are below those of the air at both sides. Beams
  that brighten, or move along the rows, do that at the sides as well.
"""

from __future__ import annotations

import numpy as np
import torch

# Fewest views, and blocks of a view along its columns, that tell.
FEWEST_VIEWS, FEWEST_COLUMNS = 8, 8

# Rows and columns of larger blocks, of less noise, in which views are looked at that have nothing left.
LARGE = (6, 16)

# A view has nothing left with less than this share of the structure that is typical of all, and with a level no further
# from zero than this, or than this share of that structure. No structure is less than this, in line integrals.
NOTHING, LEVEL, LEVEL_SHARE, LEAST = 0.3, 0.1, 0.5, 5e-3

# Part of the squared differences from that view that is negative, beyond noise; objects that only attenuate have less.
NEGATIVE = 0.15

# Line integrals so far below those of the air at both sides, in this share of the blocks and in most views, are no
# beam's own; both sides agree in air, within this.
BELOW, BELOW_SHARE, SIDES = 0.05, 0.02, 0.025

# So many deviations of the noise are structure: of all blocks of a view, and of one.
SEEN, NOISE = 2.0, 4.0


def sample_in_references(means: np.ndarray, size: tuple[int, int]) -> float | None:
    """By how much too low line integrals are where the references have the sample; None where they have none.

    Args:
        means: transmitted fractions of blocks of each view [views, rows x columns of blocks]; views that are bad as a
            whole left out.
        size: rows and columns of blocks.
    """
    if len(means) < FEWEST_VIEWS or size[1] < FEWEST_COLUMNS:
        return None
    blocks = torch.from_numpy(means).double().reshape(-1, *size)
    large = torch.nn.functional.adaptive_avg_pool2d(blocks, (min(size[0], LARGE[0]), min(size[1], LARGE[1])))
    values, coarse = (-b.clamp_min(1e-4).log().numpy() for b in (blocks, large))
    depths = (_left_in_place(coarse, _noise(coarse)), _left_beside(values, _noise(values)))
    return max((depth for depth in depths if depth is not None), default=None)


def _left_in_place(values: np.ndarray, noise: float) -> float | None:
    """Of line integrals [views, rows, columns] of which a view has nothing left."""
    spread = np.sqrt(np.maximum(values.var(axis=(1, 2)) - noise**2, 0.0))
    typical = float(np.median(spread))
    emptiest = int(spread.argmin())
    empty = values[emptiest]
    level = max(LEVEL, LEVEL_SHARE * typical)
    if typical < max(LEAST, SEEN * noise) or spread[emptiest] > NOTHING * typical or abs(np.median(empty)) > level:
        return None
    difference = values[spread > 0.5 * typical] - empty
    left, right = (np.median(difference[:, :, i], axis=1) for i in (0, -1))
    difference -= np.minimum(left, right)[:, None, None]
    negative = np.maximum(-difference, 0.0)
    if (negative**2).mean() - noise**2 <= NEGATIVE * (difference**2).mean():
        return None
    return float(np.quantile(negative.max(axis=(1, 2)), 0.9))


def _left_beside(values: np.ndarray, noise: float) -> float | None:
    """Of line integrals [views, rows, columns] that are below those of the air beside in most views."""
    left, right = values[:, :, :1], values[:, :, -1:]
    air = np.maximum(np.abs(left - right).max(axis=1), np.ptp(left, axis=1))[:, 0] < SIDES + NOISE * noise
    if 4 * int(air.sum()) < 3 * len(values):
        return None
    relative = (values - (left + right) / 2)[air]
    depth = -np.maximum(np.quantile(relative, 0.75, axis=0), np.quantile(values[air], 0.75, axis=0))
    deep = depth > max(BELOW, NOISE * noise)
    return float(np.quantile(depth[deep], 0.9)) if deep.mean() > BELOW_SHARE else None


def _noise(values: np.ndarray) -> float:
    """Standard deviation of a block, from second differences over the views: they hardly have the object."""
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    return float(1.4826 * np.median(np.abs(second)) / 6**0.5)
