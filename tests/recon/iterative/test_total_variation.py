"""Total variation. Truth: loops over voxels, autograd, optimality conditions, scikit-image."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from sinograd.recon import tv_denoise
from sinograd.recon.iterative import total_variation
from sinograd.recon.iterative.total_variation import TotalVariation

SHAPES = {(4, 5): (1.0, 2.0), (3, 4, 5): (2.0, 1.0, 1.0), (1, 6): (1.0, 1.0), (5, 1, 3): (1.0, 1.0, 1.0), (7,): (3.0,)}


def gradient(x: Tensor, spacing: tuple[float, ...]) -> Tensor:
    """Voxel by voxel, [axes, ...]."""
    field = torch.zeros(x.ndim, *x.shape, dtype=x.dtype)
    for index in itertools.product(*map(range, x.shape)):
        for axis in range(x.ndim):
            after = tuple(i + (a == axis) for a, i in enumerate(index))
            if after[axis] < x.shape[axis]:
                field[(axis, *index)] = (x[after] - x[index]) * min(spacing) / spacing[axis]
    return field


@pytest.fixture(params=[1, 1 << 18], ids=["slabs of one slice", "one slab"])
def slabs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(total_variation, "SLAB_BYTES", request.param)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient(shape: tuple[int, ...], slabs: None) -> None:
    spacing = SHAPES[shape]
    variation = TotalVariation(spacing)
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    for smoothing in (0.0, 0.3):
        lengths = [(gradient(one, spacing).square().sum(0) + smoothing**2 + 1e-300).sqrt() - smoothing for one in x]
        expected = torch.stack([length.sum() for length in lengths])
        torch.testing.assert_close(variation.value(x.detach(), smoothing), expected.detach())
    (slope,) = torch.autograd.grad(expected.sum(), x)
    target = torch.ones_like(x.detach())
    variation.add_smoothed_gradient_(target, x.detach(), 2.0, 0.3)
    torch.testing.assert_close(target, 1 + 2 * slope)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_transposed_gradient_and_dual_step(shape: tuple[int, ...], slabs: None) -> None:
    spacing = SHAPES[shape]
    variation = TotalVariation(spacing)
    x, field = torch.randn(shape, dtype=torch.float64), torch.randn(len(shape), *shape, dtype=torch.float64)
    for axis in range(len(shape)):
        field[axis].narrow(axis, shape[axis] - 1, 1).zero_()  # as in every gradient
    inner = (gradient(x, spacing) * field).sum()
    target = torch.zeros_like(x)
    variation.add_transposed_(target, field, 0.5)
    torch.testing.assert_close((target * x).sum(), 0.5 * inner)
    moved = field + 0.7 * gradient(x, spacing)
    expected = moved / (moved.square().sum(0).sqrt() / 0.9).clamp(min=1)
    variation.ascend_(field, x, 0.7, limit=0.9)
    torch.testing.assert_close(field, expected)


def test_bound() -> None:
    """Of the gradient's norm: above it, and not by much."""
    for shape, spacing in {(12, 12): (1.0, 2.0), (12, 12, 12): (1.0, 1.0, 1.0)}.items():
        board = (-1.0) ** sum(torch.meshgrid(*map(torch.arange, shape), indexing="ij"))  # type: ignore[call-overload]
        squared = (gradient(board, spacing).square().sum() / board.square().sum()).item()
        assert squared <= TotalVariation(spacing).bound <= 1.1 * squared


def test_denoised_images_are_optimal(slabs: None) -> None:
    x = torch.zeros(9, 8, dtype=torch.float64)
    x[3:7, 2:6] = 1
    noisy = x + 0.3 * torch.randn(x.shape, dtype=torch.float64)
    weight = 0.4
    denoised = tv_denoise(noisy, weight, iterations=250)
    value = TotalVariation((1.0, 1.0)).value

    def objective(image: Tensor) -> float:
        return (0.5 * (image - noisy).square().sum() + weight * value(image)).item()

    other = torch.from_numpy(denoise_tv_chambolle(noisy.numpy(), weight, eps=1e-12, max_num_iter=4000))
    assert objective(denoised) == pytest.approx(objective(other), rel=1e-4)
    assert (denoised - other).abs().max() < 0.01
    assert denoised.mean() == pytest.approx(noisy.mean().item())


def test_bounds_and_dimensions() -> None:
    x = torch.randn(3, 8, 9)
    bounded = tv_denoise(x, 0.5, ndim=2, lower=-0.2, upper=0.3)
    assert bounded.min() >= -0.2 and bounded.max() <= 0.3
    for i in range(3):
        torch.testing.assert_close(bounded[i], tv_denoise(x[i], 0.5, lower=-0.2, upper=0.3))
    assert torch.equal(tv_denoise(x, 0.0), x)
    flat = tv_denoise(x[0], 1e3, iterations=300)
    assert (flat - x[0].mean()).abs().max() < 1e-3
    coarse = tv_denoise(x[0], 0.5, spacing=(1e6, 1.0), iterations=200)  # rows that do not see each other
    torch.testing.assert_close(coarse[4], tv_denoise(x[0, 4:5], 0.5, iterations=200)[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": -1.0}, "weight: expected a number from 0, got -1.0"),
        ({"weight": math.nan}, "weight"),
        ({"weight": 1.0, "ndim": 3}, "ndim"),
        ({"weight": 1.0, "ndim": 2, "spacing": (1.0,)}, "one spacing for each"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tv_denoise(torch.zeros(4, 5), **arguments)
