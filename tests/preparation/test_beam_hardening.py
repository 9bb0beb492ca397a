"""Beam hardening of a spectrum of three lines, which is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from sinograd.preparation import beam_hardening_polynomial, correct_beam_hardening
from sinograd.preparation.beam_hardening import correct_beam_hardening_

LENGTHS = np.linspace(0, 60, 61)
ENERGIES = ((0.3, 0.06), (0.4, 0.03), (0.3, 0.02))  # share of the counts, attenuation in 1/mm


def measured(lengths: np.ndarray) -> np.ndarray:
    return -np.log(sum(share * np.exp(-mu * lengths) for share, mu in ENERGIES))


def test_corrected_line_integrals_are_proportional_to_length() -> None:
    p = measured(LENGTHS)
    assert np.abs(p / p[-1] - LENGTHS / 60).max() > 0.04  # hardened
    coefficients = beam_hardening_polynomial(LENGTHS, p, attenuation=0.03, degree=4)
    corrected = correct_beam_hardening(torch.from_numpy(p), coefficients).numpy()
    assert np.abs(corrected - 0.03 * LENGTHS).max() < 0.005 * 1.8


def test_the_slope_at_zero_is_kept() -> None:
    coefficients = beam_hardening_polynomial(LENGTHS, measured(LENGTHS), degree=5)
    assert coefficients[0] == 1
    mean = sum(share * mu for share, mu in ENERGIES)  # what an infinitely thin object attenuates
    corrected = correct_beam_hardening(torch.from_numpy(measured(LENGTHS)), coefficients).numpy()
    assert corrected[-1] / 60 == pytest.approx(mean, rel=0.02)


def test_the_polynomial() -> None:
    p = torch.rand(2, 3, 4, dtype=torch.float64) - 0.2
    expected = 0.9 * p + 0.2 * p**2 - 0.05 * p**3
    assert torch.allclose(correct_beam_hardening(p, (0.9, 0.2, -0.05)), expected)
    assert torch.allclose(correct_beam_hardening_(p.clone(), (0.9, 0.2, -0.05)), expected)
    assert torch.equal(correct_beam_hardening_(p.clone(), (1.0,)), p)
    numbers = torch.tensor([0.9, 0.2, -0.05], dtype=torch.float64, requires_grad=True)
    assert gradcheck(correct_beam_hardening, (p.requires_grad_(), numbers))


@pytest.mark.parametrize("coefficients", [(), (1.0, float("nan"))])
def test_wrong_coefficients(coefficients: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="coefficients"):
        correct_beam_hardening(torch.ones(3), coefficients)


def test_wrong_measurements() -> None:
    with pytest.raises(ValueError, match="as many of each"):
        beam_hardening_polynomial([1.0, 2.0], [0.1, 0.2], degree=3)
    with pytest.raises(ValueError, match="finite"):
        beam_hardening_polynomial([1.0, 2.0], [0.1, np.nan], degree=1)
