"""The window of a bilateral filter: how many voxels along each axis it looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import is_sequence, scalar
from sinograd.ops.derivatives import numbers

SMALLEST = 5
LARGEST = 3.4e38  # standard deviation: float32 holds no greater one
MOST_NEIGHBOURS = 2**20  # a window of 101 x 101 x 101 fits


def bilateral_window(sigma_spatial: Tensor | Sequence[float]) -> tuple[int, ...]:
    """Voxels across along each axis: five standard deviations, odd, at least 5.

    max(ceil(5 sigma) | 1, 5) of each axis, where 5 sigma counts as whole within one millionth, so that rounding does
    not widen a window. The values are read: a CUDA tensor makes the caller wait for its device.

    Raises:
        ValueError: a value that is not positive and finite.
    """
    values = numbers(sigma_spatial) if isinstance(sigma_spatial, Tensor) else list(sigma_spatial)
    check_sigmas(values, None)
    return tuple(max(math.ceil(5 * sigma * (1 - 1e-6)) | 1, SMALLEST) for sigma in values)


def check_sigmas(sigma_spatial: Sequence[float], sigma_range: float | None) -> None:
    """Positive and finite standard deviations."""
    if not all(0 < sigma < LARGEST for sigma in sigma_spatial):
        raise InputError(f"sigma_spatial: expected positive, finite values, got {list(sigma_spatial)}")
    if sigma_range is not None and not 0 < sigma_range < math.inf:
        raise InputError(f"sigma_range: expected a positive, finite value, got {sigma_range}")


def check_window(window: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """An odd, positive width for each of `ndim` axes; one number stands for all."""
    items: tuple[Any, ...] = tuple(window) if is_sequence(window) else (window,) * ndim  # pyright: ignore
    widths: tuple[Any, ...] = tuple(map(scalar, items))
    if len(widths) != ndim:
        raise InputError(f"window: expected one width or {ndim}, as many as sigma_spatial has entries, got {widths}")
    if not all(type(width) is int and width > 0 and width % 2 == 1 for width in widths):
        raise InputError(f"window: expected odd, positive widths in voxels, got {widths}")
    return widths


def fit_window(window: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The window without what lies outside the volume from every voxel: at most 2 n - 1 wide.

    Raises:
        ValueError: it holds more than 2^20 voxels even so.
    """
    widths = tuple(min(width, max(2 * n - 1, 1)) for width, n in zip(window, shape, strict=True))
    if math.prod(widths) > MOST_NEIGHBOURS:
        raise InputError(
            f"window: {' x '.join(map(str, window))} looks at {math.prod(widths)} neighbours of each voxel, expected "
            f"at most {MOST_NEIGHBOURS}; give a smaller window, or see why sigma_spatial is that large"
        )
    return widths


@dataclass(frozen=True)
class Layout:
    """A filter as the kernels see it: always three axes, of which z may be one voxel."""

    shape: list[int]  # batch, z, y, x
    window: list[int]  # z, y, x

    @classmethod
    def of(cls, x: Tensor, window: Sequence[int]) -> Layout:
        """The layout of a tensor and the widths along its last two or three axes."""
        ndim = len(window)
        lead, missing = x.shape[: x.ndim - ndim], [1] * (3 - ndim)
        widths = fit_window(window, x.shape[x.ndim - ndim :])
        return cls([lead.numel(), *missing, *x.shape[x.ndim - ndim :]], [*missing, *widths])
