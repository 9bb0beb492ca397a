"""The same lines measured twice: views against their reversed rays, and the two ends of a half turn."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch

from sinograd.preparation.center.sinogram import MOST_SAMPLES, Sinograms
from sinograd.recon.analytic.redundancy import conjugate

TURN = 2 * math.pi

# Standard deviation of the Gaussian along the columns before they are interpolated, in columns, and where it ends:
# noise then does not tell whole shifts from fractional ones.
SMOOTHING, SMOOTHING_REACH = 1.0, 4

# Columns by which detail may move from view to view (a third of the way to the edge) for views to be interpolated.
MOST_MOTION = 4.0

# A view that is missed by less than this share of a step counts as hit.
HIT = 0.02

# Detail moves by this many columns over the views on each side of a seam that are fitted by straight lines; where it
# moves farther from one view to the next, the ends cannot be compared.
SEAM_MOTION = 2.0


# Columns at the ends of a row that smoothing and differences spoil.
MARGIN = 5


class Comparison(Protocol):
    """Lines measured twice, as rows of pairs."""

    name: str
    twice: bool
    """Whether each pair is met from both sides, so that it counts twice."""

    def pairs(self, offset: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values of both measurements [rows, columns] if the detector stands `offset` columns along +u, and which
        are pairs, bool [rows, columns].
        """
        ...

    def coarser(self) -> Comparison | None:
        """The same lines from views farther apart, which err more where detail moves fast; None where all are used."""
        ...


class Conjugates:
    """Every ray against its reversal (a + pi - 2 gamma, -gamma), where views on both sides of that angle exist."""

    name, twice = "conjugate rays", True

    def __init__(self, sinograms: Sinograms, most: int = MOST_SAMPLES) -> None:
        """most: samples that are compared; of more, some views are left out."""
        self._data = sinograms
        self.columns = sinograms.columns
        smooth = _smoothed(sinograms.values)
        angles = sinograms.angles
        self._angles = angles
        step = np.append(angles[1:], angles[0] + TURN) - angles
        third = sinograms.columns / 3
        self._passable = (step * third <= MOST_MOTION) & (step <= 1.5 * sinograms.step + 1e-9)
        self._step = np.maximum(step, 1e-12)
        self._chosen = np.arange(0, len(angles), max(1, math.ceil(sinograms.values.size / most)))
        self._own = np.ascontiguousarray(smooth[:, self._chosen].transpose(2, 0, 1))
        self._spline = _spline(smooth)

    def pairs(self, offset: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Comparison.pairs`; a row is a view."""
        data, fan = self._data, self._data.fan(offset)
        mirrored, seen = _mirrored(self._spline, fan)
        own = torch.from_numpy(self._angles[self._chosen])[:, None]
        other, _ = conjugate(own, torch.from_numpy(fan if data.divergent else fan[:1]), data.divergent)
        before, after, fraction, valid = (part.T for part in self._bracket(other.numpy()))
        if data.divergent:
            columns = np.arange(data.columns)[:, None]
            low, high = (mirrored.transpose(0, 2, 1)[columns, views].transpose(0, 2, 1) for views in (before, after))
        else:
            low, high = mirrored[:, :, before[0]], mirrored[:, :, after[0]]
        high -= low
        high *= fraction.astype(np.float32)[:, None]
        low += high
        mask = np.broadcast_to((valid & seen[:, None])[:, None], low.shape)
        one, two, pairs = (part.reshape(data.columns, -1).T for part in (self._own, low, mask))
        return one, two, pairs

    def coarser(self) -> None:
        """See `Comparison.coarser`."""

    def _bracket(self, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The views before and after each angle, how far it is between them, and whether that is close enough."""
        angles = np.mod(angles, TURN)
        before = np.searchsorted(self._angles, angles, side="right") - 1
        before = np.where(before < 0, len(self._angles) - 1, before)
        after = (before + 1) % len(self._angles)
        fraction = np.mod(angles - self._angles[before], TURN) / self._step[before]
        fraction = np.where(fraction > 1, 0.0, fraction)  # rounding just below a view's own angle
        on_view = np.minimum(fraction, 1 - fraction) < HIT
        valid = self._passable[before] | on_view
        return before, after, np.where(on_view, np.round(fraction), fraction), valid


class Seam:
    """The two ends of a parallel scan over half a turn: the views near one, and those near the other, reversed.

    Both are fitted with straight lines in the angle, over as many views as detail moves by two columns in, and
    compared where the ends meet.
    """

    name, twice = "ends of the half turn", False

    def __init__(self, sinograms: Sinograms, first: float, last: float, more: int = 0) -> None:
        """first, last: angles of the first and last view, last up to half a turn (or little more) from first; more:
        views beyond those that are fitted by default.
        """
        self._data, self._ends = sinograms, (first, last, more)
        views = more + max(2, round(SEAM_MOTION / (sinograms.step * sinograms.columns / 3)))
        span = sinograms.step * views
        behind = np.mod(sinograms.angles - first + math.pi, TURN) - math.pi + first
        meeting = (first + last - math.pi) / 2
        reversed_ = np.mod(behind + math.pi - meeting + math.pi, TURN) - math.pi
        own = behind - meeting
        reach = (first - (last - math.pi)) / 2 + span - 0.5 * sinograms.step
        self._followed = sinograms.step * sinograms.columns / 3 <= SEAM_MOTION
        one, two = (_end_fit(angles, reach, sinograms.step) for angles in (own, reversed_))
        smooth = _smoothed(sinograms.values)
        self._own = np.einsum("v,kvc->kc", one[1], smooth[:, one[0]])
        self._spline = _spline(np.einsum("v,kvc->kc", two[1], smooth[:, two[0]]))

    def pairs(self, offset: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Comparison.pairs`; a row is a sinogram."""
        mirrored, seen = _mirrored(self._spline, self._data.fan(offset))
        return self._own, mirrored.T, np.broadcast_to(seen & self._followed, self._own.shape)

    def coarser(self) -> Seam:
        """See `Comparison.coarser`: lines fitted over one view more."""
        first, last, more = self._ends
        return Seam(self._data, first, last, more + 1)


def seam_ends(sinograms: Sinograms) -> tuple[float, float] | None:
    """First and last angle of a parallel scan over about half a turn; None for any other."""
    if sinograms.divergent or len(sinograms.angles) < 8:
        return None
    angles = sinograms.angles
    step = np.append(angles[1:], angles[0] + TURN) - angles
    gap = int(step.argmax())
    first, last = angles[(gap + 1) % len(angles)], angles[gap]
    last += TURN if last < first else 0.0
    steps = np.delete(step, gap)
    if steps.max() > 3 * sinograms.step + 1e-9 or abs(last - first - math.pi) > 2.5 * sinograms.step:
        return None
    return float(first), float(last)


def _end_fit(angles: np.ndarray, reach: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The views within `reach` of angle 0, and the weights that give a straight line's value there."""
    chosen = np.nonzero(np.abs(angles) <= reach + 1e-9)[0]
    if len(chosen) < 2:
        chosen = np.argsort(np.abs(angles))[:2]
    design = np.stack([np.ones(len(chosen)), angles[chosen] / step], axis=1)
    return chosen, np.linalg.pinv(design)[0].astype(np.float32)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Values after a Gaussian along the columns, edges repeated."""
    from scipy import ndimage

    return ndimage.gaussian_filter1d(values, SMOOTHING, radius=SMOOTHING_REACH, mode="nearest")


def _spline(values: np.ndarray) -> np.ndarray:
    """Coefficients of the cubic splines through values [..., columns], columns first: [columns, ...]."""
    from scipy import ndimage

    coefficients = ndimage.spline_filter1d(values, 3, axis=-1, mode="mirror")
    return np.ascontiguousarray(np.moveaxis(coefficients, -1, 0), dtype=np.float32)


def _mirrored(spline: np.ndarray, fan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubic splines [columns, ...] where the fan coordinate is minus that of each column, and where that exists."""
    columns = len(fan)
    index = np.arange(columns, dtype=np.float64)
    if fan[0] > fan[-1]:
        place = np.interp(-fan, fan[::-1], index[::-1], left=-1.0, right=-1.0)
    else:
        place = np.interp(-fan, fan, index, left=-1.0, right=-1.0)
    seen = (place >= 1) & (place <= columns - 2)
    whole = np.floor(place).clip(1, columns - 3).astype(np.int64)
    u = place - whole
    cubes = ((1 - u) ** 3, (3 * u - 6) * u * u + 4, ((3 - 3 * u) * u + 3) * u + 1, u**3)
    result = np.zeros_like(spline)
    shape = (columns, *[1] * (spline.ndim - 1))
    for k, cube in enumerate(cubes):
        weights = np.where(seen, cube / 6, 0.0).astype(np.float32).reshape(shape)
        result += weights * spline[whole + k - 1]
    return result, seen


def mismatch(comparison: Comparison, offset: float) -> tuple[float, float]:
    """|a - b|^2 / (|a|^2 + |b|^2) of differences along rows, and the number of pairs."""
    one, two, mask = comparison.pairs(offset)
    mask = inner(mask)
    pairs = int(mask.sum())
    if pairs == 0:
        return math.nan, 0.0
    a, b = differences(one) * mask, differences(two) * mask
    energy = _energy(a) + _energy(b)
    a -= b
    return _energy(a) / max(energy, 1e-30), float(pairs)


def _energy(values: np.ndarray) -> float:
    return float(np.square(values).sum(dtype=np.float64))


def differences(rows: np.ndarray) -> np.ndarray:
    """Central differences along rows: [rows, columns - 2]."""
    return (rows[..., 2:] - rows[..., :-2]) / 2


def inner(mask: np.ndarray) -> np.ndarray:
    """Where central differences consist of pairs, away from the ends of the detector."""
    pairs = mask[..., 2:] & mask[..., 1:-1] & mask[..., :-2]
    pairs[..., : MARGIN - 1] = False
    pairs[..., pairs.shape[-1] - MARGIN + 1 :] = False
    return pairs
