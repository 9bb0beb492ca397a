"""Counts against the Poisson distribution itself, by SciPy's chi-square and Kolmogorov-Smirnov tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sinograd.physics import add_photon_noise, low_dose, photon_counts

N = 100_000
UNLIKELY = 1e-3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def poisson_chi_square(counts: torch.Tensor, mean: float) -> float:
    """p-value of whole counts under Poisson(mean); values expected fewer than 10 times are pooled."""
    values = counts.double().numpy()
    assert np.array_equal(values, values.round())
    low, high = (int(stats.poisson.ppf(q, mean)) for q in (10 / N, 1 - 10 / N))
    edges = np.arange(low, high + 1)
    expected = np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])) * len(values)
    observed = np.bincount(np.searchsorted(edges, values), minlength=len(expected))
    return stats.chisquare(observed, expected).pvalue


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mean", [0.05, 3.0, 40.0, 2000.0])
def test_counts_are_poisson(mean: float, dtype: torch.dtype) -> None:
    p = 1.25
    clean = torch.full((N,), p, dtype=dtype)
    counts = photon_counts(clean, mean * math.exp(p), generator=generator(int(mean)))
    assert poisson_chi_square(counts, mean) > UNLIKELY


def test_a_wrong_mean_is_noticed() -> None:
    """The chi-square test has the power to tell 1 % at 2000 counts."""
    counts = photon_counts(torch.zeros(N, dtype=torch.float64), 2000.0, generator=generator())
    assert poisson_chi_square(counts, 1980.0) < 1e-10


def test_electronic_noise_is_added_to_the_counts() -> None:
    """Poisson(9) + Normal(0, 2^2) has the distribution that summing over the photons gives."""
    counts = photon_counts(torch.zeros(N, dtype=torch.float64), 9.0, 2.0, generator=generator(1))
    photons = np.arange(60)
    weights = stats.poisson.pmf(photons, 9.0)

    def distribution(x: np.ndarray) -> np.ndarray:
        return (weights * stats.norm.cdf(np.asarray(x)[:, None], photons, 2.0)).sum(axis=1)

    assert stats.kstest(counts.numpy(), distribution).pvalue > UNLIKELY


@pytest.mark.parametrize("mean", [4.0, 150.0])
@pytest.mark.parametrize("dose", [0.1, 0.5])
def test_thinned_photons_are_poisson_at_the_lower_dose(mean: float, dose: float) -> None:
    """A Poisson count of which each photon is kept with the probability a is Poisson with a times the mean."""
    photons = mean / dose * math.exp(0.7)
    measured = add_photon_noise(torch.full((N,), 0.7, dtype=torch.float64), photons, floor=1e-6, generator=generator(2))
    _, counts = low_dose(measured, dose, photons, generator=generator(3), return_counts=True)
    assert poisson_chi_square(counts.round(), mean) > UNLIKELY
    assert (counts - counts.round()).abs().max() < 1e-5


def test_the_lower_dose_is_a_measurement_of_it() -> None:
    """Two-sample KS against a true simulation at the lower dose, with photons per column and electronic noise."""
    photons = torch.tensor([400.0, 3000.0, 20000.0], dtype=torch.float64)
    clean = torch.full((40_000, 3), 0.5, dtype=torch.float64)
    measured = add_photon_noise(clean, photons, 5.0, generator=generator(4))
    simulated = low_dose(measured, 0.25, photons, 5.0, generator=generator(5))
    true = add_photon_noise(clean, 0.25 * photons, 5.0, generator=generator(6))
    for column in range(3):
        assert stats.ks_2samp(simulated[:, column].numpy(), true[:, column].numpy()).pvalue > UNLIKELY
