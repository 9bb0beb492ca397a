"""The bilateral filter, plain and joint, with analytic gradients to its input, its guide and every sigma.

F. Wagner et al., "Ultra low-parameter denoising: trainable bilateral filter layers in computed tomography", Medical
Physics 49(8), 2022, eqs. 1 to 18; the joint variant: F. Wagner et al., "Trainable joint bilateral filters for enhanced
prediction stability in low-dose CT", Scientific Reports 12, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.ops.arguments import DEVICES, DTYPES, autocast, check_tensor
from sinograd.ops.bilateral_function import filtered
from sinograd.ops.window import bilateral_window, check_window, fit_window


def bilateral_filter(
    x: Tensor,  # [..., Z, Y, X] or [..., Y, X]
    sigma_spatial: Tensor | Sequence[float],  # [3] or [2]
    sigma_range: Tensor | float,  # []
    *,
    window: int | Sequence[int] | None = None,
) -> Tensor:
    """Smooths where neighbours are alike: the mean of a window, weighted by distance and by difference (eqs. 1 to 4).

    Args:
        x: volume [..., Z, Y, X] where `sigma_spatial` has three entries, image [..., Y, X] where it has two; leading
            dimensions are a batch. Neighbours outside the volume are left out, and the weights of the others add up
            to one. A voxel that is NaN makes NaN of every output whose window holds it.
        sigma_spatial: standard deviations in voxels, in array order ((z,) y, x).
        sigma_range: standard deviation of the values, in the units of x.
        window: width in voxels, odd, of all axes or of each; None: `bilateral_window(sigma_spatial)`, which reads the
            values. Give it where sigma_spatial lives on a GPU, which would have to be waited for, and in checks of
            gradients, where a step of sigma must not widen the window. What reaches beyond the volume from every
            voxel is cut off a window; it is work saved, the result is the same.

    Returns:
        As x. Differentiable in x and both sigmas, once by kernels and a second time by plain torch, slowly. Kept for
        the backward pass: x, the result and the normaliser. Beside them a forward pass allocates nothing (a copy of x
        where x is not contiguous), a backward pass two volumes to work with and its results.

    Raises:
        TypeError: dtypes other than float32 and float64.
        ValueError: sigmas that are not positive and finite, an even window or one of more than 2^20 voxels, shapes or
            devices that do not go together. Sigmas on a GPU are looked at only where a window is made from them.
    """
    return _filtered(x, None, sigma_spatial, sigma_range, window)


def joint_bilateral_filter(
    x: Tensor,
    guide: Tensor,
    sigma_spatial: Tensor | Sequence[float],
    sigma_range: Tensor | float,
    *,
    window: int | Sequence[int] | None = None,
) -> Tensor:
    """The bilateral filter of x with range weights from another volume, the guide.

    Args:
        x: as for `bilateral_filter`.
        guide: of the shape, dtype and device of x; kept for the backward pass, too.
        sigma_spatial: as for `bilateral_filter`.
        sigma_range: standard deviation of the guide's values, in the guide's units.
        window: as for `bilateral_filter`.

    Returns and raises as `bilateral_filter`; differentiable in the guide as well.
    """
    x, guide = autocast(x), autocast(guide)
    check_tensor("x", x, 2, DEVICES)
    _check_guide(guide, x)
    return _filtered(x, guide, sigma_spatial, sigma_range, window)


def _filtered(
    x: Tensor,
    guide: Tensor | None,
    sigma_spatial: Tensor | Sequence[float],
    sigma_range: Tensor | float,
    window: int | Sequence[int] | None,
) -> Tensor:
    x = autocast(x)
    check_tensor("x", x, 2, DEVICES)
    sigma_spatial = _sigma("sigma_spatial", sigma_spatial, x)
    sigma_range = _sigma("sigma_range", sigma_range, x)
    if sigma_spatial.ndim != 1 or sigma_spatial.numel() not in (2, 3):
        raise InputError(f"sigma_spatial: expected 3 entries (z, y, x) or 2 (y, x), got shape {[*sigma_spatial.shape]}")
    if sigma_range.ndim != 0:
        raise InputError(f"sigma_range: expected one number, got shape {[*sigma_range.shape]}")
    ndim = sigma_spatial.numel()
    check_tensor("x", x, ndim, DEVICES)
    widths = bilateral_window(sigma_spatial) if window is None else check_window(window, ndim)
    output, _ = filtered(x, guide, sigma_spatial, sigma_range, fit_window(widths, x.shape[-ndim:]))
    return output


def _sigma(name: str, value: Tensor | Sequence[float] | float, x: Tensor) -> Tensor:
    """A tensor on the device of x; numbers become one of the dtype of x."""
    if not isinstance(value, Tensor):
        return torch.tensor(value, dtype=x.dtype, device=x.device)
    if value.dtype not in DTYPES:
        raise InputTypeError(
            f"{name}: expected dtype float32 or float64, got {str(value.dtype).removeprefix('torch.')}"
        )
    if value.device != x.device:
        raise InputError(f"{name}: expected it on the device of x, {x.device}, got {value.device}")
    return value


def _check_guide(guide: Tensor, x: Tensor) -> None:
    check_tensor("guide", guide, 2, DEVICES)
    if guide.shape != x.shape:
        raise InputError(f"guide {[*guide.shape]} does not match x {[*x.shape]}: expected the same shape")
    if guide.dtype != x.dtype:
        want, got = (str(t.dtype).removeprefix("torch.") for t in (x, guide))
        raise InputTypeError(f"guide: expected the dtype of x, {want}, got {got}")
    if guide.device != x.device:
        raise InputError(f"guide: expected it on the device of x, {x.device}, got {guide.device}")
