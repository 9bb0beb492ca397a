"""Counts of `low_dose` and `add_photon_noise` against the distributions of SciPy, from 0.01 to 1e20 photons."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sinograd.physics import add_photon_noise, low_dose, photon_counts
from sinograd.physics.draws import binomial

N = 40_000
UNLIKELY = 1e-4
DOUBLE = torch.float64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def p_value(counts: torch.Tensor, mean: float) -> float:
    """Of Poisson counts: chi-square up to 1e4 photons, above it Kolmogorov-Smirnov against the normal distribution."""
    values = counts.double().numpy()
    assert np.array_equal(values, values.round())
    if mean > 1e4:
        return float(stats.kstest((values - mean) / math.sqrt(mean), "norm").pvalue)
    low, high = (int(stats.poisson.ppf(q, mean)) for q in (10 / N, 1 - 10 / N))
    edges = np.arange(low, max(high, low + 1) + 1)
    expected = np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])) * N
    observed = np.bincount(np.searchsorted(edges, values), minlength=len(expected)).astype(float)
    if expected[-1] < 5:  # too few for the test: with their neighbours
        expected, observed = (np.append(x[:-2], x[-2:].sum()) for x in (expected, observed))
    return float(stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


@pytest.mark.parametrize("photons", [0.3, 1.0, 3.0, 10.0, 100.0, 1e4, 1e6, 1e12, 1e17, 1e20])
def test_lowered_counts_are_those_of_the_lower_dose(photons: float) -> None:
    measured = add_photon_noise(torch.zeros(N, dtype=DOUBLE), photons, generator=generator(1))
    for dose in (0.9, 0.5, 0.1, 0.01):
        if dose * photons < 0.02:
            continue
        line, counts = low_dose(measured, dose, photons, generator=generator(2), return_counts=True)
        assert p_value(counts, dose * photons) > UNLIKELY, dose
        assert torch.equal(line, -(counts.clamp(min=0.5) / (dose * photons)).log())


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("photons", [0.01, 0.3, 1.0, 3.0])
def test_mean_and_empty_readings_below_a_photon(photons: float, dtype: torch.dtype) -> None:
    """The mean line integral is the sum over the Poisson distribution, with its floor."""
    measured = add_photon_noise(torch.zeros(N, dtype=dtype), photons, generator=generator(3))
    for dose in (1.0, 0.9, 0.5, 0.1):
        line, counts = low_dose(measured, dose, photons, generator=generator(4), return_counts=True)
        mean, k = dose * photons, np.arange(60)
        weights, values = stats.poisson.pmf(k, mean), -np.log(np.maximum(k, 0.5) / mean)
        expected = float((weights * values).sum())
        spread = math.sqrt(float((weights * (values - expected) ** 2).sum()) / N)
        assert line.double().mean().item() == pytest.approx(expected, abs=4 * spread + 1e-6)
        empty = math.exp(-mean)
        assert (counts == 0).double().mean().item() == pytest.approx(empty, abs=4 * math.sqrt(empty * (1 - empty) / N))
        assert torch.equal(counts, counts.round())


@pytest.mark.parametrize("mean", [1e8, 1e10, 1e13, 1e15, 1e17, 1e20])
def test_many_photons_are_poisson(mean: float) -> None:
    counts = photon_counts(torch.full((N,), 2.0, dtype=DOUBLE), mean * math.exp(2), generator=generator(5))
    assert stats.kstest(((counts - mean) / math.sqrt(mean)).numpy(), "norm").pvalue > UNLIKELY
    assert counts.var().item() / mean == pytest.approx(1, abs=5 * math.sqrt(2 / N))


def test_single_precision_resolves_many_photons_in_air() -> None:
    """Line integrals of 1e-9 are numbers of float32, though counts of 1e17 to single photons are not."""
    air = torch.zeros(N)
    measured = add_photon_noise(air, 1e17, generator=generator(6))
    low = low_dose(measured, 0.25, 1e17, generator=generator(7))
    for values, photons in ((measured, 1e17), (low, 0.25e17)):
        assert values.dtype == torch.float32
        assert values.double().var().item() * photons == pytest.approx(1, abs=5 * math.sqrt(2 / N))


@pytest.mark.parametrize(("trials", "chance"), [(1e14, 1e-13), (1e14, 1 - 1e-13), (1e16, 1e-11), (1e14, 0.3)])
def test_binomial_numbers_of_many_trials(trials: float, chance: float) -> None:
    drawn = binomial(torch.full((N,), trials, dtype=DOUBLE), chance, generator(8))
    variance = trials * chance * (1 - chance)
    rare = drawn if chance < 0.5 else trials - drawn
    mean = trials * min(chance, 1 - chance)
    assert rare.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(variance / N))
    assert rare.var().item() == pytest.approx(variance, rel=5 * math.sqrt((2 + 1 / variance) / N))


@pytest.mark.parametrize(("photons", "sigma"), [(1e-3, 3.0), (0.5, 0.1), (30.0, 3.0), (1e4, 50.0)])
@pytest.mark.parametrize("dose", [0.9, 0.5, 0.1])
def test_electronic_noise_keeps_mean_and_variance(photons: float, sigma: float, dose: float) -> None:
    """Also where half of the measured readings were below the floor and lost their value."""
    measured = add_photon_noise(torch.zeros(N, dtype=DOUBLE), photons, sigma, generator=generator(9))
    _, counts = low_dose(measured, dose, photons, sigma, generator=generator(10), return_counts=True)
    mean, variance = dose * photons, dose * photons + sigma**2
    assert counts.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(variance / N))
    assert counts.var().item() == pytest.approx(variance, rel=0.05)
    direct = photon_counts(torch.zeros(N, dtype=DOUBLE), mean, sigma, generator=generator(11))
    shares = [(values <= 0).double().mean().item() for values in (counts, direct)]
    assert shares[0] == pytest.approx(shares[1], abs=0.015)


@pytest.mark.parametrize("shape", [(90_000,), (300, 300), (9, 100, 100)])
@pytest.mark.parametrize(("mean", "sigma"), [(1.0, 1.0), (2.0, 3.0), (3.0, 10.0), (0.5, 5.0)])
@pytest.mark.parametrize("correlation", [None, [1.0]])
def test_a_few_photons_behind_the_floor(
    shape: tuple[int, ...], mean: float, sigma: float, correlation: list[float] | None
) -> None:
    """Half of the readings were cut: the mean a m and the variance a m + s^2 stay (0.18 and 5 % off without)."""
    photons, dose = 1000.0, 0.5
    clean = torch.full(shape, math.log(photons / mean), dtype=DOUBLE)
    measured = add_photon_noise(clean, photons, sigma, generator=generator(20))
    given = {"correlation": correlation, "generator": generator(21), "return_counts": True}
    _, counts = low_dose(measured, dose, photons, sigma, **given)  # type: ignore[call-overload]
    variance = dose * mean + sigma**2
    assert counts.mean().item() == pytest.approx(dose * mean, abs=4 * math.sqrt(variance / counts.numel()))
    assert counts.var().item() == pytest.approx(variance, rel=0.025)


def test_photons_of_a_bowtie() -> None:
    photons = torch.tensor([0.5, 5.0, 1e5], dtype=DOUBLE)
    measured = add_photon_noise(torch.zeros(N, 3, dtype=DOUBLE), photons, generator=generator(12))
    _, counts = low_dose(measured, 0.3, photons, generator=generator(13), return_counts=True)
    for column, mean in enumerate((0.15, 1.5, 3e4)):
        assert p_value(counts[:, column], mean) > UNLIKELY


def test_averaged_references_leave_parts_of_photons() -> None:
    """Counts of 0.8 photons each: the mean stays, and a reading that lost them all is zero."""
    counts = 0.8 * torch.poisson(torch.full((N,), 2.0, dtype=DOUBLE), generator=generator(14))
    measured = -(counts.clamp(min=0.5) / 10).log()
    _, low = low_dose(measured, 0.5, 10.0, generator=generator(15), return_counts=True)
    assert low.mean().item() == pytest.approx(0.8, abs=5 * 0.8 / math.sqrt(N))
    assert (low[counts == 0] == 0).all() and (low >= 0).all()
    single = low[(counts - 0.8).abs() < 1e-9]
    assert (single == 0).double().mean().item() == pytest.approx(0.5, abs=0.03)


def test_the_whole_dose_is_the_same_scan() -> None:
    """Bit for bit, as far as no line integral is above what the floor allows."""
    for dtype in (torch.float32, DOUBLE):
        measured = add_photon_noise(3 * torch.rand(4, 5, 6, dtype=dtype), 1e3, generator=generator(16))
        low, counts = low_dose(measured, 1.0, 1e3, generator=generator(17), return_counts=True)
        assert torch.equal(low, measured) and torch.equal(counts, counts.round())
    assert low_dose(torch.tensor([30.0]), 1.0, 100.0).item() == pytest.approx(math.log(200))


@pytest.mark.parametrize("function", [add_photon_noise, photon_counts, low_dose])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_readings_beyond_all_numbers_are_an_error(function: object, dtype: torch.dtype) -> None:
    line = torch.zeros(3, 4, dtype=dtype)
    line[1, 2] = -1000
    arguments = (0.5, 1e5) if function is low_dose else (1e5,)
    with pytest.raises(ValueError, match=r"line_integrals: -1000 with 100000 photons makes a reading"):
        function(line, *arguments)  # pyright: ignore
    line[1, 2] = 1000.0  # no photon
    assert torch.isfinite(function(line, *arguments)).all()  # pyright: ignore


def test_two_dimensional_scans_are_made_in_blocks_of_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator's numbers follow the blocks, whose size is a constant; views alone are as views of a scan."""
    monkeypatch.setattr("sinograd.physics.lower_dose._BLOCK", 5 * 9)
    measured = torch.rand(12, 9, dtype=DOUBLE)
    whole = low_dose(measured, 0.4, 1e4, 2.0, generator=generator(18))
    one = generator(18)
    parts = [low_dose(measured[i : i + 5], 0.4, 1e4, 2.0, generator=one) for i in (0, 5, 10)]
    assert torch.equal(whole, torch.cat(parts))
