"""The task transfer function of discs blurred by a Gaussian, whose images and transfer function are known exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ncx2

from sinograd.metrics import task_transfer_function

PIXEL = 0.6


def disc(radius: float, sigma: float, center: tuple[float, float], shape: tuple[int, int] = (96, 100)) -> torch.Tensor:
    """A disc of 1 on 0 convolved with a Gaussian of `sigma` mm, at the pixels' centres.

    Its value at r is the probability that a Gaussian variable about r lies within the radius: the distribution
    function of the noncentral chi-squared with two degrees of freedom.
    """
    y, x = np.indices(shape)
    square = ((y - center[0]) ** 2 + (x - center[1]) ** 2) * PIXEL**2
    return torch.from_numpy(ncx2.cdf(radius**2 / sigma**2, 2, square / sigma**2))


@pytest.mark.parametrize("sigma", [0.45, 0.9])
@pytest.mark.parametrize("center", [(47.0, 50.0), (46.31, 49.77)])
def test_gaussian_blur(sigma: float, center: tuple[float, float]) -> None:
    image = 120 * disc(13.0, sigma, center) - 40
    guess = (center[0] + 0.8, center[1] - 0.7)
    found = task_transfer_function(image, spacing=PIXEL, radius=13.0, center=guess)
    want = torch.exp(-2 * (math.pi * sigma * found.frequency) ** 2)
    assert (found.transfer - want).abs().max() < 0.02
    np.testing.assert_allclose(found.center, center, atol=0.01)
    assert float(found.contrast) == pytest.approx(120, rel=0.002)
    half = math.sqrt(math.log(2) / 2) / (math.pi * sigma)
    assert found.frequency_at(0.5) == pytest.approx(half, rel=0.02)
    assert found.frequency[-1] <= 0.5 / PIXEL + 1e-9 and float(found.transfer[0]) == 1
    np.testing.assert_allclose(found.edge[[0, -1]], [80, -40], atol=0.5)


def test_noise_is_told_and_averaged_over_slices() -> None:
    sigma, radius = 0.8, 13.0
    clean = 100 * disc(radius, sigma, (47.2, 50.4))
    noisy = clean + 8 * torch.randn(20, *clean.shape, dtype=torch.float64)
    found = task_transfer_function(noisy, spacing=(PIXEL, PIXEL), radius=radius, center=(47, 50))
    assert float(found.noise) == pytest.approx(8, rel=0.02)
    assert found.frequency_at(0.5) == pytest.approx(math.sqrt(math.log(2) / 2) / (math.pi * sigma), rel=0.05)


def test_a_dark_disc_is_as_sharp_as_a_bright_one() -> None:
    image = disc(9.0, 0.6, (40.3, 41.1))
    bright, dark = (
        task_transfer_function(s * image, spacing=PIXEL, radius=9.0, center=(40.3, 41.1), find_center=False)
        for s in (1, -70)
    )
    torch.testing.assert_close(bright.transfer, dark.transfer)
    assert float(dark.contrast) < 0


def test_gradient() -> None:
    image = disc(3.0, 0.5, (12.2, 11.8), (25, 25)).requires_grad_()
    options = {"spacing": PIXEL, "radius": 3.0, "center": (12.2, 11.8), "find_center": False, "oversampling": 2}
    torch.autograd.gradcheck(lambda x: task_transfer_function(x, **options).transfer[::8], image)


def test_two_kernels_on_a_phantom(shared_data: Path) -> None:
    """The sharp kernel's inserts in the CTP404 module are sharper than the smooth one's."""
    images = {
        kernel: torch.from_numpy(
            np.fromfile(shared_data / "fda_water" / f"ctp404_fbp_{kernel}_256.raw", "<i2")
            .reshape(256, 256)
            .astype(float)
        )
        for kernel in ("sharp", "smooth")
    }
    found = {
        kernel: task_transfer_function(image, spacing=1.0, radius=9.4, center=(188, 67))
        for kernel, image in images.items()
    }
    assert found["sharp"].frequency_at(0.5) > 1.1 * found["smooth"].frequency_at(0.5)
    assert abs(found["sharp"].center[0] - found["smooth"].center[0]) < 0.1
    assert float(found["sharp"].contrast) == pytest.approx(float(found["smooth"].contrast), rel=0.05)


def test_bad_input() -> None:
    image = disc(9.0, 0.6, (40.0, 40.0))
    good: dict[str, Any] = {"spacing": PIXEL, "radius": 9.0, "center": (40.0, 40.0)}
    for change, message in (
        ({"radius": 1.0}, "radius: expected at least 3 pixels of 0.6 mm"),
        ({"center": (20.0, 40.0)}, "leave the image of 96 x 100 pixels"),
        ({"reach": 0.5}, "reach: expected more than a pixel"),
        ({"oversampling": 0}, "oversampling"),
        ({"spacing": -1.0}, "spacing"),
    ):
        with pytest.raises(ValueError, match=message):
            task_transfer_function(image, **{**good, **change})
    with pytest.raises(ValueError, match="level"):
        task_transfer_function(image, **good).frequency_at(1.5)
    with pytest.raises(ValueError, match="no contrast"):
        task_transfer_function(torch.zeros(96, 100), **good, find_center=False)
