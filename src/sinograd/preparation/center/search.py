"""The coarse search for the centre of rotation: the mismatch over the whole reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sinograd.errors import InputError
from sinograd.preparation.center.comparisons import (
    Comparison,
    Conjugates,
    Seam,
    mismatch,
    seam_ends,
)
from sinograd.preparation.center.sinogram import MOST_SAMPLES, Sinograms

# Columns of the coarsest level, those it may have where views are far apart, and the part of the most pairs at any
# offset that an offset must have to be judged.
COARSE_COLUMNS, LEAST_COLUMNS = 128, 24
LEAST_SHARE = 0.05

# Neighbouring elements that share their noise, and the largest correlation that is told from 1.
SHARED, CORRELATION = 3, 1 - 1e-6

Make = Callable[[Sinograms], Comparison]


def choose_comparison(sinograms: Sinograms, most: int = MOST_SAMPLES) -> Make:
    """What to compare: the ends where a parallel scan covers half a turn, else up to `most` reversed rays."""
    ends = seam_ends(sinograms)
    return (lambda level: Conjugates(level, most)) if ends is None else lambda level: Seam(level, *ends)


@dataclass(frozen=True)
class Search:
    """The criterion over the whole reach.

    candidates, criterion: as of `Center`. pairs: how many elements with noise of their own each is judged by.
    method: the comparison's name. joined: columns that were joined to one.
    """

    candidates: np.ndarray
    criterion: np.ndarray
    pairs: np.ndarray
    method: str
    joined: int

    @property
    def best(self) -> float:
        """The candidate with the least mismatch."""
        return float(self.candidates[np.nanargmin(self.criterion)])

    def rival(self, distance: float) -> float:
        """The least mismatch of the other minima, those farther than `distance` from the best; inf without any."""
        return float(self.criterion[self._minima(distance)].min(initial=math.inf))

    def ambiguity(self, offset: float) -> float:
        """Root mean square distance of other minima from an offset, each counted by how likely it is the right one:
        exp(z^2 / 2) with Fisher's z of the correlation (1 - mismatch) in its standard deviations by noise alone.
        """
        minima = self._minima(2 * self.joined)
        best = int(np.nanargmin(self.criterion))
        correlation = np.clip(1 - self.criterion, 0, CORRELATION)
        z2 = np.arctanh(correlation) ** 2 * self.pairs
        likely = np.exp(np.minimum((z2[minima] - z2[best]) / 2, 0.0))
        return math.sqrt(float((likely * (self.candidates[minima] - offset) ** 2).sum() / (1 + likely.sum())))

    def _minima(self, distance: float) -> np.ndarray:
        """Indices of the candidates at which the criterion is least about, farther than `distance` from the best."""
        values = np.nan_to_num(self.criterion, nan=math.inf)
        padded = np.concatenate([[math.inf], values, [math.inf]])
        lowest = (values <= padded[:-2]) & (values <= padded[2:]) & np.isfinite(values)
        return np.nonzero(lowest & (abs(self.candidates - self.best) > distance))[0]


def search_center(make: Make, sinograms: Sinograms, reach: float) -> Search:
    """The criterion over the whole reach, with columns joined until about 128 are left; fewer where views are so far
    apart that only coarse detail can be followed from one to the next.
    """
    factor = 2 ** max(0, math.floor(math.log2(max(1.0, sinograms.columns / COARSE_COLUMNS))))
    most = reach * sinograms.columns
    while True:
        comparison = make(sinograms.binned(factor))
        steps = math.ceil(most / (factor / 2))
        candidates = np.arange(-steps, steps + 1) * (most / steps)
        judged = [mismatch(comparison, float(offset)) for offset in candidates]
        criterion, pairs = (np.array(column) for column in zip(*judged, strict=True))
        if pairs.max() > 0:
            break
        factor *= 2
        if sinograms.columns // factor < LEAST_COLUMNS:
            raise InputError(_nothing_twice(sinograms))
    criterion[pairs < LEAST_SHARE * pairs.max()] = np.nan
    return Search(candidates, criterion, pairs / (SHARED * (2 if comparison.twice else 1)), comparison.name, factor)


def _nothing_twice(sinograms: Sinograms) -> str:
    steps = np.append(sinograms.angles, sinograms.angles[0] + 2 * math.pi)
    arc = 360 - math.degrees(np.diff(steps).max())
    return (
        "the centre of rotation cannot be found from the projections: none of the lines of "
        f"{len(sinograms.angles)} views, {math.degrees(sinograms.step):.3g} degrees apart over {arc:.4g} degrees, was "
        "measured from both sides; give it (detector.offset), or measure half a turn and the fan angle in finer steps"
    )
