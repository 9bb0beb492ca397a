"""What a view that does not fit looks like, beside those that do: mirrored, shifted, empty, of another brightness."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sinograd.preparation.view_profiles import ViewProfiles

# Share of the difference that an explanation must take away, and of the mass below which there is no object.
EXPLAINED, EMPTY = 0.3, 0.1

UNLIKE = "unlike them"

# Largest shift that is tried, as a share of the detector.
REACH = 0.4


def likeness(profiles: ViewProfiles, number: int, beside: list[int]) -> str:
    """What makes the view `number` of those beside it, in words."""
    own = profiles.along_columns[number].astype(np.float64)
    usual = profiles.along_columns[beside].astype(np.float64).mean(0)
    if np.abs(own).sum() < EMPTY * np.abs(usual).sum():
        return "without the object"
    rows, usual_rows = (profiles.along_rows[k].astype(np.float64) for k in (number, beside))
    usual_rows = usual_rows.mean(0)
    flipped = {
        "mirrored left to right": (own[::-1], usual, rows, usual_rows),
        "upside down": (own, usual, rows[::-1], usual_rows),
        "turned by half a turn": (own[::-1], usual, rows[::-1], usual_rows),
    }
    before = _apart(own, usual) + _apart(rows, usual_rows)
    costs = {words: _apart(a, b) + _apart(c, d) for words, (a, b, c, d) in flipped.items()}
    for words, one, other, width in (
        ("columns", own, usual, profiles.widths[0]),
        ("rows", rows, usual_rows, profiles.widths[1]),
    ):
        left = _apart(rows, usual_rows) if words == "columns" else _apart(own, usual)
        shift, cost = _best_shift(one, other)
        costs[f"shifted by {abs(shift) * width:.0f} {words}"] = left + cost
    factor = float((own * usual).sum() / max((usual * usual).sum(), 1e-300))
    costs[f"{factor:.2g} times as strong"] = _apart(own, factor * usual) + _apart(rows, factor * usual_rows)
    best = min(costs, key=lambda words: costs[words])
    return best if costs[best] < EXPLAINED * before else UNLIKE


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one - other).sum() / max(np.square(other).sum(), 1e-300))


def _best_shift(one: np.ndarray, other: np.ndarray) -> tuple[int, float]:
    """By how many bins a profile is shifted, and what is apart then; where both are measured."""
    most = int(REACH * len(one))
    shifts: Iterable[int] = (k for k in range(-most, most + 1) if k)
    pairs = ((k, (one[max(k, 0) : len(one) + min(k, 0)], other[max(-k, 0) : len(one) - max(k, 0)])) for k in shifts)
    found = [(k, _apart(*pair)) for k, pair in pairs]
    return min(found, key=lambda pair: pair[1]) if found else (0, np.inf)
