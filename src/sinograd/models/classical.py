"""Filters without training, as the trained denoisers are compared with.

Gaussian and median filters; the bilateral filter (C. Tomasi and R. Manduchi, ICCV 1998, pages 839 to 846); BM3D
(K. Dabov, A. Foi, V. Katkovnik and K. Egiazarian, IEEE Trans. Image Process. 16, 2080, 2007) and BM4D (M. Maggioni, V.
Katkovnik, K. Egiazarian and A. Foi, IEEE Trans. Image Process. 22, 119, 2013), for white noise, by their authors'
packages, whose licence allows non-commercial use only (extra `baselines`).

Each takes a volume [Z, Y, X], or any [..., Y, X] where it filters slice by slice, float32 or float64, and returns a new
one of the same dtype on the same device. SciPy's filters and BM3D and BM4D run on the CPU. `classical_tuning` finds
their settings.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.ops.bilateral import bilateral_filter

ClassicalFilter = Callable[..., Tensor]


def gaussian(volume: Tensor, *, sigma: float, dimensions: int = 2) -> Tensor:
    """Gaussian filter; sigma in voxels, 0 leaves the volume as it is; borders are mirrored."""
    from scipy.ndimage import gaussian_filter

    if not 0 <= sigma < math.inf:
        raise InputError(f"sigma: expected a number of voxels of at least 0, got {sigma}")
    widths = _last_axes(volume, dimensions, sigma)
    return with_numpy(lambda array: gaussian_filter(array, widths), volume)


def median(volume: Tensor, *, width: int, dimensions: int = 2) -> Tensor:
    """Median of a square or cube of `width` voxels, odd; borders are mirrored."""
    from scipy.ndimage import median_filter

    if width < 1 or width % 2 == 0:
        raise InputError(f"width: expected an odd number of voxels, got {width}")
    size = tuple(int(n) or 1 for n in _last_axes(volume, dimensions, width))
    return with_numpy(lambda array: median_filter(array, size), volume)


@torch.no_grad()
def bilateral(volume: Tensor, *, sigma_spatial: float, sigma_range: float, dimensions: int = 2) -> Tensor:
    """`sinograd.ops.bilateral_filter`; sigma_spatial in voxels, sigma_range in the volume's unit."""
    check_dimensions(volume, dimensions)
    return bilateral_filter(volume, (sigma_spatial,) * dimensions, sigma_range)


def bm3d(volume: Tensor, *, sigma: float) -> Tensor:
    """BM3D of each slice; sigma: standard deviation of the noise, in the volume's unit. Needs the package bm3d."""
    package = _package("bm3d")
    check_dimensions(volume, 2)
    _check_blocks(volume, sigma, 8, 2)

    def slices(array: np.ndarray) -> np.ndarray:
        flat = array.reshape(-1, *array.shape[-2:])
        return np.stack([package.bm3d(image, sigma) for image in flat]).reshape(array.shape)

    return with_numpy(slices, volume)


def bm4d(volume: Tensor, *, sigma: float) -> Tensor:
    """BM4D of a volume [Z, Y, X]; sigma: standard deviation of the noise, in its unit. Needs the package bm4d."""
    package = _package("bm4d")
    check_dimensions(volume, 3)
    if volume.ndim != 3:
        raise InputError(f"volume: expected [Z, Y, X], got shape {list(volume.shape)}")
    _check_blocks(volume, sigma, 5, 3)
    return with_numpy(lambda array: package.bm4d(array, sigma), volume)


def has_package(name: str) -> bool:
    """Whether what the filter `name` needs is installed."""
    return name not in ("bm3d", "bm4d") or importlib.util.find_spec(name) is not None


def _package(name: str) -> ModuleType:
    if not has_package(name):
        raise InputError(
            f"{name}: this filter needs the package {name}, which is not installed (pip install 'sinograd[baselines]'; "
            "its licence allows non-commercial use only)"
        )
    return importlib.import_module(name)


def with_numpy(function: Callable[[np.ndarray], np.ndarray], volume: Tensor) -> Tensor:
    """A function of arrays, applied to a tensor; its result in the tensor's dtype and on its device."""
    found = np.asarray(function(volume.detach().cpu().numpy()))
    return torch.from_numpy(np.ascontiguousarray(found)).to(volume)


def _last_axes(volume: Tensor, dimensions: int, value: float) -> tuple[float, ...]:
    """`value` for the filtered axes, 0 for those before."""
    check_dimensions(volume, dimensions)
    return (0,) * (volume.ndim - dimensions) + (value,) * dimensions


def check_dimensions(volume: Tensor, dimensions: int) -> None:
    """InputError or InputTypeError unless a volume of float32 or float64 has so many axes, two or three, to filter."""
    if dimensions not in (2, 3):
        raise InputError(f"dimensions: expected 2 or 3, got {dimensions}")
    if volume.dtype not in (torch.float32, torch.float64):
        got = str(volume.dtype).removeprefix("torch.")
        raise InputTypeError(f"volume: expected dtype float32 or float64, got {got}")
    if volume.ndim < dimensions:
        raise InputError(f"volume: expected at least {dimensions} dimensions, got shape {list(volume.shape)}")


def _check_blocks(volume: Tensor, sigma: float, block: int, dimensions: int) -> None:
    """A positive noise, and room for a block of so many voxels along each axis."""
    if not 0 < sigma < math.inf:
        raise InputError(f"sigma: expected a positive, finite standard deviation, got {sigma}")
    if min(volume.shape[-dimensions:]) < block:
        shape = " x ".join(str(n) for n in volume.shape[-dimensions:])
        raise InputError(f"volume: expected at least {block} voxels along each filtered axis, got {shape}")
