from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.func import grad, jvp, vmap

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
    with pytest.raises(ValueError, match="minimum must be positive and finite, got 0"):
        line_integrals_from_transmission(t, 0.0)


BEYOND = [-1000.0, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("value", BEYOND)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_no_number_is_an_error(value: float, dtype: torch.dtype) -> None:
    """None of the functions gives infinity or NaN; exp(1000) is beyond float64."""
    values = torch.tensor([0.5, value], dtype=dtype)
    text = r"exp\(1000\) is beyond" if value == -1000 else "must be finite, got 1 values"
    with pytest.raises(ValueError, match=f"line_integrals.*{text}"):
        transmission_from_line_integrals(values)
    if not math.isfinite(value):
        for minimum in (None, 0.1):
            with pytest.raises(ValueError, match="transmission must be finite, got 1 values"):
                line_integrals_from_transmission(values, minimum)
    for minimum in (math.inf, math.nan, torch.tensor([0.1, math.inf])):
        with pytest.raises(ValueError, match="minimum must be positive and finite"):
            line_integrals_from_transmission(torch.ones(2), minimum)
    assert transmission_from_line_integrals(torch.tensor(1000.0)) == 0


def test_what_is_no_tensor_is_an_error() -> None:
    wrong: list[Any] = [[0.5], 0.5, None, "0.5", torch.ones(2, dtype=torch.complex64)]
    for value in wrong:
        for function in (transmission_from_line_integrals, line_integrals_from_transmission):
            with pytest.raises(TypeError, match="must be a tensor of real numbers"):
                function(value)
    with pytest.raises(TypeError, match="minimum must be a number or a tensor, got 'a'"):
        line_integrals_from_transmission(torch.ones(2), "a")  # pyright: ignore[reportArgumentType]


def test_transforms() -> None:
    """exp(-p) has the derivative -exp(-p), in batches too, whose values are not looked at."""
    p = torch.rand(3, 4, dtype=torch.float64)
    fraction = transmission_from_line_integrals
    torch.testing.assert_close(vmap(grad(lambda x: fraction(x).sum()))(p), -(-p).exp())
    torch.testing.assert_close(jvp(fraction, (p,), (p,))[1], -p * (-p).exp())
