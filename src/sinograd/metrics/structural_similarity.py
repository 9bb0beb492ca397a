"""Structural similarity.

Z. Wang, A. Bovik, H. Sheikh and E. Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Trans. Image Process. 13, 600 (2004), equation 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.metrics.arguments import axis_like, check_data_range, check_images, last_axes

Weights = Literal["uniform", "gaussian"]
_TRUNCATE = 3.5  # standard deviations: 11 pixels for 1.5


def ssim(
    found: Tensor,
    reference: Tensor,
    *,
    data_range: float,
    weights: Weights = "gaussian",
    width: int = 7,
    sigma: float = 1.5,
    sample_covariance: bool | None = None,
    k1: float = 0.01,
    k2: float = 0.03,
    ndim: int = 2,
) -> Tensor:
    """Mean structural similarity over all places where the window lies inside the image; 1 for equal images.

    The same number as `skimage.metrics.structural_similarity` with the same settings: by default those of Wang et
    al. (Gaussian weights, 11 x 11 pixels); weights="uniform" is scikit-image's default (7 x 7, sample covariance),
    which ldct-benchmark uses.

    Args:
        found, reference: [..., Y, X], of one shape.
        data_range: the difference of the largest and the smallest value that there can be, in the images' unit.
        weights: "gaussian" of `sigma` pixels, cut off at 3.5 sigma; "uniform" of `width` pixels.
        width: odd, for uniform weights.
        sigma: for Gaussian weights.
        sample_covariance: variances with n - 1 for n; None: for uniform weights and not for Gaussian ones.
        k1, k2: of the two constants that keep quotients finite.
        ndim: how many of the last axes one score is of, and the window has: 2 for each slice of a volume by itself.

    Returns:
        [...], float64. Allocates about 15 times the images in float64, 25 times while gradients are kept.

    Raises:
        TypeError: no tensors of floating-point numbers.
        ValueError: shapes or devices differ, fewer dimensions than `ndim`, an image smaller than the window, an even
            window, no positive data range or sigma.
    """
    options = {"data_range": data_range, "weights": weights, "width": width, "sigma": sigma, "k1": k1, "k2": k2}
    similarity = similarity_map(found, reference, sample_covariance=sample_covariance, ndim=ndim, **options)
    return similarity.mean(last_axes(ndim))


def similarity_map(found: Tensor, reference: Tensor, *, ndim: int = 2, **options: Any) -> Tensor:
    """What `ssim` takes the mean of: [..., Y - n + 1, X - n + 1], n the width of the window, float64."""
    check_images(found, reference, ndim)
    return _similarity(found, reference, ndim, _Options(**options))


@dataclass(frozen=True)
class _Options:
    """Arguments of `ssim`."""

    data_range: float
    weights: Weights = "gaussian"
    width: int = 7
    sigma: float = 1.5
    sample_covariance: bool | None = None
    k1: float = 0.01
    k2: float = 0.03


def _similarity(found: Tensor, reference: Tensor, ndim: int, options: _Options) -> Tensor:
    peak = check_data_range(options.data_range)
    taps = _taps(found, options.weights, options.width, options.sigma)
    n = len(taps)
    if min(found.shape[-ndim:]) < n:
        shape = list(found.shape[-ndim:])
        raise InputError(f"found: expected images of at least {n} pixels along each axis, the window's, got {shape}")
    x, y = found.double(), reference.double()
    mean_x, mean_y, xx, yy, xy = _windowed(torch.stack([x, y, x * x, y * y, x * y]), taps, ndim)
    unbiased = options.weights == "uniform" if options.sample_covariance is None else options.sample_covariance
    scale = n**ndim / (n**ndim - 1) if unbiased else 1.0
    both = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    c1, c2 = (options.k1 * peak) ** 2, (options.k2 * peak) ** 2
    structure = (2 * scale * (xy - both) + c2) / (scale * (xx + yy - squares) + c2)
    return (2 * both + c1) / (squares + c1) * structure


def _taps(image: Tensor, weights: str, width: int, sigma: float) -> Tensor:
    """The window along one axis, of sum 1."""
    if weights == "uniform":
        if width < 1 or width % 2 == 0:
            raise InputError(f"width: expected an odd number of pixels, got {width}")
        return torch.full((width,), 1 / width, dtype=torch.float64, device=image.device)
    if weights != "gaussian":
        raise InputError(f"weights: expected 'uniform' or 'gaussian', got {weights!r}")
    if not sigma > 0:
        raise InputError(f"sigma: expected a positive number of pixels, got {sigma}")
    radius = int(_TRUNCATE * sigma + 0.5)
    taps = torch.exp(-0.5 * ((axis_like(image, 2 * radius + 1) - radius) / sigma).square())
    return taps / taps.sum()


def _windowed(images: Tensor, taps: Tensor, ndim: int) -> Tensor:
    """Weighted means over the window, where it lies inside; axis after axis."""
    for axis in last_axes(ndim):
        length = images.shape[axis] - len(taps) + 1
        first, *others = taps.tolist()
        means = first * images.narrow(axis, 0, length)
        for i, tap in enumerate(others, 1):
            means.add_(images.narrow(axis, i, length), alpha=tap)
        images = means
    return images
