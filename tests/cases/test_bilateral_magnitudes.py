"""The bilateral filter of a tiny or huge multiple of a volume is that multiple of the filtered volume."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sinograd as sg

SCALES = {torch.float32: (1e-30, 1e-25, 1e-21, 1e20, 1e25, 1e35), torch.float64: (1e-200, 1e-160, 1e160, 1e250)}
CASES = [(dtype, scale) for dtype, scales in SCALES.items() for scale in scales]


def everything(x: Tensor, joint: bool, scale: float, dtype: torch.dtype) -> list[Tensor]:
    """Result and gradients to input, spatial sigmas, range sigma and guide, each divided by its power of the scale."""
    leaves = [
        (scale * x).to(dtype).requires_grad_(),
        torch.tensor([0.8, 0.9, 1.0], dtype=dtype, requires_grad=True),
        torch.tensor(0.7 * scale, dtype=dtype, requires_grad=True),
    ]
    if joint:
        leaves.append((1.5 * scale * x.flip(0)).to(dtype).requires_grad_())
        result = sg.ops.joint_bilateral_filter(leaves[0], leaves[3], leaves[1], leaves[2])
    else:
        result = sg.ops.bilateral_filter(*leaves)
    gradients = torch.autograd.grad(result.sum(), leaves)
    powers = (scale, 1.0, scale, 1.0, 1.0)
    return [t.detach().double() / power for t, power in zip((result, *gradients), powers, strict=False)]


@pytest.mark.parametrize("joint", [False, True], ids=["plain", "joint"])
@pytest.mark.parametrize(("dtype", "scale"), CASES, ids=str)
def test_scale(dtype: torch.dtype, scale: float, joint: bool) -> None:
    x = torch.randn(4, 6, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tolerance = 2e-5 if dtype == torch.float32 else 1e-13
    for actual, expected in zip(
        everything(x, joint, scale, dtype), everything(x, joint, 1.0, torch.float64), strict=True
    ):
        assert float((actual - expected).abs().max() / expected.abs().max()) <= tolerance


def test_layer_in_tiny_and_huge_units() -> None:
    x = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    expected = sg.BilateralFilter2d(0.8, 0.5)(x).detach()
    for scale in (2.0**-90, 2.0**90):
        actual = sg.BilateralFilter2d(0.8, 0.5, input_scale=scale)(scale * x).detach() / scale
        assert torch.allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [sg.BilateralFilter2d, sg.BilateralFilter3d, sg.JointBilateralFilter2d])
def test_range_sigmas_that_a_layer_cannot_hold(kind: type) -> None:
    """Below a millionth of its knee a layer's sigma stops: 1e-12 silently was 4e-9. `input_scale` takes it."""
    with pytest.raises(sg.errors.InputError, match=r"sigma_range: expected at least 4\.2e-09 units of `input_scale`"):
        kind(1.0, 1e-12)
    layer = kind(1.0, 0.7, input_scale=1e-12)
    assert float(layer.sigma_range.detach() * layer.input_scale) == pytest.approx(7e-13)
    assert float(kind(1.0, 5e-9).sigma_range.detach()) == pytest.approx(5e-9, rel=1e-5)
