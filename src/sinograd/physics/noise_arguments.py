"""Checks of what the noise functions are given: line integrals, photons, electronic noise."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import number, scalar, without_gradients

LEAST_FLOOR = 1e-30
MOST_PHOTONS = 1e30  # of a reading; float32 and the squares in variances stay finite
MOST_NOISE = 1e15  # its variance is then that


def check_line_integrals(line_integrals: Tensor) -> None:
    """TypeError unless they are a float32 or float64 tensor, ValueError unless they are finite."""
    if not isinstance(line_integrals, Tensor):
        raise InputTypeError(f"line_integrals must be a tensor, got {type(line_integrals).__name__}")
    if line_integrals.dtype not in (torch.float32, torch.float64):
        raise InputTypeError(f"line_integrals must be float32 or float64, got {line_integrals.dtype}")
    if not bool(torch.isfinite(line_integrals).all()):
        bad = int((~torch.isfinite(line_integrals)).sum())
        raise InputError(f"line_integrals must be finite, got {bad} values that are not")


def checked_floor(floor: float) -> float:
    """The smallest reading; ValueError unless it is a positive number of photons that float32 holds, as TypeError for
    what is no number."""
    floor = number(floor, "floor")
    if not LEAST_FLOOR <= floor <= MOST_PHOTONS:
        raise InputError(
            f"floor must be a positive number of photons, from {LEAST_FLOOR:g} to {MOST_PHOTONS:g}, got {floor:g}"
        )
    return floor


def check_generator(generator: object) -> None:
    """TypeError unless it is a generator of torch, or None."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise InputTypeError(f"generator must be a torch.Generator or None, got {type(generator).__name__}")


def photons_like(line_integrals: Tensor, photons: float | Tensor) -> Tensor:
    """`photons` in the dtype and on the device of line_integrals; ValueError unless positive and broadcasting."""
    unattenuated = _like(line_integrals, "photons", photons)
    if not bool(((unattenuated > 0) & torch.isfinite(unattenuated)).all()):
        raise InputError(f"photons must be positive and finite, got {_worst(unattenuated)}")
    return unattenuated


def check_readings(line_integrals: Tensor, unattenuated: Tensor) -> None:
    """InputError where photons exp(-p) is above 1e30, as it is of negative line integrals that are no measurements."""
    if line_integrals.numel() == 0:
        return
    logarithms = unattenuated.log() - line_integrals
    if bool(logarithms.max() <= math.log(MOST_PHOTONS)):
        return
    worst = int(logarithms.argmax())
    value = line_integrals.reshape(-1)[worst].item()
    photons = unattenuated.expand_as(line_integrals).reshape(-1)[worst].item()
    raise InputError(
        f"line_integrals: {value:g} with {photons:g} photons makes a reading of more than {MOST_PHOTONS:g} photons"
    )


def electronic_noise_like(line_integrals: Tensor, electronic_noise: float | Tensor) -> Tensor:
    """`electronic_noise` likewise; ValueError where it is negative."""
    deviation = _like(line_integrals, "electronic_noise", electronic_noise)
    if not bool(((deviation >= 0) & torch.isfinite(deviation)).all()):
        raise InputError(f"electronic_noise must be finite and not negative, got {_worst(deviation)}")
    if bool((deviation > MOST_NOISE).any()):
        raise InputError(f"electronic_noise must be at most {MOST_NOISE:g} photons, got {deviation.max().item():g}")
    return deviation


def _like(line_integrals: Tensor, name: str, value: float | Tensor) -> Tensor:
    without_gradients(value, name)
    plain = scalar(value) if isinstance(value, Tensor | np.generic | np.ndarray) else value
    if isinstance(plain, bool) or (isinstance(plain, Tensor | np.ndarray) and plain.dtype in (torch.bool, np.bool_)):
        raise InputTypeError(f"{name} must be a number or a tensor of them, got {shown(value)}")
    number = float(plain) if isinstance(plain, Real) else plain
    try:
        tensor = torch.as_tensor(number, dtype=line_integrals.dtype, device=line_integrals.device)
    except (TypeError, ValueError, RuntimeError):
        raise InputTypeError(f"{name} must be a number or a tensor of them, got {shown(value)}") from None
    try:
        fits = torch.broadcast_shapes(tensor.shape, line_integrals.shape) == line_integrals.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InputError(
            f"{name} {list(tensor.shape)} does not broadcast to line_integrals {list(line_integrals.shape)}"
        )
    return tensor


def _worst(values: Tensor) -> float:
    """A value that is not finite if there is one, else the smallest."""
    finite = torch.isfinite(values)
    return values.min().item() if bool(finite.all()) else values[~finite][0].item()
