"""Checks that the measures of bone share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data import Volume
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks

DENSITY = "mg/cm3"
Values = Tensor | np.ndarray | Volume
Spacing = float | Sequence[float] | None


def densities(values: Values, name: str = "values") -> Tensor:
    """Calibrated values [..., Z, Y, X], finite, float32 or float64.

    Raises UnitError for a `Volume` in another unit than mg/cm3, InputTypeError for no real floating-point numbers,
    InputError for fewer than three dimensions, no elements, or NaN and infinite values.
    """
    if isinstance(values, Volume):
        values = values.require(DENSITY, "bone morphometry").as_slices().values
    tensor = _tensor(values, name)
    if not tensor.is_floating_point():
        got = str(tensor.dtype).removeprefix("torch.")
        raise InputTypeError(f"{name}: expected floating-point numbers in mg/cm3, got {got} (convert with .float())")
    if tensor.dtype not in (torch.float32, torch.float64):
        got = str(tensor.dtype).removeprefix("torch.")
        raise InputTypeError(f"{name}: expected float32 or float64, got {got}")
    _check_shape(tensor, name)
    bad = int((~torch.isfinite(tensor.detach())).sum())
    if bad:
        raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite ones")
    return tensor


def binary(mask: Values, name: str = "mask", shape: Sequence[int] | None = None) -> Tensor:
    """A mask as booleans [Z, Y, X]: true and false, or numbers that are 0 or 1.

    shape: that it must have, where it goes with a volume. Raises InputTypeError, InputError.
    """
    if isinstance(mask, Volume):
        mask = mask.as_slices().values
    tensor = _tensor(mask, name)
    if shape is not None and tuple(tensor.shape) != tuple(shape):
        raise InputError(f"{name} {list(tensor.shape)} is on another grid than the volume {list(shape)}")
    if tensor.ndim != 3 or tensor.numel() == 0:
        raise InputError(f"{name}: expected [Z, Y, X] with some elements, got shape {list(tensor.shape)}")
    if tensor.dtype == torch.bool:
        return tensor
    inside = tensor == 1
    other = int((~inside & (tensor != 0)).sum())
    if other:
        raise InputError(f"{name}: expected true and false, or 0 and 1, got {other} other values")
    return inside


def steps(spacing: Spacing, values: Values | None = None) -> tuple[float, float, float]:
    """Mm per voxel (z, y, x): one number or three; None is what the `Volume` itself says.

    Raises InputError where it is missing, not positive, or another one than the volume's; InputTypeError for no
    numbers.
    """
    own = values.as_slices().spacing if isinstance(values, Volume) else None
    if spacing is None:
        if own is None:
            raise InputError("spacing: missing; expected mm per voxel, one number or (z, y, x)")
        return own  # pyright: ignore[reportReturnType]
    found = checks.spacing(spacing, "spacing", 3)
    if own is not None and any(not math.isclose(a, b, rel_tol=1e-6) for a, b in zip(found, own, strict=True)):
        raise InputError(f"spacing {found} is another one than the volume's, {own}")
    return found  # pyright: ignore[reportReturnType]


def level(threshold: Any, values: Tensor | None = None) -> float:
    """A finite threshold in mg/cm3 that separates some values from others.

    Raises InputError where all values lie on one side of it: then it, or the unit of the values, is wrong. (A volume
    of a single value has one side alone, and may lie above.)
    """
    found = checks.number(threshold, "threshold")
    if values is not None:
        low, high = (float(v) for v in torch.aminmax(values.detach()))
        if found > high or (low > found and low < high):
            raise InputError(f"threshold {found:g} mg/cm3 is outside the data, {low:.5g} to {high:.5g}")
    return found


def _tensor(values: Any, name: str) -> Tensor:
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "fiub":
            raise InputTypeError(f"{name}: expected real numbers, got {values.dtype}")
        if not values.flags.writeable or not values.dtype.isnative or any(step < 0 for step in values.strides):
            values = values.astype(values.dtype.newbyteorder("="))
        values = torch.from_numpy(values)
    if not isinstance(values, Tensor):
        raise InputTypeError(f"{name}: expected a tensor, an array or a Volume, got {type(values).__name__}")
    if values.is_complex():
        raise InputTypeError(f"{name}: expected real numbers, got {str(values.dtype).removeprefix('torch.')}")
    return values


def _check_shape(tensor: Tensor, name: str) -> None:
    if tensor.ndim < 3 or tensor.numel() == 0:
        raise InputError(f"{name}: expected [..., Z, Y, X] with some elements, got shape {list(tensor.shape)}")
