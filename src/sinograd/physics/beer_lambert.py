"""Beer-Lambert law of a monochromatic beam: transmission = exp(-integral of attenuation along the ray)."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor
from torch._C._functorch import (  # pyright: ignore[reportMissingImports]
    get_unwrapped,
    is_batchedtensor,
    is_functorch_wrapped_tensor,
)

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import scalar


def transmission_from_line_integrals(line_integrals: Tensor) -> Tensor:
    """Transmitted fraction exp(-p) of line integrals p, any shape; differentiable.

    Raises:
        TypeError: for anything but a tensor of real numbers.
        ValueError: line integrals that are not finite, or so negative that the fraction is no number of their type
            (below -88 in float32).
    """
    _check_tensor(line_integrals, "line_integrals")
    _check_finite(line_integrals, "line_integrals")
    fraction = (-line_integrals).exp()
    if _can_be_looked_at(fraction) and not bool(torch.isfinite(fraction.detach()).all()):
        least = line_integrals.detach().min().item()
        raise InputError(f"line_integrals: exp({-least:g}) is beyond {fraction.dtype}, no transmitted fraction")
    return fraction


def line_integrals_from_transmission(transmission: Tensor, minimum: float | Tensor | None = None) -> Tensor:
    """Line integrals -ln(t) of transmitted fractions t, any shape; differentiable.

    Args:
        transmission: detector reading over the reading without object.
        minimum: readings below it count as it (and then have no gradient). Positive; a number or a tensor
            that broadcasts to transmission.

    Raises:
        TypeError: for a transmission that is no tensor of real numbers, or a minimum that is no number or tensor.
        ValueError: if a reading is not finite, or not positive and no minimum is given; or the minimum is not positive
            and finite.
    """
    _check_tensor(transmission, "transmission")
    _check_finite(transmission, "transmission")
    if minimum is None:
        if _can_be_looked_at(transmission) and not bool((transmission > 0).all()):
            raise InputError(
                f"transmission must be positive to have a logarithm, got {transmission.min().item():g}: "
                "give the smallest reading to believe as minimum"
            )
        return -transmission.log()
    minimum = scalar(minimum) if not isinstance(minimum, Tensor) else minimum  # pyright: ignore[reportAssignmentType]
    if isinstance(minimum, bool) or not isinstance(minimum, Real | Tensor):
        raise InputTypeError(f"minimum must be a number or a tensor, got {shown(minimum)}")
    good = (minimum > 0) & minimum.isfinite() if isinstance(minimum, Tensor) else 0 < minimum < math.inf
    if not bool(good.all() if isinstance(good, Tensor) else good):
        raise InputError(f"minimum must be positive and finite, got {shown(minimum)}")
    return -transmission.clamp(min=minimum).log()  # pyright: ignore[reportArgumentType, reportCallIssue]


def _check_tensor(values: object, name: str) -> None:
    if not isinstance(values, Tensor) or values.is_complex() or values.dtype == torch.bool:
        found = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise InputTypeError(f"{name} must be a tensor of real numbers, got {found}")


def _check_finite(values: Tensor, name: str) -> None:
    if _can_be_looked_at(values):
        bad = int((~torch.isfinite(values.detach())).sum())
        if bad:
            raise InputError(f"{name} must be finite, got {bad} values that are not")


def _can_be_looked_at(values: Tensor) -> bool:
    """Whether values are plain numbers: within torch.compile and torch.vmap they are not known."""
    if torch.compiler.is_compiling():
        return False
    while is_functorch_wrapped_tensor(values):
        if is_batchedtensor(values):
            return False
        values = get_unwrapped(values)
    return True
