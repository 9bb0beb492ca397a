"""Readings without photons after `low_dose` of a starved scan: a share exp(-photons) of the lower dose has none."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg

N = 200_000


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("photons", "dose"), [(3.0, 0.5), (1.0, 0.5), (1.0, 0.1), (10.0, 0.1), (0.3, 0.5)])
def test_empty_readings(photons: float, dose: float, dtype: torch.dtype) -> None:
    clean = torch.zeros(N, dtype=dtype)
    measured = sg.add_photon_noise(clean, photons, generator=generator(0))
    low, counts = sg.low_dose(measured, dose, photons, generator=generator(1), return_counts=True)
    right = math.exp(-dose * photons)
    error = 5 * math.sqrt(right * (1 - right) / N)
    assert (counts == 0).double().mean().item() == pytest.approx(right, abs=error)
    assert torch.equal(counts <= 0, counts == 0) and torch.equal(counts < 0.5, counts == 0)
    direct = sg.add_photon_noise(clean, dose * photons, generator=generator(2))
    spread = math.sqrt(2 * direct.double().var().item() / N)
    assert low.double().mean().item() == pytest.approx(direct.double().mean().item(), abs=5 * spread)


def test_a_thick_object() -> None:
    """0.6 photons are expected of 1e5; at a quarter of the dose 86 % of the readings are empty."""
    measured = sg.add_photon_noise(torch.full((N,), 12.0), 1e5, generator=generator(0))
    _, counts = sg.low_dose(measured, 0.25, 1e5, generator=generator(1), return_counts=True)
    right = math.exp(-0.25e5 * math.exp(-12))
    assert right == pytest.approx(0.8576, abs=1e-4)
    assert (counts <= 0).double().mean().item() == pytest.approx(right, abs=5 * math.sqrt(right * (1 - right) / N))
