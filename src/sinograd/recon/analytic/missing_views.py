"""Which views a scan lacks: source angles that would complete it."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from sinograd.recon.analytic.angular import AngularSampling

# Arcs of fewer bins are rounding at the edge of a gap, and so are holes between two arcs.
_LEAST_BINS = 2


def missing_views(seen: Tensor, fan: Tensor, sampling: AngularSampling, divergent: bool) -> tuple[tuple[int, int], ...]:
    """Arcs (first bin, number of bins) of source angles that would measure every ray that was not seen.

    A ray is measured by a view or, reversed, by another one; so bins are taken from the end of each measured arc
    onwards, each where it has a ray that neither the scan nor a bin before measures.

    Args:
        seen: which rays were measured from either side, bool [bins of a turn, fans].
        fan: fan coordinates of the rays, symmetric about 0, [fans].
        sampling: of the views.
        divergent: whether the fan is one of angles, rad.
    """
    lost = ~seen.numpy()
    bins = len(lost)
    steps = np.rint(fan.numpy() * (2 if divergent else 0) / (2 * math.pi) * bins).astype(int)
    taken = np.zeros(bins, dtype=bool)
    first = round(sampling.gaps[0][0] / (2 * math.pi) * bins) if sampling.gaps else 0
    for step in range(bins):
        at = (first + step) % bins
        rays = lost[at]
        if rays.any():
            taken[at] = not taken[(at + bins // 2 - steps[rays]) % bins].all()
    return _runs(taken, first)


def _runs(taken: np.ndarray, first: int) -> tuple[tuple[int, int], ...]:
    """Runs of bins, in the order of the sweep."""
    bins = len(taken)
    indices = np.flatnonzero(np.roll(taken, -first))
    if len(indices) == 0:
        return ()
    parts = np.split(indices, np.flatnonzero(np.diff(indices) > _LEAST_BINS) + 1)
    return tuple(
        ((first + int(part[0])) % bins, int(part[-1] - part[0]) + 1)
        for part in parts
        if part[-1] - part[0] + 1 >= _LEAST_BINS
    )
