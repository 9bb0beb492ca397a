"""Total variation. Truth: loops over voxels, autograd, optimality conditions, scikit-image."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from sinograd.recon import tv_denoise
from sinograd.recon.iterative import variation_slabs
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


@pytest.fixture(params=[1, 1 << 18, None], ids=["slabs of one slice", "one slab", "kernels"])
def slabs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch, slab by slab, as on other devices; and the kernels."""
    if request.param is not None:
        monkeypatch.setattr(variation_slabs, "SLAB_BYTES", request.param)
        monkeypatch.setattr(TotalVariation, "_compiled", lambda *tensors: False)


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
    variation.descend(target, field, -0.5, target)
    torch.testing.assert_close((target * x).sum(), 0.5 * inner)
    bounded = variation.descend(x, field, -0.5, torch.empty_like(x), (-0.3, 0.4))
    torch.testing.assert_close(bounded, (x + target).clamp(-0.3, 0.4))
    moved = field + 0.7 * gradient(x, spacing)
    expected = moved / (moved.square().sum(0).sqrt() / 0.9).clamp(min=1)
    dual, ahead = torch.randn_like(field), field.clone()
    overshoot = expected + 0.6 * (expected - dual)
    variation.ascend_(dual, x, 0.7, 0.9, ahead, 0.6)
    torch.testing.assert_close(dual, expected)
    torch.testing.assert_close(ahead, overshoot)
    variation.ascend_(field, x, 0.7, limit=0.9)
    torch.testing.assert_close(field, expected)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 150, 130), (2, 41, 40, 37), (40_000,)], ids=str)
def test_kernels_are_torchs(shape: tuple[int, ...], dtype: torch.dtype, threads: int) -> None:
    """Large enough for several threads, with a batch where there is room for one; NaN stays where it is."""
    spacing = (0.5, 1.0, 2.0)[: min(len(shape), 3)] if len(shape) < 4 else (0.5, 2.0)
    variation, before = TotalVariation(spacing), torch.get_num_threads()
    factors, axes = variation.factors, variation.ndim
    x, fields = torch.randn(shape, dtype=dtype), torch.randn(3, axes, *shape, dtype=dtype)
    for axis in range(axes):
        fields[:, axis].narrow(axis - axes, shape[axis - axes] - 1, 1).zero_()
    close: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    torch.set_num_threads(threads)
    try:
        dual, ahead = fields[0].clone(), fields[1].clone()
        other_dual, other_ahead = fields[0].clone(), fields[1].clone()
        variation.ascend_(dual, x, 0.3, 0.8, ahead, 0.7)
        variation_slabs.ascend_(other_dual, x, factors, 0.3, 0.8, other_ahead, 0.7)
        torch.testing.assert_close((dual, ahead), (other_dual, other_ahead), **close)
        image = variation.descend(x, fields[2], 0.7, torch.empty_like(x), (-1.0, 2.0))
        other = variation_slabs.descend(x, fields[2], factors, 0.7, torch.empty_like(x), (-1.0, 2.0))
        torch.testing.assert_close(image, other, **close)
        torch.testing.assert_close(variation.value(x, 0.1), variation_slabs.value(x, factors, 0.1), rtol=1e-5, atol=0)
        x.view(-1)[5] = math.nan
        assert variation.descend(x, fields[2], 0.7, torch.empty_like(x), (-1.0, 2.0)).isnan().sum() == 1
    finally:
        torch.set_num_threads(before)


def test_other_layouts() -> None:
    """Transposed images and fields are worked on where they are."""
    variation, x = TotalVariation((1.0, 1.0)), torch.randn(6, 5).t()
    field = torch.randn(2, 6, 5).transpose(1, 2)
    own = field.contiguous()
    variation.ascend_(own, x.contiguous(), 0.5, 1.0)
    variation.ascend_(field, x, 0.5, 1.0)
    torch.testing.assert_close(field, own)
    assert variation.value(torch.zeros(0, 4, 5)).shape == (0,) and variation.value(torch.zeros(4, 5)).shape == ()


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
