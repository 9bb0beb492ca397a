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

from sinograd.geometry import Geometry, shift_detector
from sinograd.preparation.center.comparisons import Comparison, Conjugates, Seam, seam_ends
from sinograd.preparation.center.sinogram import Progress, Sinograms, read_sinograms

# Columns of the coarsest level, and the part of them that must be pairs at an offset for it to be judged.
COARSE_COLUMNS = 128
LEAST_SHARE = 0.05

# Blocks of rows and columns whose contributions to the slope of the criterion count as independent.
ROW_BLOCKS, COLUMN_BLOCKS = 24, 8

# Columns at the ends of a row that smoothing and differences spoil.
MARGIN = 5

# Standard error in pixels above which, and share of the criterion's median that its minimum must stay below, for a
# centre to count as found.
LARGEST_ERROR, HIGHEST_MINIMUM = 0.5, 0.8

G = TypeVar("G", bound=Geometry)


class CenterWarning(UserWarning):
    """The centre of rotation is uncertain; the message says why."""


@dataclass(frozen=True, eq=False, repr=False)
class Center:
    """Where the rotation axis was found.

    Attributes:
        offset_mm: to be added to the column part of detector.offset.
        offset_pixels: the same in detector columns.
        certainty: standard error of offset_pixels, in pixels.
        method: "conjugate rays" or "ends of the half turn".
        candidates: offsets that were tried, in pixels, growing: float64 [n].
        criterion: mismatch at each, 0 for equal and 1 for unrelated measurements; NaN where too few lines were
            measured twice.
        reliable: whether the standard error is small and the minimum stands out.
    """

    offset_mm: float
    offset_pixels: float
    certainty: float
    method: str
    candidates: Tensor
    criterion: Tensor
    reliable: bool

    def correct(self, geometry: G) -> G:
        """The geometry with the detector moved by what was found."""
        return shift_detector(geometry, self.offset_mm)

    def __str__(self) -> str:
        doubt = "" if self.reliable else ", uncertain"
        return (
            f"axis {self.offset_pixels:+.3f} pixels off ({self.offset_mm:+.4g} mm), standard error "
            f"{self.certainty:.2g} pixels, from {self.method}{doubt}"
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
    Econometrica 50(1), 1982), at the level at which it is smallest.

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
            of the reach.
    """
    if not 0 < reach < 0.5:
        raise ValueError(f"reach: expected a share of the detector's width between 0 and 0.5, got {reach}")
    with torch.no_grad():
        sinograms = read_sinograms(projections, geometry, rows, progress)
        make = _comparison(sinograms)
        coarse = 2 ** max(0, math.floor(math.log2(max(1.0, sinograms.columns / COARSE_COLUMNS))))
        candidates, criterion, method = _search(make, sinograms, coarse, reach)
        offset, error = _refine(make, sinograms, coarse, float(candidates[np.nanargmin(criterion)]))
    doubts = _doubts(candidates, criterion, offset, error)
    found = Center(
        offset * geometry.detector.column_spacing,
        offset,
        error,
        method,
        torch.from_numpy(candidates),
        torch.from_numpy(criterion),
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


def _search(make: Make, sinograms: Sinograms, factor: int, reach: float) -> tuple[np.ndarray, np.ndarray, str]:
    """The criterion over the whole reach, with columns joined by `factor`."""
    comparison = make(sinograms.binned(factor))
    most = reach * sinograms.columns
    steps = math.ceil(most / (factor / 2))
    candidates = np.arange(-steps, steps + 1) * (most / steps)
    judged = [_mismatch(comparison, float(offset)) for offset in candidates]
    criterion = np.array([value for value, _ in judged])
    share = np.array([part for _, part in judged])
    if not share.max() > 0:
        arc = math.degrees(float(sinograms.angles[-1] - sinograms.angles[0]))
        views, apart = len(sinograms.angles), math.degrees(sinograms.step)
        raise ValueError(
            f"the centre of rotation cannot be found from the projections: none of the lines of {views} views, "
            f"{apart:.3g} degrees apart over {arc:.4g} degrees, was measured from both sides; "
            "give it (detector.offset), or measure half a turn and the fan angle in finer steps"
        )
    criterion[share < LEAST_SHARE * share.max()] = np.nan
    return candidates, criterion, comparison.name


def _mismatch(comparison: Comparison, offset: float) -> tuple[float, float]:
    """|a - b|^2 / (|a|^2 + |b|^2) of differences along rows, and the number of pairs."""
    one, two, mask = comparison.pairs(offset)
    mask = _inner(mask)
    if not bool(mask.any()):
        return math.nan, 0.0
    a, b = _differences(one), _differences(two)
    energy = float((a.square() + b.square())[mask].double().sum())
    return float((a - b)[mask].double().square().sum()) / max(energy, 1e-30), float(mask.sum())


def _refine(make: Make, sinograms: Sinograms, factor: int, offset: float) -> tuple[float, float]:
    """Offset and standard error at the level where that is smallest, from joined columns down to single ones."""
    best: tuple[float, float] | None = None
    last_error = math.inf
    while True:
        found = _descend(make(sinograms.binned(factor)), offset, factor)
        if found is not None:
            new, error = found
            jump = abs(new - offset)
            if best is not None and jump > 4 * math.hypot(error, last_error) + factor:
                break  # noise has taken over
            offset, last_error = new, error
            if best is None or error < best[1]:
                best = found
        if factor == 1:
            break
        factor //= 2
    if best is None:
        return offset, math.inf
    return best


def _descend(comparison: Comparison, offset: float, factor: int) -> tuple[float, float] | None:
    """The minimum of the mismatch near an offset by a parabola, and its standard error."""
    step, curvature, move, rest, mask = factor / 2, 0.0, 0.0, [], torch.zeros(0)
    for _ in range(4):
        places = offset + step * np.arange(-3, 4)
        rows = [comparison.pairs(float(place)) for place in places]
        mask = torch.stack([_inner(row[2]) for row in rows]).all(0)
        if int(mask.sum()) < 32:
            return None
        rest = [torch.where(mask, _differences(one - two), 0.0).double() for one, two, _ in rows]
        power = np.array([float(r.square().sum()) for r in rest])
        curvature, slope, _ = np.polyfit(places - offset, power, 2)
        if curvature <= 0:
            return None
        move = float(np.clip(-slope / (2 * curvature), -2 * step, 2 * step))
        offset += move
        if abs(move) < 0.02 * factor:
            break
    scores = (rest[4] - rest[2]) / (2 * step) * rest[3]
    rows_of = np.array_split(np.arange(len(scores)), min(ROW_BLOCKS, len(scores)))
    blocks = [part.sum() for r in rows_of for part in scores[r].tensor_split(COLUMN_BLOCKS, dim=1)]
    variance = float(torch.stack(blocks).square().sum()) * (2 if comparison.twice else 1)
    return offset, math.sqrt(variance) / float(curvature)


def _differences(rows: Tensor) -> Tensor:
    """Central differences along rows: [rows, columns - 2]."""
    return (rows[..., 2:] - rows[..., :-2]) / 2


def _inner(mask: Tensor) -> Tensor:
    """Where central differences consist of pairs, away from the ends of the detector."""
    inner = mask[..., 2:] & mask[..., 1:-1] & mask[..., :-2]
    inner[..., : MARGIN - 1] = False
    inner[..., inner.shape[-1] - MARGIN + 1 :] = False
    return inner


def _doubts(candidates: np.ndarray, criterion: np.ndarray, offset: float, error: float) -> list[str]:
    doubts = []
    if not error <= LARGEST_ERROR:
        doubts.append(f"its standard error is {error:.2g} pixels")
    least, median = float(np.nanmin(criterion)), float(np.nanmedian(criterion))
    if least > HIGHEST_MINIMUM * median:
        doubts.append(f"the mismatch has no clear minimum ({least:.2g}, median {median:.2g})")
    step = candidates[1] - candidates[0]
    if abs(offset) > candidates[-1] - step:
        doubts.append(f"it lies at the end of the reach, {candidates[-1]:.4g} pixels")
    return doubts
