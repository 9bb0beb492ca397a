"""Beer-Lambert law of a monochromatic beam: transmission = exp(-integral of attenuation along the ray)."""

from __future__ import annotations

from torch import Tensor

from sinograd.errors import InputError


def transmission_from_line_integrals(line_integrals: Tensor) -> Tensor:
    """Transmitted fraction exp(-p) of line integrals p, any shape; differentiable."""
    return (-line_integrals).exp()


def line_integrals_from_transmission(transmission: Tensor, minimum: float | Tensor | None = None) -> Tensor:
    """Line integrals -ln(t) of transmitted fractions t, any shape; differentiable.

    Args:
        transmission: detector reading over the reading without object.
        minimum: readings below it count as it (and then have no gradient). Positive; a number or a tensor
            that broadcasts to transmission.

    Raises:
        ValueError: if a reading is not positive and no minimum is given, or the minimum is not positive.
    """
    if minimum is None:
        if not bool((transmission > 0).all()):
            raise InputError(
                f"transmission must be positive to have a logarithm, got {transmission.min().item():g}: "
                "give the smallest reading to believe as minimum"
            )
        return -transmission.log()
    if not bool((minimum > 0).all() if isinstance(minimum, Tensor) else minimum > 0):
        raise InputError(f"minimum must be positive, got {minimum}")
    return -transmission.clamp(min=minimum).log()
