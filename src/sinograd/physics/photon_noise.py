"""Photon and electronic noise of a counting or well calibrated integrating detector."""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor

from sinograd.physics.beer_lambert import line_integrals_from_transmission, transmission_from_line_integrals
from sinograd.physics.draws import MOST_POISSON, poisson
from sinograd.physics.noise_arguments import (
    check_generator,
    check_line_integrals,
    check_readings,
    checked_floor,
    electronic_noise_like,
    photons_like,
)


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
    The logarithm is taken as a scanner would, so its known bias of about 1 / (2 counts) is in the result. Below about
    five photons the floor decides: of m photons a share exp(-m) of the readings is empty and reads ln(photons / floor).
    With the floor of 0.5 the mean line integral is too high by 0.12 at 5 photons, by 0.19 at 2 and by 0.03 at 1, and
    too low by 0.72 at 0.3 and by 1.68 at 0.1. The counts have no such bias.

    Args:
        floor: the smallest reading taken at its word, in photons. Electronic noise and starved rays give
            readings of zero and below; they count as this, so no line integral exceeds ln(photons / floor).
        return_counts: also return the counts before the floor, from which to tell how many readings were
            starved: without electronic noise `(counts <= 0).sum()` had no photons; `(counts < floor).sum()` were raised
            to the floor.

    Returns:
        Noisy line integrals of the shape and dtype of the clean ones, or (those, counts); detached, as
        drawing has no gradient. Up to three more tensors of that size are held while it works, in float64 where
        more than 1e9 photons are expected.

    Raises:
        TypeError: as `photon_counts`.
        ValueError: as `photon_counts`, and a floor that is not positive.
    """
    floor = checked_floor(floor)
    counts = _readings(line_integrals, photons, electronic_noise, generator)
    unattenuated = photons_like(line_integrals, photons).to(counts.dtype)
    noisy = line_integrals_from_transmission(counts / unattenuated, floor / unattenuated).to(line_integrals.dtype)
    return (noisy, counts.to(line_integrals.dtype)) if return_counts else noisy


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
            shapes that do not broadcast to line_integrals, or line integrals so negative that a reading has
            more than 1e30 photons.
    """
    return _readings(line_integrals, photons, electronic_noise, generator).to(line_integrals.dtype)


@torch.no_grad()
def _readings(
    line_integrals: Tensor,
    photons: float | Tensor,
    electronic_noise: float | Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """As `photon_counts`; in float64 where float32 does not resolve the noise."""
    check_generator(generator)
    check_line_integrals(line_integrals)
    unattenuated = photons_like(line_integrals, photons)
    deviation = electronic_noise_like(line_integrals, electronic_noise)
    check_readings(line_integrals, unattenuated)
    expected = transmission_from_line_integrals(line_integrals) * unattenuated
    if line_integrals.dtype != torch.float64 and bool((expected > MOST_POISSON).any()):
        expected = transmission_from_line_integrals(line_integrals.double()) * unattenuated
    counts = poisson(expected, generator)
    if bool((deviation > 0).any()):
        noise = torch.empty_like(counts).normal_(generator=generator)
        counts.addcmul_(noise, deviation.to(counts.dtype).expand_as(counts))
    return counts
