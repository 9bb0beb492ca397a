"""SSIM, PSNR and RMSE against scikit-image, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from sinograd.metrics import mse, psnr, rmse, ssim

RANGE = 400.0
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def images(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """A structured reference in HU-like numbers and a noisy version of it."""
    clean = 150 * torch.rand(shape, dtype=torch.float64).cumsum(-1).sin() + 40
    return (clean + 30 * torch.randn(shape, dtype=torch.float64)).to(dtype), clean.to(dtype)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, WANG),
        ({"weights": "uniform"}, {}),
        ({"weights": "uniform", "width": 11, "sample_covariance": False},
         {"win_size": 11, "use_sample_covariance": False}),
        ({"sigma": 2.0, "sample_covariance": True, "k1": 0.02, "k2": 0.05},
         {"gaussian_weights": True, "sigma": 2.0, "K1": 0.02, "K2": 0.05}),
    ],
)  # fmt: skip
def test_ssim_is_scikit_images(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    noisy, clean = images(3, 33, 40)
    found = ssim(noisy, clean, data_range=RANGE, **ours)
    pairs = zip(noisy.numpy(), clean.numpy(), strict=True)
    want = [structural_similarity(a, b, data_range=RANGE, **theirs) for a, b in pairs]
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-12)
    assert found.shape == (3,) and 0.1 < float(found[0]) < 0.99
    assert float(ssim(noisy[0], clean[0], data_range=RANGE, **ours)) == pytest.approx(want[0], abs=1e-12)


def test_ssim_of_volumes_and_float32() -> None:
    noisy, clean = images(13, 14, 15)
    found = ssim(noisy, clean, data_range=RANGE, ndim=3)
    want = structural_similarity(noisy.numpy(), clean.numpy(), data_range=RANGE, **WANG)
    assert found.shape == () and float(found) == pytest.approx(want, abs=1e-12)
    noisy, clean = images(20, 21, dtype=torch.float32)
    want = structural_similarity(noisy.double().numpy(), clean.double().numpy(), data_range=RANGE)
    assert float(ssim(noisy, clean, data_range=RANGE, weights="uniform")) == pytest.approx(want, abs=1e-12)
    assert float(ssim(clean, clean, data_range=RANGE)) == 1


@pytest.mark.parametrize("ndim", [2, 3])
def test_psnr_and_rmse_are_scikit_images(ndim: int) -> None:
    noisy, clean = images(2, 4, 16, 17)
    lead = noisy.shape[: 4 - ndim]
    pairs = [(noisy[i].numpy(), clean[i].numpy()) for i in np.ndindex(*lead)]
    want = np.array([peak_signal_noise_ratio(b, a, data_range=RANGE) for a, b in pairs]).reshape(lead)
    np.testing.assert_allclose(psnr(noisy, clean, data_range=RANGE, ndim=ndim), want, rtol=0, atol=1e-10)
    want = np.array([mean_squared_error(a, b) for a, b in pairs]).reshape(lead)
    np.testing.assert_allclose(mse(noisy, clean, ndim=ndim), want, rtol=1e-12)
    np.testing.assert_allclose(rmse(noisy, clean, ndim=ndim), np.sqrt(want), rtol=1e-12)


def test_equal_images() -> None:
    _, clean = images(16, 16)
    assert float(psnr(clean, clean, data_range=RANGE)) == math.inf and float(rmse(clean, clean)) == 0


def test_gradients() -> None:
    noisy, clean = images(1, 12, 12)
    noisy, clean = noisy / RANGE, clean / RANGE
    noisy.requires_grad_()
    for weights in ("gaussian", "uniform"):
        torch.autograd.gradcheck(lambda x, w=weights: ssim(x, clean, data_range=1.0, weights=w), noisy)
    torch.autograd.gradcheck(lambda x: psnr(x, clean, data_range=1.0), noisy)
    torch.autograd.gradcheck(lambda x: rmse(x, clean), noisy)


def test_bad_input() -> None:
    noisy, clean = images(16, 16)
    with pytest.raises(TypeError, match="data_range"):
        ssim(noisy, clean)  # pyright: ignore
    for value in (0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="data_range: expected a positive, finite number"):
            psnr(noisy, clean, data_range=value)
    with pytest.raises(ValueError, match=r"found \[16, 15\] does not match reference \[16, 16\]"):
        rmse(noisy[:, 1:], clean)
    with pytest.raises(TypeError, match="found: expected floating-point numbers, got int16"):
        rmse(noisy.short(), clean)
    with pytest.raises(TypeError, match=r"reference: expected a torch.Tensor, got ndarray"):
        rmse(noisy, clean.numpy())  # pyright: ignore
    with pytest.raises(ValueError, match="at least 11 pixels along each axis"):
        ssim(noisy[:10], clean[:10], data_range=1)
    with pytest.raises(ValueError, match="width: expected an odd number of pixels, got 8"):
        ssim(noisy, clean, data_range=1, weights="uniform", width=8)
    with pytest.raises(ValueError, match="'uniform' or 'gaussian', got 'box'"):
        ssim(noisy, clean, data_range=1, weights="box")  # pyright: ignore
    with pytest.raises(ValueError, match="sigma"):
        ssim(noisy, clean, data_range=1, sigma=0)
    with pytest.raises(ValueError, match="at least 3 dimensions"):
        rmse(noisy, clean, ndim=3)
