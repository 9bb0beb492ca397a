"""Checks of tensor arguments, made before any kernel runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64)


def check_tensor(name: str, tensor: Tensor, ndim: int) -> None:
    """A CPU tensor of float32 or float64 with at least `ndim` dimensions."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if tensor.dtype not in DTYPES:
        raise TypeError(f"{name}: expected dtype float32 or float64, got {str(tensor.dtype).removeprefix('torch.')}")
    if tensor.device.type != "cpu":
        raise ValueError(
            f"{name}: expected a tensor on the CPU, got one on {tensor.device}: this version has CPU kernels only"
        )
    if tensor.ndim < ndim:
        raise ValueError(f"{name}: expected at least {ndim} dimensions, got shape {list(tensor.shape)}")


def check_shape(name: str, tensor: Tensor, what: str, shape: Sequence[int], axes: Sequence[str]) -> None:
    """The last dimensions of the tensor are `shape`; `what` says where the expectation comes from."""
    check_tensor(name, tensor, len(shape))
    got = tuple(tensor.shape[tensor.ndim - len(shape) :])
    wrong = [f"{axis} {want} != {have}" for axis, want, have in zip(axes, shape, got, strict=True) if want != have]
    if wrong:
        raise ValueError(f"{what} {tuple(shape)} does not match {name} {list(tensor.shape)}: {', '.join(wrong)}")
