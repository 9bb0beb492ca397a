"""Checks of the tensors that the models of this package take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError


def check_latents(name: str, values: Tensor, latent: int, dtype: torch.dtype) -> None:
    """InputError unless [B, latent] and finite; InputTypeError for another dtype."""
    _check_tensor(name, values, dtype)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] != latent:
        raise InputError(f"{name}: expected latents [B, {latent}], got {list(values.shape)}")
    _check_finite(name, values)


def check_condition(condition: Tensor, shape: Sequence[int], dtype: torch.dtype) -> None:
    """InputError unless of this shape and finite; InputTypeError for another dtype."""
    _check_tensor("condition", condition, dtype)
    if tuple(condition.shape) != tuple(shape):
        raise InputError(f"condition: expected {list(shape)}, got {list(condition.shape)}")
    _check_finite("condition", condition)


def check_images(name: str, images: Tensor, size: int, dtype: torch.dtype | None = None) -> None:
    """InputError unless [B, 1, size, size] and finite; InputTypeError for another dtype, or whole numbers."""
    _check_tensor(name, images, dtype)
    if images.ndim != 4 or len(images) == 0 or tuple(images.shape[1:]) != (1, size, size):
        raise InputError(f"{name}: expected images [B, 1, {size}, {size}], got {list(images.shape)}")
    _check_finite(name, images)


def _check_tensor(name: str, values: Tensor, dtype: torch.dtype | None) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point() or (dtype and values.dtype != dtype):
        got = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise InputTypeError(f"{name}: expected a tensor of {dtype or 'floating point numbers'}, got {got}")


def _check_finite(name: str, values: Tensor) -> None:
    if not bool(torch.isfinite(values.detach()).all()):
        raise InputError(f"{name}: expected finite numbers, got NaN or infinite ones")
