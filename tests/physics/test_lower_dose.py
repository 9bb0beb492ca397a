"""`low_dose` against Yu et al. (2012), true simulations at the lower dose, and the spectrum of its kernel."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.physics import add_photon_noise, low_dose

N = 200_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def yu_variance(p: float, dose: float, photons: float, electronic_noise: float) -> float:
    """Of the noise added to line integrals: their equation for it, electronic noise as photons s^2."""
    transmitted = math.exp(p) / photons
    return (1 - dose) / dose * transmitted * (1 + (1 + dose) / dose * electronic_noise**2 * transmitted)


@pytest.mark.parametrize("correlation", [None, [0.2, 1.0, 0.3]])
@pytest.mark.parametrize(
    ("p", "dose", "photons", "sigma"),
    [(0.0, 0.1, 1e5, 0.0), (3.0, 0.1, 1e5, 10.0), (2.0, 0.5, 2e4, 30.0), (1.0, 0.9, 1e3, 0.0), (4.0, 0.02, 1e6, 5.0)],
)
def test_added_variance_is_that_of_yu(
    p: float, dose: float, photons: float, sigma: float, correlation: list[float] | None
) -> None:
    """The measured scan without noise of its own, all lower readings above 100 counts; first order in 1 / counts."""
    lowered = dose * photons * math.exp(-p)
    assert lowered > 100
    measured = torch.full((N,), p, dtype=torch.float64)
    low = low_dose(measured, dose, photons, sigma, correlation=correlation, generator=generator())
    variance = yu_variance(p, dose, photons, sigma)
    sampling = 5 * math.sqrt(2 / N) * (1 if correlation is None else 1.5)
    assert low.var().item() == pytest.approx(variance, rel=sampling + 3 * variance)
    # The logarithm of noisy counts is high by half the variance.
    assert low.mean().item() - p == pytest.approx(variance / 2, abs=7 * math.sqrt(variance / N) + variance**2)


@pytest.mark.parametrize(("dose", "sigma"), [(0.1, 0.0), (0.1, 40.0), (0.5, 100.0)])
def test_variance_equals_that_of_a_true_simulation(dose: float, sigma: float) -> None:
    """Photons per pixel and view, p from 0 to 3: pixel by pixel over repeated scans."""
    views, rows, columns, repeats = 3, 2, 6, 20_000
    current = torch.tensor([1.0, 0.6, 1.4])[:, None, None]
    photons = 5e4 * current * torch.linspace(0.5, 1.0, columns)
    clean = torch.linspace(0, 3, rows * columns).reshape(rows, columns).expand(views, rows, columns)
    many = clean.expand(repeats, views, rows, columns)
    measured = add_photon_noise(many, photons, sigma, generator=generator(1))
    low = low_dose(measured, dose, photons, sigma, generator=generator(2))
    true = add_photon_noise(many, dose * photons, sigma, generator=generator(3))
    error = 5 * math.sqrt(2 * 2 / repeats)
    torch.testing.assert_close(low.var(dim=0), true.var(dim=0), rtol=error, atol=0)
    deviation = true.std(dim=0) * math.sqrt(2 / repeats)
    assert ((low.mean(dim=0) - true.mean(dim=0)).abs() < 5 * deviation).all()


def test_the_measured_noise_is_kept() -> None:
    """Low-dose and measured noise have the covariance of the measured one: a (m + s^2) against a m^2."""
    photons, dose, m = 1e4, 0.25, 1e4 * math.exp(-1)
    clean = torch.ones(N, dtype=torch.float64)
    measured = add_photon_noise(clean, photons, generator=generator())
    low = low_dose(measured, dose, photons, generator=generator(1))
    covariance = torch.cov(torch.stack([measured, low]))
    assert covariance[0, 1].item() == pytest.approx(1 / m, rel=0.03)
    assert covariance[1, 1].item() == pytest.approx(1 / (dose * m), rel=0.03)


@pytest.mark.parametrize("kernel", [[[0.03, 0.06, 0.02], [0.11, 0.98, 0.11], [0.02, 0.06, 0.03]], [1.0, 2.0]])
def test_spectrum_of_correlated_noise(kernel: list) -> None:
    """The noise has the power spectrum |DFT of the unit-energy kernel|^2 x variance.

    Compared lag by lag as autocovariance, its inverse Fourier transform, which has no leakage. The kernel
    [3, 3] is the shot noise kernel of Wang et al. (2014).
    """
    rows, columns, repeats = 24, 32, 400
    photons, dose = 1e6, 0.2
    measured = torch.full((repeats, rows, columns), 1.0, dtype=torch.float64)
    low = low_dose(measured, dose, photons, correlation=kernel, generator=generator(7))
    noise = (low - low.mean()) / math.sqrt(yu_variance(1.0, dose, photons, 0.0))
    unit = torch.atleast_2d(torch.tensor(kernel, dtype=torch.float64))
    unit = unit / unit.square().sum().sqrt()
    high, wide = unit.shape
    padded = torch.zeros(2 * high + 1, 2 * wide + 1, dtype=torch.float64)
    padded[:high, :wide] = unit
    expected = torch.fft.ifft2(torch.fft.fft2(padded).abs().square()).real
    for dy in range(high + 1):
        for dx in range(wide + 1):
            found = (noise[:, : rows - dy, : columns - dx] * noise[:, dy:, dx:]).mean()
            assert found.item() == pytest.approx(expected[dy, dx].item(), abs=0.012)
    # Edges are as noisy as the middle.
    assert noise[:, 0].var().item() == pytest.approx(1, abs=0.05)
    assert noise[:, :, -1].var().item() == pytest.approx(1, abs=0.06)


def test_starved_pixels_are_counted_and_finite() -> None:
    clean = torch.full((2, 8, 500), 6.0)
    measured = add_photon_noise(clean, 1e4, 1.0, generator=generator())
    low, counts = low_dose(measured, 0.02, 1e4, 1.0, generator=generator(1), return_counts=True)
    starved = counts < 0.5
    assert 0.3 < starved.float().mean() < 0.7 and (counts <= 0).any()
    assert torch.isfinite(low).all()
    torch.testing.assert_close(low[starved], torch.full_like(low[starved], math.log(200 / 0.5)))


def test_the_same_dose_changes_nothing() -> None:
    measured = add_photon_noise(3 * torch.rand(4, 5, 6), 1e5, 3.0, generator=generator())
    torch.testing.assert_close(low_dose(measured, 1, 1e5, 3.0), measured, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (7,), (5, 7), (3, 5, 7), (2, 3, 5, 7), (0, 5, 7)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    low, counts = low_dose(torch.zeros(shape), 0.5, 1e4, generator=generator(), return_counts=True)
    assert low.shape == counts.shape == shape and low.dtype == torch.float32
    if low.numel():
        assert low.abs().max() < 0.1 and (low.numel() < 5 or low.std() > 0)


def test_blocks_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same generator gives the same noise; views in several blocks are as noisy as in one."""
    measured = torch.rand(2, 30, 8, 9).transpose(0, 1)
    before = measured.clone()
    first, again = (low_dose(measured, 0.1, 1e5, 2.0, generator=generator(4)) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(measured, before)
    assert not torch.equal(first, low_dose(measured, 0.1, 1e5, 2.0, generator=generator(5)))
    monkeypatch.setattr("sinograd.physics.lower_dose._BLOCK", 5 * 72)
    blocked = low_dose(measured, 0.1, 1e5, 2.0, generator=generator(4))
    assert (blocked - measured).std().item() == pytest.approx((first - measured).std().item(), rel=0.1)
    assert not low_dose(measured.requires_grad_(), 0.1, 1e5).requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(dose=0.0), r"dose must be in \(0, 1\], as a fraction of the measured scan's, got 0.0"),
        (dict(dose=10), r"dose must be in \(0, 1\]"),
        (dict(dose=math.nan), r"dose must be in \(0, 1\].* got nan"),
        (dict(photons=-1e5), "photons must be positive and finite, got -100000.0"),
        (dict(photons=torch.ones(3)), r"photons \[3\] does not broadcast to line_integrals \[4, 2\]"),
        (dict(electronic_noise=math.inf), "electronic_noise must be finite and not negative, got inf"),
        (dict(floor=-1.0), "floor must be a positive number of photons"),
        (dict(correlation=torch.zeros(3, 3)), "correlation must be finite and not all zero"),
        (dict(correlation=torch.ones(3, 3, 3)), r"correlation must be a kernel .* got shape \[3, 3, 3\]"),
        (dict(line_integrals=torch.tensor([math.inf, math.nan])), "line_integrals must be finite, got 2 values"),
    ],
)
def test_bad_values(arguments: dict, message: str) -> None:
    good = {"line_integrals": torch.zeros(4, 2), "dose": 0.1, "photons": 1e5}
    with pytest.raises(ValueError, match=message):
        low_dose(**{**good, **arguments})


def test_bad_types() -> None:
    with pytest.raises(TypeError, match="dose must be a number, got tensor"):
        low_dose(torch.zeros(3), torch.tensor([0.5, 0.5]), 1e5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"line_integrals must be float32 or float64, got torch\.int64"):
        low_dose(torch.zeros(3, dtype=torch.int64), 0.5, 1e5)


def test_public_names() -> None:
    assert sg.low_dose is low_dose and sg.add_photon_noise is add_photon_noise
