"""Paganin's filter. Truth: the thickness of a sphere, whose image Fresnel's propagator makes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sinograd.errors import InputError, InputTypeError
from sinograd.preparation import paganin

ENERGY = 20.0
WAVELENGTH = 1.239841984e-6 / ENERGY  # mm
DELTA, BETA = 5.8e-7, 3.2e-10  # about those of a plastic
PIXEL, RADIUS, SIZE = 0.001, 0.12, 400  # mm


def thickness() -> np.ndarray:
    x = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL
    return 2 * np.sqrt(np.maximum(RADIUS**2 - x[:, None] ** 2 - x**2, 0))


def intensity(distance: float) -> torch.Tensor:
    """Of a plane wave of one, at a distance behind the sphere, mm."""
    k = 2 * math.pi / WAVELENGTH
    wave = np.exp(-1j * k * DELTA * thickness() - k * BETA * thickness())
    f = np.fft.fftfreq(SIZE, PIXEL)
    propagator = np.exp(-1j * math.pi * WAVELENGTH * distance * (f[:, None] ** 2 + f**2))
    return torch.from_numpy(np.abs(np.fft.ifft2(np.fft.fft2(wave) * propagator)) ** 2)


MU = 4 * math.pi * BETA / WAVELENGTH
INSIDE = thickness() > 0.5 * RADIUS


def test_thickness_of_a_sphere_in_a_parallel_beam() -> None:
    image = intensity(50.0)
    raw = -image.log().numpy() / MU
    found = paganin(image, pixel_mm=PIXEL, distance_mm=50.0, energy=ENERGY, delta_beta=DELTA / BETA).numpy() / MU
    assert np.abs(raw - thickness())[INSIDE].max() > 0.1 * 2 * RADIUS  # edges before
    assert np.abs(found - thickness())[INSIDE].max() < 0.02 * 2 * RADIUS
    assert found[INSIDE].mean() == pytest.approx(thickness()[INSIDE].mean(), rel=0.005)


def test_thickness_in_a_cone_beam() -> None:
    """By Fresnel's scaling theorem a point source at z1 and a detector at z2 make the image of z1 z2 / (z1 + z2)."""
    z1, z2 = 75.0, 150.0
    image = intensity(z1 * z2 / (z1 + z2))
    options = {"energy": ENERGY, "delta_beta": DELTA / BETA}
    found = paganin(image, pixel_mm=PIXEL * (z1 + z2) / z1, distance_mm=z2, source_mm=z1, **options).numpy() / MU
    assert np.abs(found - thickness())[INSIDE].max() < 0.02 * 2 * RADIUS


def test_the_ratio_of_a_material() -> None:
    """Of water at 20 keV delta is 5.76e-7 (2.8179e-13 cm x wavelength^2 x 3.343e23 / cm^3 / 2 pi)."""
    pytest.importorskip("xraydb", reason="needs the extra spectra")
    from sinograd.physics import attenuation
    from sinograd.preparation.phase import _ratio

    beta = attenuation("water", ENERGY) * WAVELENGTH / (4 * math.pi)
    assert _ratio("water", ENERGY) * beta == pytest.approx(5.76e-7, rel=0.01)


def test_gradients_and_rows_that_are_not_square() -> None:
    image = torch.rand(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.4
    options = {"pixel_mm": (0.002, 0.001), "distance_mm": 10.0, "energy": 20.0, "delta_beta": 500.0}
    assert torch.autograd.gradcheck(lambda x: paganin(x, **options), image.requires_grad_())
    assert paganin(torch.full((7, 9), 0.5), **options).numpy() == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"transmission": torch.zeros(4, 4)}, InputError, "positive fractions"),
        ({"transmission": torch.ones(4)}, InputTypeError, "rows, columns"),
        ({"delta_beta": None}, InputError, "either delta_beta or a material"),
        ({"material": "water"}, InputError, "either delta_beta or a material"),
        ({"energy": -1.0}, InputError, "energy must be positive"),
        ({"source_mm": 0.0}, InputError, "source_mm must be positive"),
    ],
)
def test_what_cannot_be_is_refused(change, error: type[Exception], message: str) -> None:
    options = {"transmission": torch.ones(4, 4), "pixel_mm": 1.0, "distance_mm": 1.0, "energy": 20.0, "delta_beta": 9.0}
    with pytest.raises(error, match=message):
        paganin(**(options | change))
