"""Photon and electronic noise of a counting or well calibrated integrating detector."""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor

from sinograd.physics.beer_lambert import line_integrals_from_transmission, transmission_from_line_integrals

_MOST_PHOTONS = 1e15  # a Poisson sample is an int64


@overload
def add_photon_noise(
    line_integrals: Tensor,
    photons: float | Tensor = ...,
    electronic_noise: float | Tensor = ...,
    *,
    floor: float = ...,
    generator: torch.Generator | None = ...,
    return_counts: Literal[False] = ...,
) -> Tensor: ...
@overload
def add_photon_noise(
    line_integrals: Tensor,
    photons: float | Tensor = ...,
    electronic_noise: float | Tensor = ...,
    *,
    floor: float = ...,
    generator: torch.Generator | None = ...,
    return_counts: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def add_photon_noise(
    line_integrals: Tensor,
    photons: float | Tensor = 1e5,
    electronic_noise: float | Tensor = 0.0,
    *,
    floor: float = 0.5,
    generator: torch.Generator | None = None,
    return_counts: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """What a scan with so many photons measures of clean line integrals p: -ln(max(counts, floor) / photons).

    counts = Poisson(photons exp(-p)) + Normal(0, electronic_noise^2); see `photon_counts` for the arguments.
    The logarithm is taken as a scanner would, so its known bias of about 1 / (2 counts) is in the result.

    Args:
        floor: the smallest reading taken at its word, in photons. Electronic noise and starved rays give
            readings of zero and below; they count as this, so no line integral exceeds ln(photons / floor).
        return_counts: also return the counts before the floor; `(counts < floor).sum()` were raised to it.

    Returns:
        Noisy line integrals of the shape and dtype of the clean ones; detached, as drawing has no gradient.
    """
    if not 0 < floor < float("inf"):
        raise ValueError(f"floor must be a positive number of photons, got {floor}")
    counts = photon_counts(line_integrals, photons, electronic_noise, generator=generator)
    unattenuated = _like(line_integrals, "photons", photons)
    noisy = line_integrals_from_transmission(counts / unattenuated, floor / unattenuated)
    return (noisy, counts) if return_counts else noisy


@torch.no_grad()
def photon_counts(
    line_integrals: Tensor,
    photons: float | Tensor = 1e5,
    electronic_noise: float | Tensor = 0.0,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Detector readings in photons: Poisson(photons exp(-p)) + Normal(0, electronic_noise^2).

    Args:
        line_integrals: clean ones, p = integral of attenuation; any shape, float32 or float64.
        photons: that reach a detector element without an object, in one view; a number, or a tensor that
            broadcasts to line_integrals (bowtie filter: [rows, columns], tube current: [views, 1, 1]).
        electronic_noise: standard deviation of the reading noise, in photons; likewise.
        generator: to draw from, on the device of line_integrals; the same one gives the same noise.

    Returns:
        Readings of the shape and dtype of line_integrals; electronic noise can make them negative. Detached.

    Raises:
        TypeError: for another dtype.
        ValueError: for line integrals that are not finite, photons that are not positive, negative noise,
            shapes that do not broadcast to line_integrals, or more than 1e15 photons in a reading.
    """
    if line_integrals.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"line_integrals must be float32 or float64, got {line_integrals.dtype}")
    if not bool(torch.isfinite(line_integrals).all()):
        bad = int((~torch.isfinite(line_integrals)).sum())
        raise ValueError(f"line_integrals must be finite, got {bad} values that are not")
    unattenuated = _like(line_integrals, "photons", photons)
    if not bool(((unattenuated > 0) & torch.isfinite(unattenuated)).all()):
        raise ValueError(f"photons must be positive and finite, got {_worst(unattenuated)}")
    deviation = _like(line_integrals, "electronic_noise", electronic_noise)
    if not bool(((deviation >= 0) & torch.isfinite(deviation)).all()):
        raise ValueError(f"electronic_noise must be finite and not negative, got {_worst(deviation)}")

    expected = transmission_from_line_integrals(line_integrals) * unattenuated
    if expected.numel() and not bool(expected.max() <= _MOST_PHOTONS):
        raise ValueError(f"a reading of {expected.max().item():g} photons is expected; at most 1e15 can be drawn")
    counts = torch.poisson(expected, generator=generator)
    if bool((deviation > 0).any()):
        noise = torch.empty_like(counts).normal_(generator=generator)
        counts.addcmul_(noise, deviation.expand_as(counts))
    return counts


def _like(line_integrals: Tensor, name: str, value: float | Tensor) -> Tensor:
    """The value in the dtype and on the device of line_integrals, checked to broadcast to it."""
    tensor = torch.as_tensor(value, dtype=line_integrals.dtype, device=line_integrals.device).detach()
    try:
        fits = torch.broadcast_shapes(tensor.shape, line_integrals.shape) == line_integrals.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} {list(tensor.shape)} does not broadcast to line_integrals {list(line_integrals.shape)}"
        )
    return tensor


def _worst(values: Tensor) -> float:
    """A value that is not finite if there is one, else the smallest."""
    finite = torch.isfinite(values)
    return values.min().item() if bool(finite.all()) else values[~finite][0].item()
