"""Whether a scan turned the other way than its geometry says, from lines that were measured twice.

A ray and its reversal, (a, gamma) and (a + pi - 2 gamma, -gamma), are the same line only in the right sense of
rotation; with the angles negated the second one would be (a + pi + 2 gamma, -gamma). So fan and cone beams tell the
sense. Parallel beams do not: the other sense gives the mirror image of the object, which fits as well.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sinograd.errors import InputError, ScanWarning
from sinograd.geometry import Geometry
from sinograd.preparation.center.comparisons import Conjugates, mismatch
from sinograd.preparation.center.sinogram import Sinograms, read_sinograms

# The comparison is made with columns joined until about so many are left, on at most so many samples of each sense:
# some tenths of a second, whatever the size of the scan.
_COLUMNS, _SAMPLES = 64, 100_000
_REACH = 0.12

# The other sense is better where its mismatch is less than this share of the geometry's own, which must be larger than
# what interpolation leaves; and by so many standard deviations of the noise. A right scan of the walnut in
# docs/howto/walnut.md has 0.005 and, negated, 0.39. An object that looks alike from every side has the same in both.
_SHARE, _LEAST, _DEVIATIONS = 0.5, 0.01, 6.0


@dataclass(frozen=True)
class Senses:
    """The least mismatch of conjugate rays at any centre of rotation, 0 for equal and 1 for unrelated ones.

    Attributes:
        given: with the angles of the geometry.
        negated: with the angles negated.
        pairs: how many independent pairs both are means of, about.
    """

    given: float
    negated: float
    pairs: float

    @property
    def is_reversed(self) -> bool:
        """Whether the other sense fits clearly better."""
        if not (self.given > _LEAST and self.negated < _SHARE * self.given):
            return False
        deviation = math.sqrt(4 / max(self.pairs, 1.0))
        return math.log(self.given / max(self.negated, 1e-30)) > _DEVIATIONS * deviation

    def __str__(self) -> str:
        return (
            "the views fit a scan that turns the other way better (mismatch of conjugate rays "
            f"{self.negated:.2g} instead of {self.given:.2g}): negate the angles of the geometry, or read the file "
            "with `reverse=True` where its format has that option"
        )


def compare_senses(sinograms: Sinograms, reach: float = _REACH) -> Senses | None:
    """Both senses of rotation; None for parallel beams and where too few lines were measured twice to tell."""
    if not sinograms.divergent:
        return None
    factor = 2 ** max(0, math.floor(math.log2(max(1.0, sinograms.columns / _COLUMNS))))
    joined = sinograms.binned(factor)
    given, negated = (_least(Conjugates(side, _SAMPLES), reach) for side in (joined, joined.negated()))
    if given is None or negated is None:
        return None
    return Senses(given[0], negated[0], min(given[1], negated[1]))


def warn_of_rotation(projections: Any, geometry: Geometry) -> None:
    """A ScanWarning where the views of a fan or cone beam fit the other sense of rotation better.

    It says nothing of parallel beams, orbits that are no circle and scans in which too few lines were measured twice.
    Reads the rows next to the plane of the orbit. projections: line integrals [views, (rows,) columns].
    """
    if not geometry.divergent:
        return
    try:
        with torch.no_grad():
            senses = compare_senses(read_sinograms(projections, geometry, None, None))
    except (InputError, NotImplementedError):  # not defined for this orbit
        return
    if senses is not None and senses.is_reversed:
        warnings.warn(str(senses), ScanWarning, stacklevel=2)


def _least(comparison: Conjugates, reach: float) -> tuple[float, float] | None:
    """The least mismatch at any offset within the reach, and its pairs; None without pairs."""
    columns = comparison.columns
    offsets = np.arange(-reach * columns, reach * columns + 0.25, 0.5)
    found = [mismatch(comparison, float(offset)) for offset in offsets]
    most = max(pairs for _, pairs in found)
    enough = [(value, pairs) for value, pairs in found if pairs > 0.2 * most]
    return min(enough) if enough else None
