"""Whether another centre of rotation fits clearly better than the geometry's own, from a few rows.

`check_center` takes a share of the work of `find_center` (at most some hundred thousand samples, whatever the size of
the scan), raises and warns nothing, and is meant for scans whose centre was not searched for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.preparation.center.comparisons import mismatch
from sinograd.preparation.center.refine import refine_center
from sinograd.preparation.center.search import SHARED, choose_comparison, search_center
from sinograd.preparation.center.sinogram import Sinograms, read_sinograms

_SAMPLES = 200_000
_REACH = 0.12

# Another centre is clearly better where it lies at least so many columns, and so many standard errors, away, and where
# its mismatch is smaller by so many standard deviations of the noise: of the difference of both (Wilks's theorem: pairs
# x (nominal / best - 1) is the square of a normal number where both fit equally well), and by at least a quarter; or of
# their logarithms, as if they were two measurements.
_LEAST_OFFSET, _ERRORS, _DEVIATIONS, _LEAST_RATIO = 0.5, 4.0, 6.0, 1.33


@dataclass(frozen=True)
class CenterCheck:
    """The centre of rotation that fits best beside the geometry's own.

    Attributes:
        offset_pixels: how far the detector stands along +u from where the geometry puts it, columns, as
            `Center.offset_pixels`.
        standard_error: of offset_pixels, columns.
        criterion: mismatch of lines measured twice at the best centre, 0 for equal and 1 for unrelated ones.
        nominal_criterion: the same at the geometry's own centre.
        pairs: how many independent pairs both are means of, about.
    """

    offset_pixels: float
    standard_error: float
    criterion: float
    nominal_criterion: float
    pairs: float

    @property
    def is_clearly_better(self) -> bool:
        """Whether the best centre is another one than the geometry's beyond the noise."""
        least = max(_LEAST_OFFSET, _ERRORS * self.standard_error)
        if not (abs(self.offset_pixels) > least and self.nominal_criterion > 0):
            return False
        pairs = max(self.pairs, 1.0)
        apart = math.exp(_DEVIATIONS * math.sqrt(4 / pairs))
        together = max(_LEAST_RATIO, 1 + _DEVIATIONS**2 / pairs)
        return self.nominal_criterion / max(self.criterion, 1e-30) > min(apart, together)


def check_center(projections: Any, geometry: Geometry, *, reach: float = _REACH) -> CenterCheck | None:
    """Compare the geometry's centre of rotation with the one that fits best; a few tenths of a second of one core.

    Reads the rows that `find_center` reads: those next to the plane of the orbit, up to eight bands of a parallel beam.

    Args:
        projections: line integrals [views, (rows,) columns]; a tensor, an array, or lazy ones (`Scan.projections`).
        geometry: as the file has it.
        reach: the largest offset to look for, as a share of the detector's width.

    Returns:
        None where no centre can be found from the projections: an orbit that is no circle, no line measured twice,
        values that are not finite.
    """
    try:
        with torch.no_grad():
            return compare_centers(read_sinograms(projections, geometry, None, None), reach)
    except (InputError, NotImplementedError):  # not defined for this orbit
        return None


def compare_centers(sinograms: Sinograms, reach: float = _REACH) -> CenterCheck:
    """`check_center` of sinograms that were read.

    Raises:
        InputError: no line was measured twice.
    """
    make = choose_comparison(sinograms, _SAMPLES)
    search = search_center(make, sinograms, reach)
    offset, error = refine_center(make, sinograms, search)
    level = make(sinograms.binned(search.joined))
    best, pairs = mismatch(level, offset)
    nominal, pairs_nominal = mismatch(level, 0.0)
    shared = SHARED * (2 if level.twice else 1)
    return CenterCheck(offset, error, best, nominal, min(pairs, pairs_nominal) / shared)
