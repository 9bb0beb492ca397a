"""Classical filters whose noise is estimated from the image: what someone without a target can use.

The standard deviation is the median of the absolute values of the diagonal band of a Haar wavelet, over 0.6745 (D. L.
Donoho, I. M. Johnstone, Biometrika 81(3), 425-455, 1994), slice by slice for filters of slices, of all of the volume
for those of volumes. That is right for white noise of one strength; noise of CT is correlated, which makes it appear
smaller, and it varies over the image. `classical_tuning` has the same filters at their best settings, by the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.models import classical
from sinograd.models.ksvd import ksvd

_NORMAL = 0.6744897501960817  # median of |x|, x normal with deviation 1
# M. Zhang, B. K. Gunturk, "Multiresolution bilateral filtering for image denoising", IEEE Transactions on Image
# Processing 17(12), 2008: nearly best for natural images, whatever the noise.
_SPATIAL, _RANGE = 1.8, 2.0


def estimate_noise(volume: Tensor, dimensions: int = 2) -> float:
    """Standard deviation of the white noise of [..., Y, X] or, of three dimensions, [..., Z, Y, X], in its unit.

    Raises:
        InputError: fewer than two pixels along an axis; not finite. InputTypeError: neither float32 nor float64.
    """
    classical.check_dimensions(volume, dimensions)
    band = volume.detach()
    for axis in range(-dimensions, 0):
        even = band.shape[axis] // 2 * 2
        if even == 0:
            raise InputError(f"volume: expected at least 2 pixels along each axis, got {list(volume.shape)}")
        first, second = band.narrow(axis, 0, even).movedim(axis, 0).unflatten(0, (even // 2, 2)).unbind(1)
        band = ((first - second) / 2**0.5).movedim(0, axis)
    value = float(band.abs().double().median()) / _NORMAL
    if not math.isfinite(value):
        raise InputError("volume: expected finite values, got NaN or infinite ones")
    return value


def bilateral_estimated(volume: Tensor) -> Tensor:
    """The bilateral filter of each slice, 1.8 pixels wide, with twice the estimated noise as its range."""
    return _slices(
        lambda image, noise: classical.bilateral(image, sigma_spatial=_SPATIAL, sigma_range=_RANGE * noise), volume
    )


def bm3d_estimated(volume: Tensor) -> Tensor:
    """BM3D of each slice with its estimated noise; needs the package bm3d."""
    return _slices(lambda image, noise: classical.bm3d(image, sigma=noise), volume)


def bm4d_estimated(volume: Tensor) -> Tensor:
    """BM4D of a volume [Z, Y, X] with its estimated noise; needs the package bm4d."""
    noise = estimate_noise(volume, 3)
    return classical.bm4d(volume, sigma=noise) if noise > 0 else volume.clone()


def ksvd_estimated(volume: Tensor) -> Tensor:
    """K-SVD of each slice with its estimated noise."""
    return _slices(lambda image, noise: ksvd(image, sigma=noise), volume)


def _slices(function: Callable[[Tensor, float], Tensor], volume: Tensor) -> Tensor:
    """Each slice with its own noise; slices without any stay as they are."""
    images = volume.reshape(-1, *volume.shape[-2:])
    noises = [estimate_noise(image) for image in images]
    denoised = [function(image, noise) if noise > 0 else image for image, noise in zip(images, noises, strict=True)]
    return torch.stack(denoised).reshape(volume.shape)


ESTIMATED: dict[str, classical.ClassicalFilter] = {
    "bilateral-estimated": bilateral_estimated,
    "bm3d-estimated": bm3d_estimated,
    "ksvd": ksvd_estimated,
    "bm4d-estimated": bm4d_estimated,
}
