"""The bilateral filter, plain and joint, with analytic gradients to its input, its guide and every sigma.

F. Wagner et al., "Ultra low-parameter denoising: trainable bilateral filter layers in computed tomography", Medical
Physics 49(8), 2022, eqs. 1 to 18; the joint variant: F. Wagner et al., "Trainable joint bilateral filters for enhanced
prediction stability in low-dose CT", Scientific Reports 12, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.ops.arguments import autocast, check_tensor
from sinograd.ops.bilateral_reference import (
    bilateral_backward_reference,
    bilateral_reference,
    pull_back_normalisation,
)
from sinograd.ops.window import bilateral_window, check_sigmas, check_window, fit_window


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
            dimensions are a batch. Neighbours outside the volume are left out and the weights add up to one without
            them. A voxel that is NaN makes NaN of all outputs whose window holds it.
        sigma_spatial: standard deviations in voxels, in array order ((z,) y, x).
        sigma_range: standard deviation of the values, in the units of x.
        window: width in voxels, odd, of all axes or of each; None: `bilateral_window(sigma_spatial)`, which reads the
            values. Give it where sigma_spatial lives on a GPU, and in checks of gradients, where a step of sigma must
            not widen the window.

    Returns:
        As x. Differentiable in x and both sigmas, twice as well (the second time by plain torch, slowly). Kept for
        the backward pass: x, the result and the normaliser.

    Raises:
        TypeError: dtypes other than float32 and float64.
        ValueError: sigmas not positive and finite, an even window or one of more than 2^20 voxels, shapes or devices
            that do not go together.
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
        guide: of the shape, dtype and device of x.
        sigma_spatial: as for `bilateral_filter`.
        sigma_range: standard deviation of the guide's values, in the guide's units.
        window: as for `bilateral_filter`.

    Returns and raises as `bilateral_filter`; differentiable in the guide as well.
    """
    return _filtered(x, guide, sigma_spatial, sigma_range, window)


def _filtered(
    x: Tensor,
    guide: Tensor | None,
    sigma_spatial: Tensor | Sequence[float],
    sigma_range: Tensor | float,
    window: int | Sequence[int] | None,
) -> Tensor:
    x = autocast(x)
    check_tensor("x", x, 2)
    sigma_spatial = _sigma("sigma_spatial", sigma_spatial, x)
    sigma_range = _sigma("sigma_range", sigma_range, x)
    if sigma_spatial.ndim != 1 or sigma_spatial.numel() not in (2, 3):
        raise ValueError(f"sigma_spatial: expected 3 entries (z, y, x) or 2 (y, x), got shape {[*sigma_spatial.shape]}")
    if sigma_range.ndim != 0:
        raise ValueError(f"sigma_range: expected one value, got shape {[*sigma_range.shape]}")
    ndim = sigma_spatial.numel()
    check_tensor("x", x, ndim)
    if guide is not None:
        guide = autocast(guide)
        _check_guide(guide, x)
    widths = bilateral_window(sigma_spatial) if window is None else check_window(window, ndim)
    output, _ = bilateral(x, guide, sigma_spatial, sigma_range, fit_window(widths, x.shape[-ndim:]))
    return output


@torch.library.custom_op("sinograd::bilateral", mutates_args=())
def bilateral(
    x: Tensor,
    guide: Tensor | None,
    sigma_spatial: Tensor,
    sigma_range: Tensor,
    window: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Filtered volume and normaliser. `guide`: None for the plain filter; `window`: widths of all axes."""
    check_sigmas(sigma_spatial.tolist(), sigma_range.item())
    return bilateral_reference(x, x if guide is None else guide, sigma_spatial, sigma_range, window)


@torch.library.custom_op("sinograd::bilateral_backward", mutates_args=())
def bilateral_backward(
    grad_output: Tensor,
    grad_normaliser: Tensor | None,
    x: Tensor,
    guide: Tensor | None,
    sigma_spatial: Tensor,
    sigma_range: Tensor,
    output: Tensor,
    normaliser: Tensor,
    window: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients to x, guide (without elements for the plain filter), sigma_spatial and sigma_range."""
    scaled, excess = pull_back_normalisation(grad_output, grad_normaliser, x, output, normaliser)
    grad_x, grad_guide, *sigmas = bilateral_backward_reference(
        x, x if guide is None else guide, sigma_spatial, sigma_range, scaled, excess, window
    )
    if guide is None:
        return grad_x + grad_guide, x.new_empty(0), *sigmas
    return grad_x, grad_guide, *sigmas


@bilateral.register_fake
def _(x, guide, sigma_spatial, sigma_range, window):
    return x.new_empty(x.shape), x.new_empty(x.shape)


@bilateral_backward.register_fake
def _(grad_output, grad_normaliser, x, guide, sigma_spatial, sigma_range, output, normaliser, window):
    grad_guide = x.new_empty(0 if guide is None else x.shape)
    return (
        x.new_empty(x.shape),
        grad_guide,
        sigma_spatial.new_empty(sigma_spatial.shape),
        sigma_range.new_empty(()),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, guide, sigma_spatial, sigma_range, window = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, guide, sigma_spatial, sigma_range, *output)
    ctx.window = window


def _backward(ctx: Any, grad_output: Tensor | None, grad_normaliser: Tensor | None) -> tuple[Any, ...]:
    x, guide, sigma_spatial, sigma_range, output, normaliser = ctx.saved_tensors
    if grad_output is None:
        grad_output = torch.zeros_like(output)
    grad_x, grad_guide, *grad_sigmas = bilateral_backward(
        grad_output, grad_normaliser, x, guide, sigma_spatial, sigma_range, output, normaliser, ctx.window
    )
    return grad_x, None if guide is None else grad_guide, *grad_sigmas, None


bilateral.register_autograd(_backward, setup_context=_keep)
for _device in ("cpu", "cuda"):
    torch.library.register_autocast(bilateral, _device, torch.float32)


def _sigma(name: str, value: Tensor | Sequence[float] | float, x: Tensor) -> Tensor:
    """A tensor on x's device; numbers become one of x's dtype."""
    if not isinstance(value, Tensor):
        return torch.tensor(value, dtype=x.dtype, device=x.device)
    if value.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name}: expected dtype float32 or float64, got {str(value.dtype).removeprefix('torch.')}")
    if value.device != x.device:
        raise ValueError(f"{name}: expected it on the device of x, {x.device}, got {value.device}")
    return value


def _check_guide(guide: Tensor, x: Tensor) -> None:
    check_tensor("guide", guide, 2)
    if guide.shape != x.shape:
        raise ValueError(f"guide {[*guide.shape]} does not match x {[*x.shape]}: expected the same shape")
    if guide.dtype != x.dtype or guide.device != x.device:
        want, got = (f"{str(t.dtype).removeprefix('torch.')} on {t.device}" for t in (x, guide))
        raise TypeError(f"guide: expected dtype and device of x, {want}, got {got}")
