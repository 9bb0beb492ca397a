"""Checks that the metrics share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import is_sequence, number, real, scalar, without_gradients


def check_image(name: str, image: Tensor, ndim: int) -> None:
    """A tensor of real floating-point numbers with at least `ndim` dimensions and some elements."""
    if not isinstance(image, Tensor):
        raise InputTypeError(f"{name}: expected a torch.Tensor, got {type(image).__name__}")
    if not image.is_floating_point():
        got = str(image.dtype).removeprefix("torch.")
        raise InputTypeError(f"{name}: expected floating-point numbers, got {got} (convert with .float())")
    if image.ndim < ndim:
        raise InputError(f"{name}: expected at least {ndim} dimensions, got shape {list(image.shape)}")
    if image.numel() == 0:
        raise InputError(f"{name}: expected some elements, got shape {list(image.shape)}")


def check_images(found: Tensor, reference: Tensor, ndim: int) -> None:
    """Two images of one shape and device, each of which `check_image` lets pass."""
    if ndim < 1:
        raise InputError(f"ndim: expected at least 1, got {ndim}")
    check_image("found", found, ndim)
    check_image("reference", reference, ndim)
    if found.shape != reference.shape:
        raise InputError(f"found {list(found.shape)} does not match reference {list(reference.shape)}")
    if found.device != reference.device:
        raise InputError(f"found is on {found.device}, reference on {reference.device}: expected one device")


def check_data_range(data_range: float) -> float:
    """A positive, finite number."""
    without_gradients(data_range, "data_range")
    if isinstance(value := scalar(data_range), bool) or not isinstance(value, Real):
        raise InputTypeError(f"data_range: expected a number, got {type(data_range).__name__}")
    value = real(value, "data_range")
    if not 0 < value < math.inf:
        raise InputError(f"data_range: expected a positive, finite number, got {data_range}")
    return value


def pixel_size(spacing: float | Sequence[float]) -> tuple[float, float]:
    """(y, x) in mm from one number or two."""
    without_gradients(spacing, "spacing")
    one = scalar(spacing)
    if not is_sequence(spacing):
        one = number(one, "spacing")
    pair = (one, one) if isinstance(one, float) else tuple(spacing)  # pyright: ignore[reportArgumentType]
    if len(pair) != 2 or not all(0 < step < math.inf for step in pair):
        raise InputError(f"spacing: expected one positive number of mm or two, for y and x, got {spacing}")
    return float(pair[0]), float(pair[1])


def last_axes(ndim: int) -> tuple[int, ...]:
    """(-ndim, ..., -1)."""
    return tuple(range(-ndim, 0))


def axis_like(image: Tensor, n: int) -> Tensor:
    """0 to n - 1 as float64 on the image's device."""
    return torch.arange(n, dtype=torch.float64, device=image.device)
