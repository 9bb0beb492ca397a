"""Ranges and percentiles of volumes. Truth: numpy's sorted values."""

from __future__ import annotations

import numpy as np
import pytest

from sinograd.data import Volume
from sinograd.data.value_range import value_range
from sinograd.geometry import Grid


def ranked(values: np.ndarray, share: float) -> float:
    ordered = np.sort(values[np.isfinite(values)].astype(np.float32).ravel())
    return float(ordered[round((len(ordered) - 1) * share / 100)])


def test_against_numpy() -> None:
    rng = np.random.default_rng(0)
    shape = (7, 20, 30)
    stacks = {
        "normal": rng.normal(0, 1, shape).astype(np.float32),
        "outlier": np.where(rng.random(shape) < 0.001, 1e20, rng.normal(0.02, 1e-4, shape)).astype(np.float32),
        "whole": rng.integers(-1000, 3000, shape).astype(np.int16),
        "one value": np.full(shape, -0.25, np.float32),
        "tiny and zero": np.where(rng.random(shape) < 0.5, 0, 1e-40).astype(np.float32),
    }
    for name, values in stacks.items():
        found = value_range(Volume(values, Grid(shape)), (0, 0.5, 25, 50, 99.5, 100))
        assert (found.low, found.high) == (float(values.min()), float(values.max())), name
        assert found.percentiles == {share: ranked(values, share) for share in found.percentiles}, name


def test_values_that_are_none() -> None:
    values = np.array([[np.nan, 1, np.inf], [3, 2, -np.inf]], np.float32)
    found = value_range(Volume(values, Grid((2, 3))), (50,))
    assert (found.low, found.high, found.percentiles, found.count, found.finite) == (1, 3, {50: 2}, 6, 3)
    assert np.isnan(value_range(Volume(values[:, :1] * np.nan, Grid((2, 1)))).low)


def test_some_slices_of_large_volumes() -> None:
    values = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((6, 2, 2), np.float32)
    found = value_range(Volume(values, Grid((6, 2, 2))), (50,), most_bytes=40)
    assert (found.every, found.count, found.high) == (3, 8, 3) or found.high == pytest.approx(3)


def test_a_histogram_between_the_percentiles() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0.02, 1e-4, (9, 30, 40)).astype(np.float32)
    values[0, 0, :3] = 1e20, -5, np.nan
    found = value_range(Volume(values, Grid(values.shape)))
    low, high = found.span
    assert low <= found.percentiles[0.5] and found.percentiles[99.5] <= high < 1
    assert high - low < 3 * (found.percentiles[99.5] - found.percentiles[0.5])
    expected, _ = np.histogram(values[np.isfinite(values)].astype(np.float64), found.counts.size, (low, high))
    np.testing.assert_allclose(found.counts, expected, atol=1)
    assert found.counts.sum() == ((values >= low) & (values <= high)).sum()
    assert value_range(Volume(np.full((2, 3), 7.0), Grid((2, 3)))).counts.size == 0
    whole = value_range(Volume(np.arange(48, dtype=np.int16).reshape(6, 8), Grid((6, 8))), (0, 100))
    assert whole.span == (0, 47) and whole.counts.tolist() == [1] * 48
