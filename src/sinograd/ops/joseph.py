"""Joseph's ray-driven projection and its exact adjoint, as differentiable functions.

P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE Transactions on Medical
Imaging 1(3), 1982. Each is the backward of the other, so gradients of any order are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.ops.arguments import check_tensor
from sinograd.ops.autocast import in_float32
from sinograd.ops.dispatch import Call
from sinograd.ops.memory import enough_memory


@torch.library.custom_op("sinograd::joseph", mutates_args=())
def joseph(
    volume: Tensor,  # [..., z, y, x] or [..., y, x]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    detector: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
    path: str = "auto",
) -> Tensor:
    """Line integrals [..., views, rows, columns] (or [..., views, columns]) of a volume, zero outside its grid."""
    check_tensor("volume", volume, len(spacing))
    call = Call(
        vectors,
        divergent,
        (*detector,),
        (*volume.shape[-len(spacing) :],),
        (*spacing,),
        (*center,),
        path=path,
    )
    shape = volume.shape[: -len(spacing)] + call.projection_shape
    with enough_memory("projection", volume, shape):
        out = volume.new_zeros(shape)
        call.add("joseph", volume, out)
    return out


@torch.library.custom_op("sinograd::joseph_adjoint", mutates_args=())
def joseph_adjoint(
    projections: Tensor,  # [..., views, rows, columns] or [..., views, columns]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    grid_shape: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
    path: str = "auto",
) -> Tensor:
    """The exact transpose of `joseph`: [..., z, y, x] or [..., y, x]."""
    ndim = len(grid_shape)
    check_tensor("projections", projections, ndim)
    call = Call(
        vectors,
        divergent,
        (*projections.shape[1 - ndim :],),
        (*grid_shape,),
        (*spacing,),
        (*center,),
        path=path,
    )
    shape = projections.shape[:-ndim] + call.volume_shape
    with enough_memory("adjoint of projection", projections, shape):
        out = projections.new_zeros(shape)
        call.add("joseph_adjoint", projections, out)
    return out


@joseph.register_fake
def _(volume, vectors, divergent, detector, spacing, center, path="auto"):
    return volume.new_empty((*volume.shape[: -len(spacing)], vectors.shape[0], *detector))


@joseph_adjoint.register_fake
def _(projections, vectors, divergent, grid_shape, spacing, center, path="auto"):
    return projections.new_empty((*projections.shape[: -len(grid_shape)], *grid_shape))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensor, vectors, divergent, _, spacing, center, path = inputs
    ctx.save_for_backward(vectors)
    ctx.call = (divergent, spacing, center, path)
    ctx.input_shape = tensor.shape[-len(spacing) :]


def _joseph_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    divergent, spacing, center, path = ctx.call
    return joseph_adjoint(grad, *ctx.saved_tensors, divergent, ctx.input_shape, spacing, center, path), *[None] * 6


def _joseph_adjoint_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    divergent, spacing, center, path = ctx.call
    return joseph(grad, *ctx.saved_tensors, divergent, ctx.input_shape[1:], spacing, center, path), *[None] * 6


joseph.register_autograd(_joseph_backward, setup_context=_keep)
joseph_adjoint.register_autograd(_joseph_adjoint_backward, setup_context=_keep)
in_float32(joseph, joseph_adjoint)
