"""Mean squared error and what is made of it."""

from __future__ import annotations

from torch import Tensor

from sinograd.metrics.arguments import check_data_range, check_images, last_axes


def mse(found: Tensor, reference: Tensor, *, ndim: int = 2) -> Tensor:
    """Mean squared difference, in the square of the images' unit.

    Args:
        found, reference: [..., Y, X], of one shape.
        ndim: how many of the last axes one score is of: 2 for each slice of a volume by itself, 3 for the volume.

    Returns:
        [...], float64.

    Raises:
        TypeError: no tensors of floating-point numbers.
        ValueError: shapes or devices differ, or fewer dimensions than `ndim`.
    """
    check_images(found, reference, ndim)
    return (found.double() - reference.double()).square().mean(last_axes(ndim))


def rmse(found: Tensor, reference: Tensor, *, ndim: int = 2) -> Tensor:
    """Root of `mse`, in the images' unit; arguments and errors as there. Its gradient at 0 is not defined."""
    return mse(found, reference, ndim=ndim).sqrt()


def psnr(found: Tensor, reference: Tensor, *, data_range: float, ndim: int = 2) -> Tensor:
    """Peak signal-to-noise ratio 10 log10(data_range^2 / mse) in dB; infinite for equal images.

    The same number as `skimage.metrics.peak_signal_noise_ratio`.

    Args:
        found, reference, ndim: as for `mse`.
        data_range: the difference of the largest and the smallest value that there can be, in the images' unit.

    Returns:
        [...], float64.

    Raises:
        TypeError, ValueError: as `mse`, or no positive data range.
    """
    peak = check_data_range(data_range)
    return 10 * (peak**2 / mse(found, reference, ndim=ndim)).log10()
