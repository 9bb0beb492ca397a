"""Lag. Truth: the convolution with the impulse response, summed term by term."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sinograd.errors import InputError, InputTypeError
from sinograd.physics import Lag, add_lag
from sinograd.preparation import correct_lag

LAG = Lag((0.01, 0.002), (0.5, 0.03))


def response(count: int) -> np.ndarray:
    k = np.arange(count)
    terms = [b * np.exp(-a * k) for b, a in zip(LAG.amplitudes, LAG.rates, strict=True)]
    held = sum(b / (1 - np.exp(-a)) for b, a in zip(LAG.amplitudes, LAG.rates, strict=True))
    return sum(terms) + (1 - held) * (k == 0)


def test_readings_are_the_convolution_with_the_response() -> None:
    signal = np.random.default_rng(0).random((40, 3))
    expected = np.stack([np.convolve(column, response(40))[:40] for column in signal.T], 1)
    assert add_lag(torch.from_numpy(signal), LAG).numpy() == pytest.approx(expected, abs=1e-12)
    assert response(2000).sum() == pytest.approx(1, abs=1e-9)


def test_the_step_response_is_a_step() -> None:
    """A step up and down again, measured with lag by the convolution: within 0.1 % of the step afterwards."""
    step = np.zeros(300)
    step[50:150] = 1.0
    measured = torch.from_numpy(np.convolve(step, response(300))[:300])
    assert float((measured - torch.from_numpy(step)).abs().max()) > 0.05
    assert correct_lag(measured, LAG).numpy() == pytest.approx(step, abs=1e-3)
    single = correct_lag(measured.float(), LAG)
    assert single.numpy() == pytest.approx(step, abs=1e-3)


def test_blocks_go_on_from_each_other_and_gradients_pass() -> None:
    readings = torch.rand(20, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = correct_lag(readings, LAG)
    first, state = correct_lag(readings[:7], LAG, return_state=True)
    torch.testing.assert_close(torch.cat([first, correct_lag(readings[7:], LAG, state=state)]), whole)
    torch.testing.assert_close(add_lag(whole, LAG), readings)
    assert torch.autograd.gradcheck(lambda x: correct_lag(x, LAG), readings[:4].requires_grad_())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Lag((0.1,), (0.1, 0.2)), InputError, "as many amplitudes as rates"),
        (lambda: Lag((-0.1,), (0.1,)), InputError, "positive numbers"),
        (lambda: Lag((0.5,), (0.1,)), InputError, "of the signal for the view itself"),
        (lambda: correct_lag(torch.ones(3, dtype=torch.int32), LAG), InputTypeError, "floating-point"),
        (lambda: correct_lag(torch.ones(3), (0.1, 0.2)), InputTypeError, "must be a Lag, got tuple"),  # type: ignore
    ],
)
def test_what_cannot_be_is_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
