"""Projection by separable footprints and its exact adjoint, as differentiable functions.

Y. Long, J. A. Fessler, J. M. Balter, "3D forward and back-projection for X-ray CT using separable footprints", IEEE
Transactions on Medical Imaging 29(11), 2010: voxels are boxes, pixels have a width. What a pixel receives of a voxel is
the length of its middle ray (the amplitude A2, eq. 34-35) times the share of its rays that cross the voxel: along the
columns a trapezoid integrated over the pixel, along the rows a box averaged over the row. Each function is the backward
of the other, so gradients of any order are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError, UnsupportedError
from sinograd.ops.arguments import check_tensor
from sinograd.ops.autocast import in_float32
from sinograd.ops.dispatch import Call
from sinograd.ops.kernel_views import is_axial, nearest_pixel
from sinograd.ops.memory import enough_memory


@torch.library.custom_op("sinograd::footprint", mutates_args=())
def footprint(
    volume: Tensor,  # [..., z, y, x] or [..., y, x]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    detector: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
) -> Tensor:
    """Means of line integrals over pixels, [..., views, rows, columns] (or [..., views, columns]), of boxes."""
    check_tensor("volume", volume, len(spacing))
    check_footprints(vectors, divergent, detector, spacing)
    call = Call(vectors, divergent, (*detector,), (*volume.shape[-len(spacing) :],), (*spacing,), (*center,))
    shape = volume.shape[: -len(spacing)] + call.projection_shape
    with enough_memory("projection", volume, shape):
        out = volume.new_zeros(shape)
        call.add("footprint", volume, out)
    return out


@torch.library.custom_op("sinograd::footprint_adjoint", mutates_args=())
def footprint_adjoint(
    projections: Tensor,  # [..., views, rows, columns] or [..., views, columns]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    grid_shape: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
) -> Tensor:
    """The exact transpose of `footprint`: [..., z, y, x] or [..., y, x]."""
    ndim = len(grid_shape)
    check_tensor("projections", projections, ndim)
    detector = (*projections.shape[1 - ndim :],)
    check_footprints(vectors, divergent, detector, spacing)
    call = Call(vectors, divergent, detector, (*grid_shape,), (*spacing,), (*center,))
    shape = projections.shape[:-ndim] + call.volume_shape
    with enough_memory("adjoint of projection", projections, shape):
        out = projections.new_zeros(shape)
        call.add("footprint_adjoint", projections, out)
    return out


def check_footprints(vectors: Tensor, divergent: bool, detector: Sequence[int], spacing: Sequence[float]) -> None:
    """Raises where footprints are not products, or a pixel is so wide that its rays run along different axes.

    Args:
        vectors: [views, 4 or 5, 3], float64.
        divergent: fan or cone beam rather than parallel.
        detector: (rows, columns) or (columns,).
        spacing: of the voxels, (z, y, x) or (y, x), mm.
    """
    columns = detector[-1]
    if len(detector) == 2 and not is_axial(vectors, divergent, detector):
        raise UnsupportedError(
            "model: 'footprint' takes detectors whose rows run parallel to z (no tilt, no in-plane rotation) and rays "
            "at most 45 degrees steep; 'joseph' takes all"
        )
    if not divergent:
        return
    # the rays at a pixel's edges move along the axis of its middle ray at a quarter of that one's speed or more
    along = min(spacing[-2:]) / (spacing[-1] ** 2 + spacing[-2] ** 2) ** 0.5
    widest = 1.5 * along * nearest_pixel(vectors, columns)
    width = vectors[:, 2].norm(dim=1)
    if bool((width > widest).any()):
        view = int((width - widest).argmax())
        raise InputError(
            f"model: 'footprint' takes pixels up to {float(widest[view]):g} mm wide so near to the source, got "
            f"{float(width[view]):g} mm in view {view}; 'joseph' takes all"
        )


@footprint.register_fake
def _(volume, vectors, divergent, detector, spacing, center):
    return volume.new_empty((*volume.shape[: -len(spacing)], vectors.shape[0], *detector))


@footprint_adjoint.register_fake
def _(projections, vectors, divergent, grid_shape, spacing, center):
    return projections.new_empty((*projections.shape[: -len(grid_shape)], *grid_shape))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensor, vectors, divergent, _, spacing, center = inputs
    ctx.save_for_backward(vectors)
    ctx.call = (divergent, spacing, center)
    ctx.input_shape = tensor.shape[-len(spacing) :]


def _footprint_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    divergent, spacing, center = ctx.call
    return footprint_adjoint(grad, *ctx.saved_tensors, divergent, ctx.input_shape, spacing, center), *[None] * 5


def _footprint_adjoint_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    divergent, spacing, center = ctx.call
    return footprint(grad, *ctx.saved_tensors, divergent, ctx.input_shape[1:], spacing, center), *[None] * 5


footprint.register_autograd(_footprint_backward, setup_context=_keep)
footprint_adjoint.register_autograd(_footprint_adjoint_backward, setup_context=_keep)
in_float32(footprint, footprint_adjoint)
