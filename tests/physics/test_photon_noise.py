from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sinograd.physics import add_photon_noise, low_dose, photon_counts

N = 200_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("photons", "p", "sigma"), [(4.0, 0.5, 0.0), (1e3, 1.0, 0.0), (1e5, 3.0, 20.0), (1e7, 0.0, 0.0)]
)
def test_counts_have_the_mean_and_variance_of_theory(
    dtype: torch.dtype, photons: float, p: float, sigma: float
) -> None:
    """Mean and variance are photons exp(-p), electronic noise adds sigma^2; within five standard errors."""
    counts = photon_counts(torch.full((N,), p, dtype=dtype), photons, sigma, generator=generator()).double()
    mean = photons * math.exp(-p)
    variance = mean + sigma**2
    kurtosis_term = 2 * variance**2 + mean  # fourth central moment less the squared variance
    assert abs(counts.mean().item() - mean) < 5 * math.sqrt(variance / N) + 1e-7 * mean
    assert abs(counts.var().item() - variance) < 5 * math.sqrt(kurtosis_term / N)
    assert sigma > 0 or bool((counts == counts.round()).all())


def test_line_integrals_have_the_variance_and_bias_of_theory() -> None:
    """Var(-ln(c / N0)) = (m + s^2) / m^2 and its bias (m + s^2) / (2 m^2), to first order in 1 / m."""
    photons, p, sigma = 2e4, 2.0, 30.0
    noisy = add_photon_noise(torch.full((N,), p, dtype=torch.float64), photons, sigma, generator=generator(1))
    m = photons * math.exp(-p)
    variance = (m + sigma**2) / m**2
    assert noisy.var().item() == pytest.approx(variance, rel=0.02)
    assert noisy.mean().item() - p == pytest.approx(variance / 2, abs=5 * math.sqrt(variance / N))


def test_starved_rays_stop_at_the_floor() -> None:
    clean = torch.full((1000,), 20.0)
    noisy, counts = add_photon_noise(clean, 1e3, 2.0, floor=0.25, generator=generator(), return_counts=True)
    clamped = counts < 0.25
    assert 300 < int(clamped.sum()) < 700 and bool((counts < 0).any())
    assert torch.allclose(noisy[clamped], torch.tensor(math.log(1e3 / 0.25)))
    assert bool((noisy[~clamped] <= math.log(1e3 / 0.25)).all())
    assert torch.allclose(noisy[~clamped], torch.log(1e3 / counts[~clamped]), atol=1e-5)


def test_same_generator_same_noise_and_input_kept() -> None:
    clean = torch.rand(3, 4, 5)
    before = clean.clone()
    first, again = (add_photon_noise(clean, 1e4, 3.0, generator=generator(2)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, add_photon_noise(clean, 1e4, 3.0, generator=generator(3)))
    assert torch.equal(clean, before)
    assert first.dtype == clean.dtype and first.shape == clean.shape


def test_photons_per_pixel_and_view() -> None:
    """A bowtie [rows, columns] times a tube current [views, 1, 1]."""
    bowtie = torch.tensor([[1e2, 1e6]])
    current = torch.tensor([1.0, 100.0])[:, None, None]
    clean = torch.ones(2, 1, 2)[:, :, None].expand(2, 1, 20000, 2).reshape(2, 20000, 2)
    noisy = add_photon_noise(clean, bowtie * current, generator=generator(4))
    expected = math.e / (bowtie * current)  # 1 / counts
    assert torch.allclose(noisy.var(dim=1), expected[:, 0], rtol=0.1)
    assert torch.allclose(noisy.mean(dim=1), torch.ones(2, 2), atol=0.05)


def test_noise_only_where_there_is_noise() -> None:
    sigma = torch.tensor([0.0, 50.0])
    counts = photon_counts(torch.zeros(5000, 2), 100.0, sigma, generator=generator(5))
    assert counts[:, 0].std().item() == pytest.approx(10, rel=0.1)
    assert counts[:, 1].std().item() == pytest.approx(51, rel=0.1)


def test_result_is_detached() -> None:
    assert not add_photon_noise(torch.ones(3, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(photons=0.0), "photons must be positive and finite, got 0.0"),
        (dict(photons=torch.tensor([1.0, -2.0])), "photons must be positive and finite, got -2.0"),
        (dict(photons=math.nan), "photons must be positive and finite, got nan"),
        (dict(photons=torch.ones(3)), r"photons \[3\] does not broadcast to line_integrals \[4, 2\]"),
        (dict(photons=torch.ones(5, 4, 2)), r"photons \[5, 4, 2\] does not broadcast"),
        (dict(electronic_noise=-1.0), "electronic_noise must be finite and not negative, got -1.0"),
        (dict(floor=0.0), "floor must be a positive number of photons, from 1e-30 to .*, got 0"),
        (dict(line_integrals=torch.full((4, 2), -1000.0)), "-1000 with 100000 photons makes a reading of more than 1e"),
        (dict(line_integrals=torch.tensor([0.0, math.nan])), "line_integrals must be finite, got 1 values"),
    ],
)
def test_bad_values(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_photon_noise(**{"line_integrals": torch.zeros(4, 2), **arguments})


def test_bad_dtype() -> None:
    with pytest.raises(TypeError, match="line_integrals must be float32 or float64"):
        add_photon_noise(torch.zeros(3, dtype=torch.float16))


@pytest.mark.parametrize("value", [-1000.0, -60.0, math.inf, -math.inf, math.nan, 1000.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["noise", "counts", "low dose", "the same dose", "correlated"])
def test_extreme_line_integrals_are_finite_or_an_error(name: str, value: float, dtype: torch.dtype) -> None:
    """Opaque readings are the floor's; what is no measurement is one error, whatever the noise."""
    functions = {
        "noise": lambda p, s: add_photon_noise(p, 1e5, s),
        "counts": lambda p, s: photon_counts(p, 1e5, s),
        "low dose": lambda p, s: low_dose(p, 0.5, 1e5, s),
        "the same dose": lambda p, s: low_dose(p, 1.0, 1e5, s),
        "correlated": lambda p, s: low_dose(p, 0.5, 1e5, s, correlation=[0.5, 1.0, 0.5]),
    }
    line_integrals = torch.ones(3, 4, 5, dtype=dtype)
    line_integrals[1, 2, 2] = value
    for sigma in (0.0, 5.0):
        if math.isfinite(value) and value > 0:
            result = functions[name](line_integrals, sigma)
            assert bool(torch.isfinite(result).all())
            assert sigma > 0 or name == "counts" or result[1, 2, 2] > math.log(1e5) - 1e-3
            continue
        with pytest.raises(ValueError, match=r"line_integrals(: .* makes a reading of more| must be finite, got 1)"):
            functions[name](line_integrals, sigma)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arguments_that_are_no_numbers_or_beyond_them(dtype: torch.dtype) -> None:
    p = torch.ones(3, 4, dtype=dtype)
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"photons": "many"}, TypeError, "photons must be a number or a tensor"),
        ({"photons": None}, TypeError, "photons must be a number or a tensor"),
        ({"electronic_noise": "x"}, TypeError, "electronic_noise must be a number or a tensor"),
        ({"electronic_noise": 1e30}, ValueError, r"electronic_noise must be at most 1e\+15 photons, got 1e\+30"),
        ({"floor": None}, TypeError, "floor must be a number"),
        ({"floor": True}, TypeError, "floor must be a number"),
        ({"floor": 1e300}, ValueError, r"floor must be .*, got 1e\+300"),
        ({"floor": 1e-300}, ValueError, "floor must be .*, got 1e-300"),
        ({"generator": 5}, TypeError, r"generator must be a torch\.Generator or None, got int"),
    ]
    for arguments, kind, message in wrong:
        for function in (add_photon_noise, lambda p, **more: low_dose(p, 0.5, **{"photons": 1e5, **more})):
            with pytest.raises(kind, match=message):
                function(p, **arguments)
    with pytest.raises(TypeError, match="correlation must be a kernel of numbers, got 'a'"):
        low_dose(p, 0.5, 1e5, correlation="a")  # pyright: ignore[reportArgumentType, reportCallIssue]
