"""Intervals and tests against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sinograd.evaluation import paired_difference, summarise


def test_tests_are_scipys() -> None:
    generator = np.random.default_rng(3)
    first = generator.normal(30, 2, 12)
    second = first - generator.normal(0.3, 0.4, 12)
    found = paired_difference(first.tolist(), second.tolist())
    t_test = stats.ttest_rel(first, second)
    assert found.t_test == pytest.approx(t_test.pvalue)
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(first, second).pvalue)
    interval = t_test.confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert found.difference.std == pytest.approx(np.std(first - second, ddof=1)) and found.difference.n == 12


def test_what_cannot_be_said_is_nan() -> None:
    assert math.isnan(summarise([3.0]).low) and summarise([3.0]).mean == 3
    assert math.isnan(paired_difference([1.0], [2.0]).t_test)
    same = paired_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert same.difference.mean == 0 and math.isnan(same.t_test) and math.isnan(same.wilcoxon)
    both = paired_difference([math.inf, 2.0, 3.0], [math.inf, 1.0, 1.5])
    assert both.difference.mean == pytest.approx(2.5 / 3)
    one = paired_difference([math.inf, 2.0], [1.0, 1.0])
    assert one.difference.mean == math.inf and math.isnan(one.difference.low) and math.isnan(one.wilcoxon)
    few = paired_difference([1.0, 2.0, 3.1, 4.0, 5.3], [0.0, 0.5, 0.4, 1.0, 1.0])
    assert few.wilcoxon == 2**-4  # as small as it can be with five pairs
    with_zero = paired_difference([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    assert 0 < with_zero.wilcoxon <= 1


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="as many numbers in both, at least one, got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="got 0 and 0"):
        paired_difference([], [])
