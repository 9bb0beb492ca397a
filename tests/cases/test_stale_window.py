"""A layer's window follows its sigmas, however they were changed: most of these ways count no version."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import sinograd as sg

THREE = torch.full((3,), 3.0)
CHANGES: dict[str, Callable[[nn.Parameter], object]] = {
    "data.fill_": lambda p: p.data.fill_(3.0),
    "data.copy_": lambda p: p.data.copy_(THREE),
    "data.mul_": lambda p: p.data.mul_(6.0),
    "data.add_": lambda p: p.data.add_(2.5),
    "data.clamp_": lambda p: p.data.clamp_(3.0, 4.0),
    "data =": lambda p: setattr(p, "data", THREE.clone()),
    "detach().fill_": lambda p: p.detach().fill_(3.0),
    "numpy view": lambda p: p.detach().numpy().fill(3.0),
    "foreach": lambda p: torch._foreach_add_([p.data], [torch.full((3,), 2.5)]),
    "vector_to_parameters": lambda p: nn.utils.vector_to_parameters(THREE, [p]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_wider(name: str) -> None:
    x = torch.randn(12, 24, 24, generator=torch.Generator().manual_seed(0))
    layer = sg.BilateralFilter3d(0.5, 1.0)
    layer(x)
    CHANGES[name](layer.raw_sigma_spatial)
    assert layer.current_window() == (15, 15, 15)
    assert torch.equal(layer(x), sg.BilateralFilter3d(3.0, 1.0)(x))


def test_narrower_and_joint() -> None:
    x = torch.randn(12, 24, generator=torch.Generator().manual_seed(0))
    layer = sg.JointBilateralFilter2d(3.0, 1.0)
    layer(x, x)
    layer.raw_sigma_spatial.data.fill_(0.5)
    assert layer.current_window() == (5, 5)
    assert torch.equal(layer(x, x), sg.JointBilateralFilter2d(0.5, 1.0)(x, x))


def test_optimiser_written_by_hand() -> None:
    x = torch.randn(6, 12, 12, generator=torch.Generator().manual_seed(0))
    layer = sg.BilateralFilter3d(0.5, 1.0)
    for _ in range(3):
        layer.zero_grad()
        (layer(x) - x.mean()).square().mean().backward()
        for parameter in layer.parameters():
            assert parameter.grad is not None
            parameter.data -= 20 * parameter.grad
    fresh = sg.BilateralFilter3d(layer.sigma_spatial.tolist(), layer.sigma_range.item())
    assert max(layer.current_window()) > 5
    assert torch.allclose(layer(x), fresh(x), atol=1e-6)


@pytest.mark.parametrize("part", ["taps", "weights"])
def test_trained_filter_of_fdk(part: str) -> None:
    """Nothing that follows from taps or weights is kept: doubled, the volume doubles."""
    fan = sg.FanBeam.circular(
        source_to_origin=60, source_to_detector=90, angles=sg.full_scan(24), detector=sg.FlatDetector(20, 1.0)
    )
    layer = sg.FBP(fan, sg.Grid((8, 8), 1.0), trainable=(part,))
    p = torch.rand(fan.projection_shape, generator=torch.Generator().manual_seed(0))
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            before = layer(p)
            getattr(layer, part).data.mul_(2.0)
            assert torch.allclose(layer(p), 2 * before, rtol=1e-5, atol=1e-7)
