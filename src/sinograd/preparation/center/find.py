"""`find_center`: where the rotation axis meets the detector, from lines that were measured twice."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import CenterWarning, InputError
from sinograd.geometry import Geometry, shift_detector
from sinograd.preparation.center.comparisons import (
    Comparison,
    Conjugates,
    Seam,
    differences,
    inner,
    mismatch,
    seam_ends,
)
from sinograd.preparation.center.rotation import compare_senses
from sinograd.preparation.center.sinogram import Progress, Sinograms, read_sinograms

# Columns of the coarsest level, those it may have where views are far apart, and the part of the most pairs at any
# offset that an offset must have to be judged.
COARSE_COLUMNS, LEAST_COLUMNS = 128, 24
LEAST_SHARE = 0.05

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

# Standard error in pixels above which a centre is uncertain; neighbouring elements that share their noise; and the part
# of the detector within which two minima of the criterion are one.
LARGEST_ERROR, SHARED, NEAR = 0.5, 3, 0.02

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
            f"axis {self.offset_pixels:+.3f} pixels off ({self.offset_mm:+.4g} mm), standard error "
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
    of the beam and objects larger than the field of view do no harm. The standard error comes from the curvature of
    the mismatch and from how much its slope differs between parts of the scan (the sandwich estimate of H. White,
    Econometrica 50(1), 1982), at the level at which it is smallest; to it comes what two levels differ by:
    without noise it is the interpolation between columns and views that errs.

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
        make = _comparison(sinograms)
        search = _search(make, sinograms, reach)
        offset, error = _refine(make, sinograms, search.joined, search.best)
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


Make = Callable[[Sinograms], Comparison]


def _comparison(sinograms: Sinograms) -> Make:
    """What to compare: the ends where a parallel scan covers half a turn, else reversed rays."""
    ends = seam_ends(sinograms)
    return Conjugates if ends is None else lambda level: Seam(level, *ends)


@dataclass(frozen=True)
class _Search:
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
        values = np.nan_to_num(self.criterion, nan=math.inf)
        padded = np.concatenate([[math.inf], values, [math.inf]])
        minima = (values <= padded[:-2]) & (values <= padded[2:]) & (abs(self.candidates - self.best) > distance)
        return float(values[minima].min(initial=math.inf))


def _search(make: Make, sinograms: Sinograms, reach: float) -> _Search:
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
    return _Search(candidates, criterion, pairs / (SHARED * (2 if comparison.twice else 1)), comparison.name, factor)


def _nothing_twice(sinograms: Sinograms) -> str:
    steps = np.append(sinograms.angles.numpy(), float(sinograms.angles[0]) + 2 * math.pi)
    arc = 360 - math.degrees(np.diff(steps).max())
    return (
        "the centre of rotation cannot be found from the projections: none of the lines of "
        f"{len(sinograms.angles)} views, {math.degrees(sinograms.step):.3g} degrees apart over {arc:.4g} degrees, was "
        "measured from both sides; give it (detector.offset), or measure half a turn and the fan angle in finer steps"
    )


def _refine(make: Make, sinograms: Sinograms, factor: int, offset: float) -> tuple[float, float]:
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
    k = torch.arange(-3, 4, dtype=torch.float64)
    rows = [comparison.pairs(offset + step * float(i)) for i in k]
    mask = torch.stack([inner(row[2]) for row in rows]).all(0)
    if int(mask.sum()) < LEAST_PAIRS:
        return None
    squares = torch.stack([torch.where(mask, differences(one - two), 0.0).double() for one, two, _ in rows]).square()
    # slope and curvature of the least-squares parabola through the seven values of every element
    slopes = torch.einsum("k,krc->rc", k / (28 * step), squares)
    bends = torch.einsum("k,krc->rc", (k.square() - 4) / (84 * step**2), squares)
    curvature = float(bends.sum())
    if not curvature > 0:
        return None
    move = min(max(-float(slopes.sum()) / (2 * curvature), -2 * step), 2 * step)
    variance = _sum_variance(slopes + 2 * move * bends, mask) * (2 if comparison.twice else 1)
    return offset + move, CAUTION * math.sqrt(variance) / (2 * curvature)


def _sum_variance(values: Tensor, mask: Tensor) -> float:
    """Variance of the sum of values [rows, columns] of mean zero, from blocks that are taken as independent."""
    used = mask.any(1).nonzero()[:, 0]
    if len(used) >= ROW_BLOCKS // 2:
        sums = torch.stack([part.sum() for part in values[used].sum(1).tensor_split(min(ROW_BLOCKS, len(used)))])
    else:
        sums = torch.stack([part.sum(1) for part in values.tensor_split(COLUMN_BLOCKS, dim=1)]).flatten()
    return float(sums.square().sum())


def _doubts(search: _Search, offset: float, error: float, columns: int) -> list[str]:
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
