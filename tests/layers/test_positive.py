"""Numbers that stay positive whatever an optimiser does."""

from __future__ import annotations

import pytest
import torch

from sinograd.layers import BilateralFilter2d
from sinograd.layers.bilateral import RANGE_KNEE, inverse_of_positive, positive

KNEE = 0.1


def test_the_value_itself_above_the_knee_its_logarithm_below() -> None:
    raw = torch.tensor([0.1, 0.3, 7.0], dtype=torch.float64)
    assert torch.equal(positive(raw, KNEE), raw)
    below = torch.tensor([0.0, -0.1, -0.5], dtype=torch.float64)
    assert torch.allclose(positive(below, KNEE).log(), (KNEE * torch.tensor([-1.0, -2.0, -6.0]).exp()).log().double())


def test_joins_smoothly_and_grows_everywhere() -> None:
    raw = torch.linspace(-1.2, 0.4, 100_001, dtype=torch.float64, requires_grad=True)
    values = positive(raw, KNEE)
    (slope,) = torch.autograd.grad(values.sum(), raw)
    assert (values > 0).all()
    assert (values.diff() > 0).all()
    assert slope.diff().abs().max() <= 2e-4  # no jump at the knee
    assert torch.autograd.gradcheck(lambda raw: positive(raw, KNEE), raw.detach()[::9973].requires_grad_())


@pytest.mark.parametrize("raw", [-1e30, -100.0, -1.4])
def test_never_reaches_zero(raw: float) -> None:
    start = torch.tensor(raw, requires_grad=True)
    value = positive(start, KNEE)
    assert value > 0
    value.backward()
    assert start.grad is not None
    assert start.grad.isfinite()


@pytest.mark.parametrize("value", [5.0, 0.5, 0.1, 0.03, 1e-4, 1e-6])
def test_inverse(value: float) -> None:
    raw = inverse_of_positive(value, KNEE)
    assert positive(torch.tensor(raw, dtype=torch.float64), KNEE).item() == pytest.approx(value, rel=1e-12)
    assert raw == value or value < KNEE


def test_one_step_at_the_published_rate_changes_a_small_sigma_by_a_factor_of_e_at_most() -> None:
    rate = 0.005
    raw = torch.linspace(-0.05, 0.02, 1001, dtype=torch.float64)
    ratio = positive(raw, rate) / positive(raw - rate, rate)
    assert ratio.max() <= torch.e * (1 + 1e-12)


def test_layers_made_of_a_layers_sigmas_have_its_bits() -> None:
    """As model files hold them; by the logarithm's rounding alone many are an ulp off."""
    raws = torch.rand(300, generator=torch.Generator().manual_seed(0)) * RANGE_KNEE
    for raw in raws:
        layer = BilateralFilter2d(0.05)
        layer.raw_sigma_range.data.copy_(raw)
        again = BilateralFilter2d(layer.sigma_spatial.tolist(), layer.sigma_range.item())
        assert torch.equal(again.sigma_range, layer.sigma_range) and torch.equal(
            again.sigma_spatial, layer.sigma_spatial
        )
