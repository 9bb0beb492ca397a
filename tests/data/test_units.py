from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.errors import InputError, InputTypeError
from sinograd.physics import attenuation_from_hounsfield, hounsfield_from_attenuation


def test_definition() -> None:
    """Water is 0, air -1000, and twice the attenuation of water 1000."""
    attenuation = torch.tensor([0.0206, 0.0, 0.0412], dtype=torch.float64)
    hounsfield = hounsfield_from_attenuation(attenuation, 0.0206)
    assert torch.allclose(hounsfield, torch.tensor([0.0, -1000.0, 1000.0], dtype=torch.float64), atol=1e-9)
    with_air = hounsfield_from_attenuation(torch.tensor([2.5e-5, 0.0206], dtype=torch.float64), 0.0206, 2.5e-5)
    assert torch.allclose(with_air, torch.tensor([-1000.0, 0.0], dtype=torch.float64), atol=1e-9)


def test_inverse() -> None:
    attenuation = torch.rand(4, 5, dtype=torch.float64)
    there = hounsfield_from_attenuation(attenuation, 0.02, 1e-5)
    assert torch.allclose(attenuation_from_hounsfield(there, 0.02, 1e-5), attenuation, atol=1e-14)


@pytest.mark.parametrize(("water", "air"), [(0.0, 0.0), (-0.02, 0.0), (0.02, 0.03), (float("inf"), 0.0)])
def test_bad_reference(water: float, air: float) -> None:
    with pytest.raises(ValueError, match="water must be a finite attenuation"):
        hounsfield_from_attenuation(torch.zeros(2), water, air)


@pytest.mark.parametrize(
    ("unit", "options", "error"),
    [
        ("HU", {"water": "0.02"}, "water: expected a number"),
        ("HU", {"water": np.array([0.02, 0.03])}, "water: expected a number"),
        ("HU", {"water": True}, "water: expected a number"),
        ("HU", {"water": 0.02, "air": None}, "air: expected a number"),
        ("mg/cm3", {"density": (1000,)}, "expected `density`"),
        ("mg/cm3", {"density": "1000,0"}, "expected `density`"),
        ("mg/cm3", {"density": (float("nan"), 0)}, "expected `density`"),
        (None, {}, "unit: expected one of"),
    ],
)
def test_wrong_numbers_of_a_conversion_are_one_error(unit, options, error):
    volume = sg.Volume(torch.ones(2, 3, 4), sg.Grid((2, 3, 4), 1.0), "1/mm")
    with pytest.raises((InputError, InputTypeError), match=error):
        volume.to(unit, **options)


def test_provenance_must_be_a_mapping():
    wrong: Any = "by hand"
    with pytest.raises(InputTypeError, match="provenance must be a mapping"):
        sg.Volume(torch.ones(2, 3, 4), sg.Grid((2, 3, 4), 1.0), provenance=wrong)
