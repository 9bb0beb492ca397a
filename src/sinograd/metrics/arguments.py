"""Checks that the metrics share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def check_image(name: str, image: Tensor, ndim: int) -> None:
    """A tensor of real floating-point numbers with at least `ndim` dimensions and some elements."""
    if not isinstance(image, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(image).__name__}")
    if not image.is_floating_point():
        got = str(image.dtype).removeprefix("torch.")
        raise TypeError(f"{name}: expected floating-point numbers, got {got} (convert with .float())")
    if image.ndim < ndim:
        raise ValueError(f"{name}: expected at least {ndim} dimensions, got shape {list(image.shape)}")
    if image.numel() == 0:
        raise ValueError(f"{name}: expected some elements, got shape {list(image.shape)}")


def check_images(found: Tensor, reference: Tensor, ndim: int) -> None:
    """Two images of one shape and device, each of which `check_image` lets pass."""
    if ndim < 1:
        raise ValueError(f"ndim: expected at least 1, got {ndim}")
    check_image("found", found, ndim)
    check_image("reference", reference, ndim)
    if found.shape != reference.shape:
        raise ValueError(f"found {list(found.shape)} does not match reference {list(reference.shape)}")
    if found.device != reference.device:
        raise ValueError(f"found is on {found.device}, reference on {reference.device}: expected one device")


def check_data_range(data_range: float) -> float:
    """A positive, finite number."""
    if isinstance(data_range, bool) or not isinstance(data_range, int | float):
        raise TypeError(f"data_range: expected a number, got {type(data_range).__name__}")
    if not 0 < data_range < math.inf:
        raise ValueError(f"data_range: expected a positive, finite number, got {data_range}")
    return float(data_range)


def pixel_size(spacing: float | Sequence[float]) -> tuple[float, float]:
    """(y, x) in mm from one number or two."""
    pair = (spacing, spacing) if isinstance(spacing, int | float) else tuple(spacing)
    if len(pair) != 2 or not all(0 < step < math.inf for step in pair):
        raise ValueError(f"spacing: expected one positive number of mm or two, for y and x, got {spacing}")
    return float(pair[0]), float(pair[1])


def last_axes(ndim: int) -> tuple[int, ...]:
    """(-ndim, ..., -1)."""
    return tuple(range(-ndim, 0))


def axis_like(image: Tensor, n: int) -> Tensor:
    """0 to n - 1 as float64 on the image's device."""
    return torch.arange(n, dtype=torch.float64, device=image.device)
