"""Voxel-driven backprojection and its exact adjoint, as differentiable functions.

Every voxel reads each view by bilinear interpolation where its centre is projected. Weightings: "none"; "fdk", the
squared ratio of the isocentre's to the voxel's depth along the detector's normal (flat detectors: Feldkamp, Davis,
Kress, "Practical cone-beam algorithm", JOSA A 1(6), 1984, eq. 28; Kak & Slaney, "Principles of Computerized
Tomographic Imaging", 1988, eq. 3.176 and fan beams 3.4.2); "fan", the squared ratio of the distances from the source
to the axis and to the voxel, both measured in the plane of the orbit (equiangular detectors: Kak & Slaney 3.4.1);
"ratio", that of "fdk" (of "fan" on curved detectors) without the square (F. Noo, J. Pack, D. Heuscher, "Exact helical
reconstruction using native cone-beam geometries", Physics in Medicine and Biology 48(23), 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sinograd.geometry import Grid
from sinograd.ops.arguments import check_tensor
from sinograd.ops.autocast import in_float32
from sinograd.ops.derivatives import Function
from sinograd.ops.dispatch import Call
from sinograd.ops.memory import enough_memory
from sinograd.ops.projection_tables import WHOLE, Portion


@torch.library.custom_op("sinograd::backproject", mutates_args=())
def backproject(
    projections: Tensor,  # [..., views, rows, columns] or [..., views, columns]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    grid_shape: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
    weighting: str = "none",
    path: str = "auto",
) -> Tensor:
    """[..., z, y, x] or [..., y, x]: the sum over views of the projections at every voxel's image."""
    ndim = len(grid_shape)
    check_tensor("projections", projections, ndim)
    shape = (*projections.shape[:-ndim], *grid_shape)
    with enough_memory("backprojection", projections, shape):
        out = projections.new_zeros(shape)
        add_backprojection(out, projections, vectors, divergent, spacing, center, weighting, path)
    return out


@torch.library.custom_op("sinograd::backproject_adjoint", mutates_args=())
def backproject_adjoint(
    volume: Tensor,  # [..., z, y, x] or [..., y, x]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    detector: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
    weighting: str = "none",
    path: str = "auto",
) -> Tensor:
    """The exact transpose of `backproject`: [..., views, rows, columns] or [..., views, columns]."""
    check_tensor("volume", volume, len(spacing))
    grid_shape = (*volume.shape[-len(spacing) :],)
    call = Call(vectors, divergent, (*detector,), grid_shape, (*spacing,), (*center,), weighting, path)
    shape = volume.shape[: -len(spacing)] + call.projection_shape
    with enough_memory("adjoint of backprojection", volume, shape):
        out = volume.new_zeros(shape)
        call.add("backproject_adjoint", volume, out)
    return out


def backprojection_pair(
    vectors: Tensor, divergent: bool, detector: Sequence[int], grid: Grid, weighting: str
) -> tuple[Function, Function]:
    """`backproject` and `backproject_adjoint` of one scan, for `ops.derivatives`."""
    place = {"spacing": grid.spacing, "center": grid.center, "weighting": weighting}
    scan = {"vectors": vectors, "divergent": divergent, **place}
    return partial(backproject, grid_shape=grid.shape, **scan), partial(backproject_adjoint, detector=detector, **scan)


def add_backprojection(
    volume: Tensor,
    projections: Tensor,
    vectors: Tensor,
    divergent: bool,
    spacing: Sequence[float],
    center: Sequence[float],
    weighting: str = "none",
    path: str = "auto",
    part: Portion = WHOLE,
) -> None:
    """Adds a backprojection to `volume` (contiguous) in place; for blocks of views, outside autograd.

    part: `volume` and `projections` are these slices and rows of larger ones, whose are `vectors` and `center`. The
    same bits come out as for the whole, where the axial kernels work (`is_axial`); others raise InputError.
    """
    ndim = len(spacing)
    detector = (*projections.shape[1 - ndim :],)
    shape = (*volume.shape[-ndim:],)
    call = Call(vectors, divergent, detector, shape, (*spacing,), (*center,), weighting, path, part)
    call.add("backproject", projections, volume)


@backproject.register_fake
def _(projections, vectors, divergent, grid_shape, spacing, center, weighting="none", path="auto"):
    return projections.new_empty((*projections.shape[: -len(grid_shape)], *grid_shape))


@backproject_adjoint.register_fake
def _(volume, vectors, divergent, detector, spacing, center, weighting="none", path="auto"):
    return volume.new_empty((*volume.shape[: -len(spacing)], vectors.shape[0], *detector))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    tensor, vectors, divergent, _, spacing, center, weighting, path = inputs
    ctx.save_for_backward(vectors)
    ctx.call = (divergent, spacing, center, weighting, path)
    ctx.input_shape = tensor.shape[-len(spacing) :]


def _backproject_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    divergent, *rest = ctx.call
    return backproject_adjoint(grad, *ctx.saved_tensors, divergent, ctx.input_shape[1:], *rest), *[None] * 7


def _backproject_adjoint_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    divergent, *rest = ctx.call
    return backproject(grad, *ctx.saved_tensors, divergent, ctx.input_shape, *rest), *[None] * 7


backproject.register_autograd(_backproject_backward, setup_context=_keep)
backproject_adjoint.register_autograd(_backproject_adjoint_backward, setup_context=_keep)
in_float32(backproject, backproject_adjoint)
