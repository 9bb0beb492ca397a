"""`find_center`: where the rotation axis meets the detector, from lines that were measured twice."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sinograd.data.lengths import length_text
from sinograd.errors import CenterWarning, InputError
from sinograd.geometry import Geometry, shift_detector
from sinograd.preparation.center.refine import refine_center
from sinograd.preparation.center.rotation import compare_senses
from sinograd.preparation.center.search import Search, choose_comparison, search_center
from sinograd.preparation.center.sinogram import Progress, read_sinograms

# Standard error in pixels above which a centre is uncertain, and the part of the detector within which two minima of
# the criterion are one.
LARGEST_ERROR, NEAR = 0.5, 0.02

G = TypeVar("G", bound=Geometry)


@dataclass(frozen=True, eq=False, repr=False)
class Center:
    """Where the rotation axis was found.

    Attributes:
        offset_mm: to be added to the column part of detector.offset.
        offset_pixels: the same in detector columns.
        standard_error: of offset_pixels, in pixels.
        method: "conjugate rays" or "ends of the half turn".
        candidates: offsets that were tried, in pixels, growing: float64 [n].
        criterion: mismatch at each, 0 for equal and 1 for unrelated measurements; NaN where too few lines were
            measured twice.
        reliable: whether the standard error is small and the minimum stands out.
    """

    offset_mm: float
    offset_pixels: float
    standard_error: float
    method: str
    candidates: Tensor
    criterion: Tensor
    reliable: bool

    @property
    def certainty(self) -> float:
        """The old name of `standard_error`, until the next release."""
        warnings.warn("Center.certainty is renamed to Center.standard_error", DeprecationWarning, stacklevel=2)
        return self.standard_error

    def correct(self, geometry: G) -> G:
        """The geometry with the detector moved by what was found."""
        return shift_detector(geometry, self.offset_mm)

    def __str__(self) -> str:
        doubt = "" if self.reliable else ", uncertain"
        return (
            f"axis {self.offset_pixels:+.3f} pixels off ({length_text(self.offset_mm, sign='+')}), standard error "
            f"{self.standard_error:.2g} pixels, from {self.method}{doubt}"
        )

    __repr__ = __str__


def find_center(
    projections: Any,
    geometry: Geometry,
    *,
    reach: float = 0.12,
    rows: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Center:
    """How far the detector stands along +u from where the geometry puts it.

    Lines in the plane of the orbit that were measured from both sides must give the same value: the ray (a, gamma)
    and the ray (a + pi - 2 gamma, -gamma). Full and short scans of fan and cone beams and parallel scans over more
    than half a turn have such pairs; a parallel scan over half a turn meets itself at its ends. The offset is the one
    at which the mismatch of both, relative to what they hold, is least: searched coarsely over the whole reach, then
    with ever finer columns down to the detector's own. What changes slowly along a row does not count, so that drift
    of the beam and objects larger than the field of view do no harm. The standard error counts noise, what the
    sampling of columns and views errs by, and other offsets that noise may have hidden the right one among
    (`sinograd.preparation.center.refine`): the truth is meant to lie within two of it in at least 90 of 100 draws. In
    simulations it is 1 to 3 times the true error for most scans, and 5 to 10 times or more where the method happens to
    err little without noise (smooth objects, half a turn).

    Reads the rows it needs: those next to the plane of the orbit of a cone beam, up to eight bands of a parallel one;
    it holds those and a few copies (at most some 2 million samples each), and reads 64 MB at a time.

    Args:
        projections: line integrals [views, (rows,) columns]; a tensor, an array, or lazy ones (`Scan.projections`).
        geometry: a circular orbit or parallel beam, as the file has it.
        reach: the largest offset to look for, as a share of the detector's width.
        rows: (first, end) of the rows to use instead; their mean is taken.
        progress: called with (views read, views).

    Raises:
        ValueError: shapes that do not match, NaN, an orbit that is no circle; or no line was measured twice, so that
            the centre cannot be found from the projections.

    Warns:
        CenterWarning: the standard error is above half a pixel, the minimum does not stand out, or it lies at the end
            of the reach; or the views of a fan or cone beam fit a scan that turns the other way better.
    """
    if not 0 < reach < 0.5:
        raise InputError(f"reach: expected a share of the detector's width between 0 and 0.5, got {reach}")
    with torch.no_grad():
        sinograms = read_sinograms(projections, geometry, rows, progress)
        make = choose_comparison(sinograms)
        search = search_center(make, sinograms, reach)
        offset, error = refine_center(make, sinograms, search)
        senses = compare_senses(sinograms, reach)
    doubts = _doubts(search, offset, error, sinograms.columns)
    if senses is not None and senses.is_reversed:
        doubts.append(str(senses))
    found = Center(
        offset * geometry.detector.column_spacing,
        offset,
        error,
        search.method,
        torch.from_numpy(search.candidates),
        torch.from_numpy(search.criterion),
        not doubts,
    )
    if doubts:
        warnings.warn(
            f"the centre of rotation is uncertain: {'; '.join(doubts)} ({found})", CenterWarning, stacklevel=2
        )
    return found


def _doubts(search: Search, offset: float, error: float, columns: int) -> list[str]:
    doubts = []
    if not error <= LARGEST_ERROR:
        doubts.append(f"its standard error is {error:.2g} pixels")
    least, rival = float(np.nanmin(search.criterion)), search.rival(max(NEAR * columns, 2 * search.joined))
    pairs = float(search.pairs[np.nanargmin(search.criterion)])
    # mismatches are means over so many squares: their logarithms scatter by sqrt(2 / pairs) each
    if math.log(max(rival, 1e-30) / max(least, 1e-30)) < math.sqrt(4 / max(pairs, 1.0)):
        doubts.append(f"another offset fits nearly as well (mismatch {least:.3g} and {rival:.3g})")
    step = search.candidates[1] - search.candidates[0]
    if abs(offset) > search.candidates[-1] - step:
        doubts.append(f"it lies at the end of the reach, {search.candidates[-1]:.4g} pixels")
    return doubts
