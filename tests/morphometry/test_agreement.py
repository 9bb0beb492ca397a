"""Accuracy and precision. Truth: the tables of paper 001, and noise that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sinograd.errors import InputError
from sinograd.morphometry import (
    accuracy_error,
    adjusted_r2,
    deviation,
    difference_of_averages,
    mean_and_half_range,
    precision_error,
    psnr_decibels,
    psnr_natural,
    root_mean_square_error,
)

# Tables 1 and 2 of arXiv 2011.02382: rows (dAvg, SD, RMSE, AE, PE, PSNR, adjusted R2 in %), and mean and deviation of
# the truth. The deviation is that of PSNR and RMSE (all rows of a parameter agree on it): table 3 prints 118.57, 35.14,
# 29.73 and 6.93, of all patches and not of the folds.
TRUTH = {"voxel": (115.90, 127.0), "BMD": (115.90, 34.33), "TMD": (334.54, 29.83), "BVTV": (17.30, 6.78)}
ROWS = {
    "HR TMD": (5.37, 19.30, 28.82, 27.48, 12.43, 22.66, 15.90),
    "HR TMD BM4D": (-1.57, 18.85, 27.72, 26.34, 12.66, 23.44, 18.03),
    "HR TMD NN_BMD": (-44.94, 18.62, 49.71, 49.23, 10.28, 11.77, 50.14),
    "HR TMD NN_SP": (-0.05, 23.90, 17.70, 14.35, 11.97, 32.42, 65.30),
    "LR TMD": (119.08, 30.53, 125.54, 124.66, 13.42, -6.77, 1.73),
    "LR TMD BM4D": (104.97, 29.03, 111.79, 110.84, 13.84, -4.45, 2.12),
    "LR TMD NN_BMD": (-43.68, 15.49, 49.99, 49.39, 13.93, 11.68, 34.28),
    "LR TMD NN_SP": (0.56, 22.97, 21.53, 17.68, 14.76, 28.50, 48.67),
    "HR BVTV": (11.02, 6.58, 11.51, 11.41, 1.48, 11.39, 76.88),
    "LR BVTV": (19.99, 4.15, 20.42, 20.36, 2.36, -0.07, 66.12),
    "LR BVTV NN_SP": (-0.02, 6.38, 2.48, 2.04, 1.38, 42.14, 86.86),
    "HR BMD": (1.49, 34.12, 8.31, 6.38, 4.96, 50.34, 94.37),
    "LR BMD": (2.07, 34.29, 11.48, 5.76, 9.19, 43.91, 89.46),
    "HR voxel": (1.61, 191.36, 199.43, 71.24, 114.50, 12.95, 7.14),
}


def with_statistics(row: tuple[float, ...], truth: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Three repetitions and a truth of which dAvg, SD, RMSE and PE are exactly those of a row.

    Truth, signal beside it and noise are orthogonal; the noise of the repetitions sums to zero, and has sample
    variance s^2 = (PE SD / SD(truth))^2.
    """
    offset, spread, error, _, precision, *_ = row
    mean, width = truth
    n = 2000
    raw = np.random.default_rng(0).standard_normal((4, n))
    basis = np.linalg.qr((raw - raw.mean(1, keepdims=True)).T)[0].T * math.sqrt(n)
    # sample variances have n - 1: the truth has the printed one exactly
    signal = math.sqrt((n - 1) / n)
    noise = precision * spread / width * math.sqrt(2 / 3)
    along = (offset**2 + (width**2 + spread**2) * signal**2 - error**2) / (2 * width * signal)
    beside = math.sqrt(spread**2 * signal**2 - along**2 - noise**2)
    y = mean + width * signal * basis[0]
    angles = 2 * math.pi * np.arange(3)[:, None] / 3
    repetitions = noise * (np.cos(angles) * basis[2] + np.sin(angles) * basis[3])
    return mean + offset + along * basis[0] + beside * basis[1] + repetitions, y


@pytest.mark.parametrize("name", ROWS)
def test_published_rows(name: str) -> None:
    """AE in the published form, natural PSNR and adjusted R2 follow from the others, but for means over folds."""
    row, truth = ROWS[name], TRUTH[name.split()[1]]
    x, y = with_statistics(row, truth)
    offset, spread, error, accuracy, precision, peak, correlation = row
    assert difference_of_averages(x, y) == pytest.approx(offset, abs=1e-9)
    assert deviation(x) == pytest.approx(spread, rel=1e-6)
    assert root_mean_square_error(x, y) == pytest.approx(error, rel=1e-6)
    assert precision_error(x, y) == pytest.approx(precision, rel=1e-6)
    assert accuracy_error(x, y, published=True) == pytest.approx(accuracy, rel=0.005)
    assert psnr_natural(x, y) == pytest.approx(peak, abs=0.1)
    assert 100 * adjusted_r2(x, y) == pytest.approx(correlation, abs=1.0)


def test_the_published_accuracy_is_too_small() -> None:
    """Papers' notes: unbiased, voxels of HR have 100 for 71.24, and BMD of LR 6.89 for 5.76. LR voxels: 0."""
    x, y = with_statistics(ROWS["HR voxel"], TRUTH["voxel"])
    assert accuracy_error(x, y) == pytest.approx(100, abs=1)
    assert accuracy_error(*with_statistics(ROWS["LR BMD"], TRUTH["BMD"])) == pytest.approx(6.89, abs=0.02)
    low = (1.47, 332.26, 338.67, 0.0, 123.68, 2.36, 1.97)
    assert accuracy_error(*with_statistics(low, TRUTH["voxel"]), published=True) == 0


def test_the_bias_of_known_noise() -> None:
    """Estimates 0.9 y + 3 + noise of 8: the unbiased error is that of 0.9 y + 3, the published one below."""
    drawn = np.random.default_rng(1)
    y = drawn.normal(100, 20, 200_000)
    x = 0.9 * y + 3 + drawn.normal(0, 8, (3, y.size))
    clean = root_mean_square_error(0.9 * y + 3, y)
    assert accuracy_error(x, y) == pytest.approx(clean, rel=0.005)
    assert accuracy_error(x, y, published=True) ** 2 == pytest.approx(clean**2 - 64 / 6, rel=0.01)
    assert precision_error(x, y) == pytest.approx(8 * 20 / math.hypot(18, 8), rel=0.005)


def test_shrinking_the_contrast_does_not_lower_the_precision_error() -> None:
    drawn = np.random.default_rng(2)
    y = drawn.normal(100, 20, 500)
    x = y + drawn.normal(0, 8, (3, y.size))
    assert precision_error(100 + 0.1 * (x - 100), y) == pytest.approx(precision_error(x, y), rel=1e-12)


def test_the_two_logarithms_and_folds() -> None:
    drawn = np.random.default_rng(3)
    y = drawn.normal(0, 1, 50)
    x = y + drawn.normal(0, 0.5, (2, 50))
    error = math.sqrt(((x - y) ** 2).mean())
    assert psnr_decibels(x, y) == pytest.approx(20 * math.log10(3 * y.std(ddof=1) / error), rel=1e-12)
    assert psnr_natural(x, y) == pytest.approx(20 * math.log(3 * y.std(ddof=1) / error), rel=1e-12)
    assert psnr_natural(y, y) == math.inf and adjusted_r2(3 - 2 * y, y) == pytest.approx(1)
    r = np.corrcoef(x.ravel(), np.tile(y, 2))[0, 1]
    assert adjusted_r2(x, y) == pytest.approx(1 - (1 - r**2) * 99 / 98, rel=1e-12)
    assert math.isnan(adjusted_r2(np.ones(50), y)) and math.isnan(precision_error(np.ones((2, 50)), y))
    assert mean_and_half_range([1.0, 4.0, 2.5]) == (2.5, 1.5)
    assert all(map(math.isnan, mean_and_half_range([1.0, math.nan])))


def test_bad_input() -> None:
    y = np.arange(5.0)
    for call, words in (
        (lambda: accuracy_error(y[None], y), "at least 2 repetitions, got 1"),
        (lambda: precision_error(y, y), "at least 2 repetitions, got 1"),
        (lambda: accuracy_error(np.ones((3, 4)), y), r"estimates \[3, 4\] do not match truth \[5\]: patches 4 != 5"),
        (lambda: accuracy_error(np.ones((5, 3)), y), "patches 3 != 5"),
        (lambda: accuracy_error(np.full((3, 5), np.nan), y), "estimates: expected finite numbers, got 15 NaN"),
        (lambda: accuracy_error(np.ones((3, 5, 1)), y), r"estimates: expected \[repetitions, patches\], got shape"),
        (lambda: accuracy_error("abc", y), "estimates: expected numbers, got str"),
        (lambda: accuracy_error(np.ones((3, 1)), y[:1]), "truth: expected at least 2 patches, got 1"),
    ):
        with pytest.raises((InputError, TypeError), match=words):
            call()
