"""Differences that are marked: the headline by its interval, all others after Holm's correction."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from sinograd.evaluation.paired import holm, summarise
from study.significance import interval, p_value, pair_title, significant


def test_holm_by_hand() -> None:
    """Of four p values: 4 x 0.005, 3 x 0.01, 2 x 0.03, 0.04 raised to the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7, math.nan, 0.6]) == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)
    assert holm([]) == []


def test_p_values_are_those_of_the_t_test() -> None:
    values = [0.3, 0.1, 0.5, 0.2]
    assert p_value(summarise(values)) == pytest.approx(float(stats.ttest_1samp(values, 0).pvalue))
    assert math.isnan(p_value(summarise([1.0, 1.0])))


def test_headline_stands_by_its_interval_and_the_rest_is_corrected() -> None:
    weak, strong = summarise([0.3, 0.15, 0.45, 0.2]), summarise([5.0, 5.01, 5.02, 5.0])
    assert 0.02 < p_value(weak) < 0.05 and p_value(strong) < 1e-5
    found = {
        "headline": weak,
        "weak": weak,
        "another": weak,
        "strong": strong,
        "below": summarise([-5.0, -5.01, -5.02, -5.0]),
    }
    assert significant(found, lambda key: key == "headline") == {"headline", "strong", "below"}
    assert significant({"weak": weak}, lambda _key: False) == {"weak"}  # one alone needs no correction


def test_cells() -> None:
    found = summarise([1.0, 2.0, 3.0])
    assert interval(found, 2, real=False) == "+2.00 [-0.48, +4.48]"
    assert interval(found, 1, real=True) == "+2.0 [-0.5, +4.5] *"
    assert interval(summarise([1.0]), 2, real=False) == "+1.00"
    assert pair_title("A", "B", headline=True) == "**A - B**"
