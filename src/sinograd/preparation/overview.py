"""Small pictures of all views, from which those that are bad as a whole are told."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from sinograd.preparation.sample_in_references import sample_in_references

# Blocks of a view along rows and columns.
ROWS, COLUMNS = 24, 32

# A block without light has less than this share of the scan's brightness. A view without contrast has less than the
# second share of it everywhere, and less than the third of the others' contrast: dark current where no dark image is.
DARK, DIM, FLAT = 0.01, 0.3, 0.1

# Share of a view that must go dark at once, and come back, for the view to be bad; at an end of the scan, where it
# need not come back. With few views an opaque object makes larger jumps: so many over the number of views, up to half.
JUMP, END_JUMP, FEW_VIEWS = 0.05, 0.25, 3.0

# A saturated view is so nearly everywhere; the views beside it are less so. In part, where a part of this share
# saturates at once and comes back.
SATURATED, BESIDE, SATURATED_PART = 0.98, 0.9, 0.15

# A view is of another brightness than both views beside it, which agree: so much in line integrals, so many times the
# spread over its blocks and what is typical of all views; they agree within this part of it. The fewest views.
OTHER, OUTLYING, AGREE, FEWEST = 0.1, 6.0, 0.3, 8


class Overview:
    """Means of transmitted fractions over blocks of each view, and shares of readings that are none.

    A dense part of the object may leave readings without counts, and slowly more or fewer of them from view to view.
    A shutter, a dropped frame or an end of the scan makes a part of the view dark from one view to the next.
    """

    def __init__(self, views: int, rows: int, columns: int) -> None:
        self._size = (min(rows, ROWS), min(columns, COLUMNS))
        self._means = np.zeros((views, self._size[0] * self._size[1]), dtype=np.float32)
        self._seen = 0
        self.saturated = np.zeros(views)
        self.missing = np.zeros(views)

    def add(self, start: int, block: Tensor) -> None:
        """Views from `start` on, transmitted fractions [views, rows, columns]."""
        self._seen += len(block)
        pooled = torch.nn.functional.adaptive_avg_pool2d(block, self._size)
        self._means[start : start + len(block)] = pooled.flatten(1).numpy()

    @property
    def brightest(self) -> float:
        """The transmitted fraction in the brightest block of most views; 0 where none was read."""
        return float(np.quantile(self._means.max(1), 0.9)) if self._seen else 0.0

    @property
    def is_dark(self) -> bool:
        """Whether there is no light in any view."""
        return bool(self._seen and not (self._means > 0).any())

    def sample_in_references(self, good: np.ndarray) -> float | None:
        """By how much line integrals of the good views are too low where the references have the sample, or None."""
        return sample_in_references(self._means[good], self._size) if self._seen == len(self._means) else None

    def bad_views(self, scaled: bool = False) -> dict[str, np.ndarray]:
        """Numbers of the views to leave out, growing, by reason; without those of no view.

        scaled: views are scaled to one brightness later, which may differ then.
        """
        unread, saturated = self.missing >= 1, self._saturated()
        rest = ~saturated & ~unread
        dark = self._dark_share()
        off = np.zeros(len(dark), dtype=bool)
        places = np.flatnonzero(rest)
        off[places] = _jumps(dark[places], JUMP)
        full = np.zeros(len(dark), dtype=bool)
        full[places] = _jumps(self.saturated[places], SATURATED_PART)
        other = ~np.bool_(scaled) & self._of_another_brightness() & rest & ~off & ~full
        found = {
            "without counts": off & (dark >= SATURATED),
            "in part without counts": off & (dark < SATURATED),
            "saturated": saturated & ~unread,
            "in part saturated": full & ~off,
            "without a number": unread,
            "of another brightness": other,
        }
        return {reason: np.flatnonzero(mask) for reason, mask in found.items() if mask.any()}

    def _dark_share(self) -> np.ndarray:
        """Share of each view that has no light or no number, [views].

        No more than the share of its left and right ends: an opaque object seldom reaches them, what a shutter or a
        lost part of a frame leaves dark does.
        """
        high, low = self._means.max(1), self._means.min(1)
        brightness = float(np.quantile(high, 0.9))
        if not brightness > 0:
            return self.missing
        blocks = (self._means < DARK * brightness).reshape(-1, *self._size)
        sides = blocks[:, :, [0, -1]].mean((1, 2))
        dark = np.minimum(blocks.mean((1, 2)), sides)
        contrast = high - low
        typical = float(np.median(contrast[high >= DIM * brightness]))
        dark[(high < DIM * brightness) & (contrast < FLAT * typical)] = 1.0
        return np.minimum(np.maximum(dark, self.missing), 1.0)

    def _of_another_brightness(self) -> np.ndarray:
        """Single views that are brighter or darker by one factor than both views beside them: a failed exposure."""
        other = np.zeros(len(self._means), dtype=bool)
        if len(other) < FEWEST or not self._seen:
            return other
        logs = np.log(np.maximum(self._means, 1e-6))
        away = logs[1:-1] - (logs[:-2] + logs[2:]) / 2
        level = np.median(away, axis=1)
        spread = 1.4826 * np.median(np.abs(away - level[:, None]), axis=1)
        typical = 1.4826 * float(np.median(np.abs(level)))
        beside = np.abs(np.median(logs[2:] - logs[:-2], axis=1))
        size = np.abs(level)
        other[1:-1] = (size > np.maximum(OTHER, OUTLYING * np.maximum(spread, typical))) & (beside < AGREE * size)
        return other

    def _saturated(self) -> np.ndarray:
        """Which views are saturated nearly everywhere, between views that are not."""
        full = self.saturated >= SATURATED
        bad = np.zeros(len(full), dtype=bool)
        for first, end in runs(full):
            beside = [i for i in (first - 1, end) if 0 <= i < len(full)]
            bad[first:end] = bool(beside) and all(self.saturated[i] < BESIDE for i in beside)
        return bad


def _jumps(share: np.ndarray, least: float) -> np.ndarray:
    """Which entries lie between a jump up and a jump down, or between one of them and an end: bool [n]."""
    return _after_jumps(share, least) | _after_jumps(share[::-1], least)[::-1]


def _after_jumps(share: np.ndarray, least: float) -> np.ndarray:
    bad = np.zeros(len(share), dtype=bool)
    few = min(FEW_VIEWS / max(len(share), 1), 0.5)
    jump, end_jump = max(least, few), max(END_JUMP, few)
    i = 1
    while i < len(share):
        rise = share[i] - share[i - 1]
        if rise <= jump:
            i += 1
            continue
        back = np.flatnonzero(share[i:] < share[i - 1] + 0.5 * rise)
        end = i + int(back[0]) if len(back) else len(share)
        sudden = share[end - 1] - share[end] > jump if len(back) else rise > end_jump
        if sudden:
            bad[i:end] = True
            i = end + 1  # beside the view that follows
        else:
            i += 1
    return bad


def runs(mask: np.ndarray) -> Iterable[tuple[int, int]]:
    """First and end of each run of True."""
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    return zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)


def option_text(numbers: np.ndarray) -> str:
    """View numbers as options have them: "3,70-72"."""
    mask = np.zeros(int(numbers.max()) + 1, dtype=bool)
    mask[numbers] = True
    return ",".join(str(a) if b - a == 1 else f"{a}-{b - 1}" for a, b in runs(mask))


def spans(numbers: np.ndarray, most: int = 8) -> str:
    """View numbers in words: "3, 70 to 72"; after `most` spans the number of the rest."""
    mask = np.zeros(int(numbers.max()) + 1, dtype=bool)
    mask[numbers] = True
    found = [str(a) if b - a == 1 else f"{a} to {b - 1}" for a, b in runs(mask)]
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
