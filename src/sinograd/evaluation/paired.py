"""What scores of the same patients say about two methods: means, intervals, tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sinograd.errors import InputError


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (of a sample) and 95 % interval of the mean (Student's t) of n numbers."""

    n: int
    mean: float
    std: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0


@dataclass(frozen=True)
class PairedDifference:
    """Differences first - second of n pairs, and how likely means or medians as far from 0 are where there are none.

    Attributes:
        difference: their summary.
        t_test: two-sided p of Student's paired t test.
        wilcoxon: two-sided p of Wilcoxon's signed-rank test; never below 2^(1 - n), 0.06 for five pairs.
            Both NaN where all differences are the same or fewer than two; neither is corrected for the number of
            comparisons.
    """

    difference: Summary
    t_test: float
    wilcoxon: float


def summarise(values: Sequence[float]) -> Summary:
    """NaN where a single number allows no standard deviation, or one is infinite."""
    n, mean = len(values), float(np.mean(values))
    if n < 2 or not math.isfinite(mean):
        return Summary(n, mean, math.nan, math.nan, math.nan)
    std = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)


def paired_difference(first: Sequence[float], second: Sequence[float]) -> PairedDifference:
    """Of first - second, pair by pair; ValueError where there are none or their numbers differ."""
    if len(first) != len(second) or not len(first):
        raise InputError(f"expected as many numbers in both, at least one, got {len(first)} and {len(second)}")
    differences = np.subtract(first, second, where=np.not_equal(first, second), out=np.zeros(len(first)))
    found = summarise(differences.tolist())
    if not found.std > 0:
        return PairedDifference(found, math.nan, math.nan)
    t = found.mean / (found.std / math.sqrt(found.n))
    wilcoxon = float(stats.wilcoxon(differences).pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    return PairedDifference(found, float(2 * stats.t.sf(abs(t), found.n - 1)), wilcoxon)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in their order; NaN stays NaN and is not counted.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 65 (1979): the k-th
    smallest of n is multiplied by n - k + 1, none falls below a smaller one's, and none is above 1. Differences whose
    corrected p is below 0.05 are all real with a probability of at least 95 %.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[i] = largest
    return corrected
