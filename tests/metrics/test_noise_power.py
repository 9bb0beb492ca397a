"""Noise power spectra of noise whose spectrum is known, and of simulated water scans."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sinograd.metrics import noise_of_repeats, noise_power_spectrum, ring_of_centers


def test_white_noise_is_flat() -> None:
    noise = 12 * torch.randn(40, 64, 64)
    found = noise_power_spectrum(noise, spacing=(0.5, 0.7), degree=-1)
    assert float(found.variance) == pytest.approx(float(noise.double().square().mean()), rel=1e-12)
    spectrum = found.radial()
    # |DFT|^2 of white noise has relative deviation 1 at each frequency and its opposite has the same.
    expected = 144 * 0.5 * 0.7
    sure = spectrum.counts > 20
    deviation = (spectrum.power / expected - 1) * (40 * spectrum.counts / 2).sqrt()
    assert deviation[sure].abs().max() < 4
    assert spectrum.mean_frequency == pytest.approx(float(spectrum.frequency[-1]) / 2, rel=0.02)


def test_filtered_noise_has_the_filters_power() -> None:
    """Noise times a transfer function in the Fourier domain, made with NumPy."""
    generator = np.random.default_rng(1)
    n, step = 64, 0.4
    fy, fx = np.meshgrid(np.fft.fftfreq(n, step), np.fft.fftfreq(n, step), indexing="ij")
    f = np.hypot(fy, fx)
    transfer = f * np.exp(-((f / 0.5) ** 2))  # a ramp with a window, as of a reconstruction
    noise = np.fft.ifft2(np.fft.fft2(generator.normal(size=(60, n, n))) * transfer).real
    found = noise_power_spectrum(torch.from_numpy(noise), spacing=step, degree=-1)
    want = torch.from_numpy(np.fft.fftshift(transfer**2)) * step**2
    assert float((found.power - want).norm() / want.norm()) < 2 / math.sqrt(60)
    assert found.radial().peak_frequency == pytest.approx(0.5 / math.sqrt(2), abs=0.06)
    assert float(found.frequency_y[n // 2]) == 0 and float(found.power[n // 2, n // 2]) < 1e-20


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_detrending_takes_away_polynomials(degree: int) -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(0, 2, 40), indexing="ij")
    surface = sum((3 + i - j) * y**i * x**j for i in range(degree + 1) for j in range(degree + 1 - i))
    assert isinstance(surface, torch.Tensor)
    options = {"spacing": 1.0, "degree": degree}
    assert float(noise_power_spectrum(surface, **options).variance) < 1e-10
    assert float(noise_power_spectrum(surface + 5 * y ** (degree + 1), **options).variance) > 1e-3


def test_regions() -> None:
    image = torch.zeros(100, 120)
    image[42:58, 92:108] = torch.randn(16, 16)
    centers = ring_of_centers(image.shape, 40, 4)
    np.testing.assert_allclose(centers, [(49.5, 99.5), (89.5, 59.5), (49.5, 19.5), (9.5, 59.5)], atol=1e-12)
    found = noise_power_spectrum(image, spacing=1.0, size=16, centers=centers, degree=0)
    want = image[42:58, 92:108].double().var(correction=0) / 4
    assert float(found.variance) == pytest.approx(float(want), rel=1e-12) and found.regions == 4
    assert noise_power_spectrum(image, spacing=1.0, size=(50, 40)).regions == 3 * 5


def test_it_is_differentiable() -> None:
    image = torch.randn(10, 9, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: noise_power_spectrum(x, spacing=0.5).power, image)


def test_repeats() -> None:
    scans = 100 * torch.rand(1, 40, 40) + 3 * torch.randn(5, 40, 40)
    noise = noise_of_repeats(scans)
    assert float(noise.square().mean()) == pytest.approx(float(scans.var(0).mean()), rel=1e-5)


def test_simulated_water(shared_data: Path) -> None:
    """Four scans of water: the integral is the variance that NumPy measures, with repeats and from each by itself."""
    files = sorted((shared_data / "fda_water").glob("uniform_fbp_sharp_*.raw"))
    assert len(files) == 4
    scans = np.stack([np.fromfile(file, "<i2").reshape(256, 256) for file in files]).astype(np.float64)
    tensor = torch.from_numpy(scans)
    middle = scans[:, 96:160, 96:160]
    between = noise_power_spectrum(noise_of_repeats(tensor)[:, 96:160, 96:160], spacing=1.0, degree=-1)
    assert float(between.variance) == pytest.approx(middle.var(axis=0, ddof=1).mean(), rel=1e-6)

    options = {"spacing": 1.0, "size": 64, "centers": [(127.5, 127.5)]}
    alone = noise_power_spectrum(tensor, **options)
    measured = middle.var(axis=(1, 2), ddof=1).mean()
    assert float(alone.variance) == pytest.approx(measured, rel=0.01)
    ring = ring_of_centers(scans.shape, 60, 8)
    around = noise_power_spectrum(tensor, spacing=1.0, size=32, centers=ring)
    cut = [scans[:, round(y - 15.5) : round(y + 16.5), round(x - 15.5) : round(x + 16.5)] for y, x in ring]
    assert float(around.variance) == pytest.approx(np.mean([c.var(axis=(1, 2), ddof=1) for c in cut]), rel=0.02)
    # Filtered backprojection: little noise at low frequencies, most in between.
    spectrum = alone.radial()
    assert 0.1 < spectrum.peak_frequency < 0.45 and spectrum.power[2] < 0.5 * spectrum.power.nan_to_num().max()
    assert float(spectrum.counts.sum()) > 64 * 64 * 0.7


def test_bad_input() -> None:
    image = torch.zeros(40, 50)
    for change, message in (
        ({"spacing": 0}, "spacing: expected one positive number of mm or two"),
        ({"spacing": (1, 2, 3)}, "spacing"),
        ({"size": 41}, "size: expected regions of 8 x 8 pixels to the image's 40 x 50, got 41 x 41"),
        ({"size": 4}, "size"),
        ({"size": 16, "centers": [(5, 20)]}, "leaves the image of 40 x 50"),
        ({"size": 16, "centers": []}, "centers: expected at least one"),
        ({"degree": 4}, "degree"),
    ):
        with pytest.raises(ValueError, match=message):
            noise_power_spectrum(image, **{"spacing": 1.0, **change})
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        noise_power_spectrum(image[0], spacing=1.0)
    with pytest.raises(ValueError, match="at least 2 scans along the first axis, got 1"):
        noise_of_repeats(image[None])
    with pytest.raises(ValueError, match="count"):
        ring_of_centers((8, 8), 2, 0)
    with pytest.raises(ValueError, match="step"):
        noise_power_spectrum(torch.randn(8, 8), spacing=1.0).radial(0)
