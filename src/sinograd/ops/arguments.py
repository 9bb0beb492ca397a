"""Checks of arguments, made before any kernel runs: tensors, and whether a geometry and a grid make an operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.kernel_views import is_curved

DTYPES = (torch.float32, torch.float64)
DEVICES = ("cpu", "cuda")


def autocast(tensor: Tensor) -> Tensor:
    """The tensor, cast to float32 if it has half precision and autocast is on."""
    if isinstance(tensor, Tensor) and tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.float() if torch.is_autocast_enabled(tensor.device.type) else tensor
    return tensor


def check_dtype(name: str, tensor: Tensor) -> None:
    """A tensor of float32 or float64."""
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if tensor.dtype not in DTYPES:
        raise InputTypeError(
            f"{name}: expected dtype float32 or float64, got {str(tensor.dtype).removeprefix('torch.')}"
        )


def check_tensor(name: str, tensor: Tensor, ndim: int, devices: Sequence[str] = DEVICES) -> None:
    """A tensor of float32 or float64 with at least `ndim` dimensions on a device of one of these types."""
    check_dtype(name, tensor)
    if tensor.device.type not in devices:
        where = " or ".join(device.upper() for device in devices)
        raise InputError(
            f"{name}: expected a tensor on the {where}, got one on {tensor.device}: there is no kernel for that here"
        )
    if tensor.ndim < ndim:
        raise InputError(f"{name}: expected at least {ndim} dimensions, got shape {list(tensor.shape)}")


def check_shape(name: str, tensor: Tensor, what: str, shape: Sequence[int], axes: Sequence[str]) -> None:
    """The last dimensions of the tensor are `shape`; `what` says where the expectation comes from."""
    check_tensor(name, tensor, len(shape))
    got = tuple(tensor.shape[tensor.ndim - len(shape) :])
    wrong = [f"{axis} {want} != {have}" for axis, want, have in zip(axes, shape, got, strict=True) if want != have]
    if wrong:
        raise InputError(f"{what} {tuple(shape)} does not match {name} {list(tensor.shape)}: {', '.join(wrong)}")


def check_last_dimensions(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    """A tensor of float32 or float64, on any device, that ends in these dimensions."""
    check_dtype(name, tensor)
    if tuple(tensor.shape[max(0, tensor.ndim - len(shape)) :]) != tuple(shape):
        raise InputError(f"{name}: expected [{', '.join(['...', *map(str, shape)])}], got {list(tensor.shape)}")


def check_volume(volume: Tensor, grid: Grid) -> None:
    """[..., *grid.shape]."""
    check_shape("volume", volume, "grid.shape", grid.shape, "zyx"[-grid.ndim :])


def check_projections(projections: Tensor, geometry: Geometry) -> None:
    """[..., *geometry.projection_shape]."""
    axes = ("views", "rows", "columns") if geometry.ndim == 3 else ("views", "columns")
    check_shape("projections", projections, "geometry.projection_shape", geometry.projection_shape, axes)


def check_vectors(vectors: Tensor) -> None:
    """Float64 [views, 4 or 5, 3] on the CPU."""
    if not isinstance(vectors, Tensor) or vectors.dtype != torch.float64:
        got = str(vectors.dtype).removeprefix("torch.") if isinstance(vectors, Tensor) else type(vectors).__name__
        raise InputTypeError(f"vectors: expected a float64 tensor, got {got}")
    if vectors.ndim != 3 or vectors.shape[1] not in (4, 5) or vectors.shape[2] != 3:
        raise InputError(f"vectors: expected shape [views, 4 or 5, 3], got {list(vectors.shape)}")
    if vectors.device.type != "cpu":
        raise InputError(f"vectors: expected a tensor on the CPU, whatever the volume is on, got {vectors.device}")


def check_target(name: str, target: Tensor, source_name: str, source: Tensor) -> None:
    """A tensor that a kernel can add to: the source's dtype and device, contiguous."""
    if target.device != source.device:
        raise InputError(f"{name}: expected it on the device of {source_name}, {source.device}, got {target.device}")
    if target.dtype != source.dtype:
        want, got = (str(t.dtype).removeprefix("torch.") for t in (source, target))
        raise InputTypeError(f"{name}: expected the dtype of {source_name}, {want}, got {got}")
    if not target.is_contiguous():
        raise InputError(f"{name}: expected a contiguous tensor to add to, got strides {tuple(target.stride())}")


def check_pair(geometry: Geometry, grid: Grid) -> None:
    """Raises where no operator is defined between the geometry's projections and the grid's volumes."""
    if not isinstance(geometry, Geometry):
        raise InputTypeError(f"geometry: expected a ParallelBeam, FanBeam or ConeBeam, got {type(geometry).__name__}")
    if not isinstance(grid, Grid):
        raise InputTypeError(f"grid: expected a Grid, got {type(grid).__name__}")
    if geometry.ndim != grid.ndim:
        raise InputError(
            f"grid.shape {grid.shape} does not match the geometry: a {geometry.ndim}-D geometry needs a "
            f"{geometry.ndim}-D grid"
        )
    vectors = geometry.vectors
    if geometry.divergent:
        _check_in_front(vectors, grid)


def _check_in_front(vectors: Tensor, grid: Grid) -> None:
    """Interpolated volumes reach half a voxel beyond their grid; no source may be there."""
    source, towards = vectors[:, 0], vectors[:, 1] - vectors[:, 0]
    if not is_curved(vectors):
        normal = vectors[:, 2].cross(vectors[:, 3], dim=1)
        towards = normal * (towards * normal).sum(1, keepdim=True).sign()
    towards = towards / towards.norm(dim=1, keepdim=True)
    for margin, half_voxel in ((0, ""), (1, ", with the half voxel by which interpolation widens it,")):
        corners = Grid([n + margin for n in grid.shape], grid.spacing, grid.center).corners()
        depth = ((corners[None] - source[:, None]) * towards[:, None]).sum(2)  # [views, corners]
        nearest = depth.amin(1)
        if bool((nearest <= 0).any()):
            view = int(nearest.argmin())
            corner, at = corners[int(depth[view].argmin())], source[view]
            raise InputError(
                f"grid reaches behind the source: in view {view} its corner {_position(corner)} mm{half_voxel} lies "
                f"{-float(nearest[view]):g} mm behind the source at {_position(at)} mm; expected all of it in front"
            )


def _position(position: Tensor) -> str:
    return str([round(c, 6) for c in position.tolist()])
