from __future__ import annotations

import math

import pytest
import torch

from sinograd.physics import line_integrals_from_transmission, transmission_from_line_integrals


def test_half_value_layer() -> None:
    """A layer of ln 2 / mu lets half of the photons through."""
    p = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64) * math.log(2)
    t = transmission_from_line_integrals(p)
    assert torch.allclose(t, torch.tensor([1.0, 0.5, 0.125], dtype=torch.float64))
    assert torch.allclose(line_integrals_from_transmission(t), p, atol=1e-15)


def test_gradients() -> None:
    p = torch.rand(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(transmission_from_line_integrals, (p,))
    t = (0.1 + torch.rand(5, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(line_integrals_from_transmission, (t,))


def test_minimum() -> None:
    t = torch.tensor([0.5, 0.0, -1.0])
    with pytest.raises(ValueError, match="transmission must be positive to have a logarithm, got -1"):
        line_integrals_from_transmission(t)
    expected = -torch.tensor([0.5, 0.01, 0.01]).log()
    assert torch.allclose(line_integrals_from_transmission(t, 0.01), expected)
    assert torch.allclose(line_integrals_from_transmission(t, torch.full((3,), 0.01)), expected)
    with pytest.raises(ValueError, match="minimum must be positive"):
        line_integrals_from_transmission(t, 0.0)
