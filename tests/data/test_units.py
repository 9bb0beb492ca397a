from __future__ import annotations

import pytest
import torch

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
