"""Views that do not belong to their scan: frozen, mirrored, shifted, without the object, or garbage.

From view to view the mass of a projection, its centre and its width vary as slowly as the source moves: for parallel
rays they are trigonometric polynomials of the angle of degree 0, 1 and 2 (S. Helgason, "The Radon Transform", 1980;
D. Ludwig, "The Radon transform on Euclidean space", Communications on Pure and Applied Mathematics 19, 1966), and of
diverging ones nearly so. A thin plate that is seen edge-on changes a profile from one view to the next, but not these.
So a run of views is odd that both of its ends jump to and from, while the views around it continue each other.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

import numpy as np

from sinograd.geometry import Geometry
from sinograd.geometry.vectors import SOURCE, central_hit
from sinograd.preparation.overview import option_text, runs, spans
from sinograd.preparation.view_likeness import UNLIKE, likeness
from sinograd.preparation.view_profiles import ViewProfiles

# The fewest views that tell; a share of odd views from which the scan as a whole is another one than is thought.
FEWEST, MOST = 10, 0.5

# Jumps that count: of mass, centre and width, as shares of what is typical (of the width, for the centre); the centre
# by half a column at least. In truncated scans and in helices, where parts of the object come and go, so many times as
# much.
MASS, CENTRE, WIDTH, SKEW, COLUMN = 0.15, 0.06, 0.12, 0.25, 0.5
TRUNCATED, SPIRAL = 1.5, 2.5

# Error of a moment that the sampling of small objects makes, as a share; and how many times as much a jump must be from
# which the views do not come back.
SAMPLED, ONCE = 0.03, 2.0

# A squared difference of neighbours that is so many times the usual one and this share of a square, and what mirroring
# must leave of it.
JUMP, SHARE, MIRRORED = 12.0, 0.02, 0.25

# Bins with so much of the largest line integrals see the object.
SEEN = 0.03

# A moment bends by up to so many times its range over a squared radian: a trigonometric polynomial of degree three.
BENDS = 5.0

# Jump of the logarithm of the grain, in which so much of the typical line integral is neglected.
GRAIN, NEGLECTED = 1.4, 0.02

# Readings of a view from which its grain tells noise; that of fewer changes with the edges of the object.
READINGS = 256

# ... and so many times what this share of all jumps is below.
OUTLYING, USUAL = 5.0, 0.8

# Jumps on either side that tell how fast a moment changes; odd views in a row that may be odd for different reasons.
NEARBY, FEW = 5, 3

# Readings that differ by less than this share, from one view to the next or on both sides of the axis, tell no copy.
SAME = 1e-3


@dataclass(frozen=True)
class OddViews:
    """Numbers of the views that do not fit those beside them, by what they look like."""

    reasons: dict[str, np.ndarray]

    @property
    def text(self) -> str:
        """The words of a warning."""
        parts = [f"{spans(numbers)} ({reason})" for reason, numbers in self.reasons.items()]
        count = sum(len(numbers) for numbers in self.reasons.values())
        what = "view does not fit the views" if count == 1 else "views do not fit those"
        every = np.unique(np.concatenate(list(self.reasons.values())))
        return (
            f"{count} {what} beside: {'; '.join(parts)}; such views make streaks and blur: read them again, or "
            f"`leave_out` {option_text(every)}; numbers count from 0"
        )


def find_odd_views(profiles: ViewProfiles, geometry: Geometry, good: np.ndarray, truncated: bool) -> OddViews | None:
    """The odd ones among the views of a geometry that are good as a whole; None where all fit.

    Args:
        profiles: of all views of `geometry`.
        good: bool [views]; others are left out already.
        truncated: the object reaches beyond the detector.
    """
    if int(good.sum()) < FEWEST:
        return None
    copies = _copies(profiles, geometry, good)
    order, gaps = _ordered(geometry, np.flatnonzero(good & ~copies))
    if len(order) < FEWEST:
        return None
    moments, least = _moments(profiles, geometry, order)
    times = SPIRAL if _is_spiral(geometry) else TRUNCATED if truncated else 1.0
    odd = _runs_between_jumps(moments, gaps, times * least, NEARBY if times > 1 else len(order))
    odd |= _mirrored(profiles.along_columns[order].astype(np.float64))
    if not 0 < odd.sum() + copies.sum() <= MOST * good.sum():
        return None
    reasons: dict[str, list[int]] = {}
    if copies.any():
        reasons["a copy, bit for bit, of the view before"] = np.flatnonzero(copies).tolist()
    for first, end in runs(odd):
        words = []
        for place in range(first, end):
            beside = [int(order[k]) for k in _beside(odd, place)]
            words.append(likeness(profiles, int(order[place]), beside))
        if end - first > FEW:  # of one cause, told at both ends: the views between are far from those that fit
            ends = {words[0], words[-1]} - {UNLIKE}
            words = [ends.pop() if len(ends) == 1 else UNLIKE] * (end - first)
        for place, word in enumerate(words, first):
            reasons.setdefault(word, []).append(int(order[place]))
    return OddViews({reason: np.sort(numbers) for reason, numbers in reasons.items()})


def _copies(profiles: ViewProfiles, geometry: Geometry, good: np.ndarray) -> np.ndarray:
    """Which views have the readings of the one before though the source has moved, bool [views].

    What stands still in data without noise because it is round and on the axis looks alike on both sides of that.
    """
    values = profiles.along_columns.astype(np.float64)
    vectors = geometry.vectors.detach().numpy()
    same = (profiles.marks[1:] == profiles.marks[:-1]) & good[1:] & good[:-1]
    same &= np.abs(np.diff(vectors, axis=0)).max((1, 2)) > 0  # a view that was taken twice
    steps = np.sqrt(np.square(np.diff(values, axis=0)).mean(1))
    others = steps[~same & good[1:] & good[:-1]]
    if same.any() and len(others) and np.median(others) > SAME * np.sqrt(np.square(values).mean()):
        axis = central_hit(geometry.vectors, geometry.divergent)[2].numpy() / profiles.widths[0]
        for view in np.flatnonzero(same).tolist():
            same[view] = _asymmetry(values[view], float(axis[view])) > SAME
        return np.append(False, same)
    return np.zeros(len(good), dtype=bool)


def _asymmetry(profile: np.ndarray, axis: float) -> float:
    """The relative difference of a profile [bins] and its mirror image about the axis, bins from the middle."""
    place = np.arange(len(profile)) - (len(profile) - 1) / 2 - axis
    if not np.isfinite(axis) or abs(axis) > len(profile) / 2 or not profile.any():
        return 0.0
    inside = (-place >= place[0]) & (-place <= place[-1])
    away = profile[inside] - np.interp(-place[inside], place, profile)
    return float(np.sqrt(np.square(away).mean() / np.square(profile).mean()))


def _ordered(geometry: Geometry, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Views in the order of their directions, where the orbit is flat, and the angles between them in radians.

    Else in the order in which they were taken. Returns (numbers [n], angles [n - 1]).
    """
    source = geometry.vectors[:, SOURCE].detach().numpy()[numbers]
    if not _is_spiral(geometry):
        angles = np.arctan2(source[:, 1], source[:, 0])
        turned = (angles - angles[0]) % (2 * np.pi)
        turned[turned > 2 * np.pi - 1e-9] = 0.0
        order = np.argsort(turned, kind="stable")
        widest = np.diff(turned[order], append=2 * np.pi)
        if widest.max() > 2 * widest[-1]:  # begin behind the range that is not measured
            order = np.roll(order, -1 - int(widest.argmax()))
        numbers, source = numbers[order], source[order]
    unit = source / np.linalg.norm(source, axis=1, keepdims=True)
    return numbers, np.arccos(np.clip((unit[1:] * unit[:-1]).sum(1), -1, 1))


def _is_spiral(geometry: Geometry) -> bool:
    """Whether the source leaves its plane."""
    source = geometry.vectors[:, SOURCE].detach().numpy()
    radius = np.linalg.norm(source[:, :2], axis=1)
    return bool(np.ptp(source[:, 2]) >= 0.01 * max(float(radius.max()), 1e-30))


def _moments(profiles: ViewProfiles, geometry: Geometry, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass, grain, and moments of degree 1 to 3 along columns and rows, [n, 8], and the least jumps that count, [8].

    About where the rotation axis is seen, in units of the typical mass and width; linear in the readings, so that
    noise is the same in all views, and of the part of the detector that sees the object. Those of few rows are 0.
    """
    _, rows, columns = (hit.detach().numpy()[order] for hit in central_hit(geometry.vectors, geometry.divergent))
    typical = float(np.quantile(np.abs(profiles.along_columns[order].mean(1, dtype=np.float64)), 0.75))
    if not typical > 0:
        return np.zeros((len(order), 8)), np.ones(8)
    few = profiles.along_columns.shape[1] * profiles.along_rows.shape[1] < READINGS
    grain = np.zeros(len(order)) if few else profiles.grain[order] / typical
    found, least = [np.log(grain + NEGLECTED)], [GRAIN]
    sides = ((profiles.along_columns, profiles.widths[0], columns), (profiles.along_rows, profiles.widths[1], rows))
    for values, width, axis in sides:
        bins = values.shape[1]
        place = (np.arange(bins) - (bins - 1) / 2) * width - np.where(np.isfinite(axis), axis, 0.0)[:, None]
        weights = values[order] * _sees_object(values[order]) / (bins * typical)
        powers = np.stack([(weights * place**k).sum(1) for k in range(4)])
        whole = np.maximum(powers[0], 1e-3)
        spread = float(np.sqrt(max(np.median(powers[2] / whole - (powers[1] / whole) ** 2), 0.0)))
        if not found[1:]:
            found, least = [*found, powers[0]], [*least, MASS]
        if bins < FEWEST or not spread > 0:
            found, least = [*found, *np.zeros((3, len(order)))], [*least, 1.0, 1.0, 1.0]
            continue
        found += [powers[k] / spread**k for k in (1, 2, 3)]
        least += [max(CENTRE, COLUMN / spread), WIDTH, SKEW]
    return np.stack(found, 1), np.array(least)


def _sees_object(values: np.ndarray) -> np.ndarray:
    """Bins that see more than air in some of the views [n, bins], and a few beside them: float64 [bins]."""
    from scipy.ndimage import uniform_filter1d

    bins = values.shape[1]
    few = max(1, bins // 32)
    smooth = uniform_filter1d(values.astype(np.float64), few, axis=1)
    high = np.quantile(np.abs(smooth), 0.95, axis=0)
    places = np.flatnonzero(high >= SEEN * high.max())
    seen = np.zeros(bins)
    seen[max(places[0] - few, 0) : places[-1] + 1 + few] = 1.0
    return seen


def _runs_between_jumps(moments: np.ndarray, gaps: np.ndarray, least: np.ndarray, most: int) -> np.ndarray:
    """Which views [n] lie in runs, of up to `most`, that jump away from those that continue each other.

    moments: [n, k]. gaps: [n - 1].
    """
    places = np.append(0.0, np.cumsum(gaps))
    slopes, errors = _slopes(moments, places)
    away = np.abs(np.diff(moments, axis=0) - slopes * gaps[:, None])
    limit = np.maximum(least, OUTLYING * np.quantile(away, USUAL, axis=0)) + SAMPLED * np.abs(moments)
    bends = BENDS * (np.quantile(moments, 0.95, axis=0) - np.quantile(moments, 0.05, axis=0))
    jumps = (away > limit[1:] + (bends * gaps[:, None] + errors) * gaps[:, None]).any(1)
    edges = np.concatenate([[0], np.flatnonzero(jumps) + 1, [len(moments)]])
    odd = np.zeros(len(moments), dtype=bool)
    longest = int(np.diff(edges).argmax())
    forward = [(run, edges[run], edges[run + 1] - 1) for run in range(longest + 1, len(edges) - 1)]
    backward = [(run, edges[run + 1] - 1, edges[run]) for run in range(longest - 1, -1, -1)]
    for walk, last, before in ((forward, edges[longest + 1] - 1, 1), (backward, edges[longest], 0)):
        for run, near, far in walk:
            step = min(max(last - before, 0), len(slopes) - 1)
            gap = abs(places[near] - places[last])
            off = np.abs(moments[near] - moments[last] - slopes[step] * (places[near] - places[last]))
            once = abs(far - near) >= NEARBY and far in (0, len(moments) - 1)
            if (off > (ONCE if once else 1.0) * (limit[near] + (bends * gap + errors[step]) * gap)).any():
                odd[edges[run] : edges[run + 1]] = abs(far - near) < most
            else:
                last = far
    return odd


def _slopes(moments: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How fast each moment changes at each step, and the error of that: [n - 1, k] both.

    The median of the steps on both sides; its error is that of noise, and what a bend makes where steps on one side
    are missing.
    """
    gaps = np.diff(places)
    long = gaps >= 0.25 * gaps.mean()
    rates = np.diff(moments, axis=0) / np.where(long, gaps, np.inf)[:, None]
    rates[~long] = np.nan
    middles = np.where(long, (places[1:] + places[:-1]) / 2, np.nan)
    windows = [
        np.lib.stride_tricks.sliding_window_view(np.pad(v, pad, constant_values=np.nan), 2 * NEARBY + 1, axis=0)
        for v, pad in ((rates, ((NEARBY, NEARBY), (0, 0))), (middles, NEARBY))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of windows without a step
        slopes = np.nanmedian(windows[0], axis=-1)
        noise = 1.4826 * np.nanmedian(np.abs(windows[0] - slopes[..., None]), axis=-1)
        aside = np.abs(np.nanmean(windows[1], axis=-1) - (places[1:] + places[:-1]) / 2)
    count = np.maximum(np.isfinite(windows[1]).sum(-1), 1)
    bends = BENDS * (np.quantile(moments, 0.95, axis=0) - np.quantile(moments, 0.05, axis=0))
    errors = OUTLYING * noise / np.sqrt(count)[:, None] + bends * aside[:, None]
    return np.nan_to_num(slopes), np.nan_to_num(errors)


def _mirrored(values: np.ndarray) -> np.ndarray:
    """Which profiles [n, bins], few in a row, are mirror images of the others about the detector's middle, bool [n].

    Between them and those on both sides lies a jump that mirroring takes away.
    """
    apart = np.square(np.diff(values, axis=0)).sum(1)
    across = np.square(values[1:, ::-1] - values[:-1]).sum(1)
    jumps = (apart > JUMP * np.median(apart)) & (apart > SHARE * np.square(values).sum(1).mean())
    turns = np.flatnonzero(jumps & (across < MIRRORED * apart)) + 1
    edges = [0, *turns.tolist(), len(values)] if len(turns) else []
    other = np.zeros(len(values), dtype=bool)
    for first, end in itertools.pairwise(edges):
        if end - first <= NEARBY and not other[first - 1 : first].any():
            other[first:end] = True
    return other


def _beside(odd: np.ndarray, place: int) -> list[int]:
    """Places of the nearest views on both sides that are not odd."""
    fit = np.flatnonzero(~odd)
    before, behind = fit[fit < place], fit[fit > place]
    return [*before[-1:].tolist(), *behind[:1].tolist()]
