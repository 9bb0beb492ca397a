"""The bilateral filter as torch operators over the compiled kernels, and their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.ops.autocast import in_float32
from sinograd.ops.bilateral_reference import Filtered, bilateral_backward_vjp
from sinograd.ops.dispatch import kernel
from sinograd.ops.memory import PARTS, enough_memory
from sinograd.ops.window import Layout, check_sigmas


@torch.library.custom_op("sinograd::bilateral", mutates_args=(), device_types="cpu")
def bilateral(
    x: Tensor,  # [..., (z,) y, x]
    guide: Tensor | None,  # None: the plain filter
    sigma_spatial: Tensor,  # [2] or [3]
    sigma_range: Tensor,  # []
    window: Sequence[int],  # as many widths as sigma_spatial has entries
) -> tuple[Tensor, Tensor]:
    """Filtered volume and normaliser."""
    x = x.detach().contiguous()
    layout, sigmas = Layout.of(x, window), _read(sigma_spatial, sigma_range)
    output, normaliser = torch.empty_like(x), torch.empty_like(x)
    guide = x if guide is None else guide.detach().contiguous()
    kernel("bilateral")(x, guide, output, normaliser, layout.shape, layout.window, sigmas)
    return output, normaliser


@torch.library.custom_op("sinograd::bilateral_backward", mutates_args=(), device_types="cpu")
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
    """Gradients to x, guide (empty for the plain filter), sigma_spatial and sigma_range."""
    grad_output, x, output, normaliser = (t.detach().contiguous() for t in (grad_output, x, output, normaliser))
    layout, sigmas = Layout.of(x, window), _read(sigma_spatial, sigma_range)
    grad_x, grad_guide = torch.empty_like(x), x.new_empty(0)
    given = x.new_empty(0) if grad_normaliser is None else grad_normaliser.detach().contiguous()
    if guide is None:
        guide = x
    else:
        guide, grad_guide = guide.detach().contiguous(), torch.empty_like(x)
    volumes = grad_output, given, x, guide, output, normaliser, grad_x, grad_guide
    grads = kernel("bilateral_backward")(*volumes, layout.shape, layout.window, sigmas)
    grad_spatial = sigma_spatial.new_tensor(grads[3 - sigma_spatial.numel() : 3])
    return grad_x, grad_guide, grad_spatial, sigma_range.new_tensor(grads[3])


@bilateral.register_kernel("cuda")
def bilateral_on_gpu(
    x: Tensor,
    guide: Tensor | None,
    sigma_spatial: Tensor,
    sigma_range: Tensor,
    window: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """As `bilateral`. No value is read from the device: nothing waits, and wrong sigmas make NaN."""
    from sinograd.ops.bilateral_cuda import forward

    with enough_memory("bilateral filter", x, x.shape, PARTS):
        x = x.detach().contiguous()
        guide = None if guide is None else guide.detach().contiguous()
        return forward(x, guide, sigma_spatial, sigma_range, Layout.of(x, window))


@bilateral_backward.register_kernel("cuda")
def bilateral_backward_on_gpu(
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
    """As `bilateral_backward`."""
    from sinograd.ops.bilateral_cuda import backward

    with enough_memory("gradient of the bilateral filter", x, x.shape, PARTS):
        grad_output, x, output, normaliser = (t.detach().contiguous() for t in (grad_output, x, output, normaliser))
        given, guide = (None if t is None else t.detach().contiguous() for t in (grad_normaliser, guide))
        call = Filtered(x, guide, sigma_spatial, sigma_range, output, normaliser)
        return backward(grad_output, given, call, Layout.of(x, window))


@bilateral.register_fake
def _(x, guide, sigma_spatial, sigma_range, window):
    return x.new_empty(x.shape), x.new_empty(x.shape)


@bilateral_backward.register_fake
def _(grad_output, grad_normaliser, x, guide, sigma_spatial, sigma_range, output, normaliser, window):
    grad_guide = x.new_empty((0,) if guide is None else x.shape)
    return x.new_empty(x.shape), grad_guide, sigma_spatial.new_empty(sigma_spatial.shape), sigma_range.new_empty(())


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, window = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, *output)
    ctx.window = window


def _backward(ctx: Any, grad_output: Tensor | None, grad_normaliser: Tensor | None) -> tuple[Any, ...]:
    *tensors, output, normaliser = ctx.saved_tensors
    if grad_output is None:
        grad_output = torch.zeros_like(output)
    grads = bilateral_backward(grad_output, grad_normaliser, *tensors, output, normaliser, ctx.window)
    grad_x, grad_guide, grad_spatial, grad_range = grads
    return grad_x, grad_guide if tensors[1] is not None else None, grad_spatial, grad_range, None


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, window = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors)
    ctx.window = window


def _double_backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError("the bilateral filter can be differentiated twice, not three times (create_graph=True)")
    grad_output, grad_normaliser, *tensors = ctx.saved_tensors
    return *bilateral_backward_vjp(cotangents, grad_output, grad_normaliser, Filtered(*tensors), ctx.window), None


bilateral.register_autograd(_backward, setup_context=_keep)
bilateral_backward.register_autograd(_double_backward, setup_context=_keep_backward)
in_float32(bilateral)


def _read(sigma_spatial: Tensor, sigma_range: Tensor) -> list[float]:
    """Sigmas along z, y, x (1 where there is no such axis) and of the range."""
    spatial, of_range = sigma_spatial.tolist(), sigma_range.item()
    check_sigmas(spatial, of_range)
    return [*[1.0] * (3 - len(spatial)), *spatial, of_range]
