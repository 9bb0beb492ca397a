"""Checks of tensor arguments, made before any kernel runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError

DTYPES = (torch.float32, torch.float64)
DEVICES = ("cpu", "cuda")


def autocast(tensor: Tensor) -> Tensor:
    """The tensor, cast to float32 if it has half precision and autocast is on."""
    if isinstance(tensor, Tensor) and tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.float() if torch.is_autocast_enabled(tensor.device.type) else tensor
    return tensor


def check_tensor(name: str, tensor: Tensor, ndim: int, devices: Sequence[str] = DEVICES) -> None:
    """A tensor of float32 or float64 with at least `ndim` dimensions on a device of one of these types."""
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if tensor.dtype not in DTYPES:
        raise InputTypeError(
            f"{name}: expected dtype float32 or float64, got {str(tensor.dtype).removeprefix('torch.')}"
        )
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
