"""Beam hardening by a spectrum that is known: what a beam of many energies measures behind one material."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from sinograd.errors import InputError, PreparationWarning
from sinograd.geometry.checks import number

if TYPE_CHECKING:
    from sinograd.physics import DetectorResponse, Material, SpectralBeam, Spectrum

DEGREE = 6
POINTS = 400  # lengths at which the polynomial is fitted
LEAST, MOST = 0.1, 12.0  # line integrals between which the largest is looked for: a share of 6e-6 is no reading
WARN = 0.005  # of a line integral, the misfit of a polynomial


def spectral_polynomial(
    spectrum: Spectrum,
    material: str | Material = "water",
    *,
    detector: str | DetectorResponse = "integrating",
    energy: float | None = None,
    largest: float = 8.0,
    degree: int = DEGREE,
) -> tuple[float, ...]:
    """Coefficients (c1, ..., c_degree) that make line integrals of a material those of a beam of one energy.

    Least squares of the relative error over lengths; see `correct_beam_hardening`.

    Args:
        spectrum: of the beam at the detector, without the object.
        material: that the object is mostly made of.
        detector: "integrating", "counting" or a `DetectorResponse`.
        energy: keV; None: keeps the slope at p = 0, so that c1 is about 1.
        largest: line integral up to which the coefficients hold.
        degree: of the polynomial.

    Raises:
        ValueError: as `attenuation`, or a degree or line integral that is not positive.

    Warns:
        PreparationWarning: the polynomial misses the curve by more than 0.5 % somewhere; says by how much.
    """
    from sinograd.physics import SpectralBeam, attenuation

    if isinstance(degree, bool) or not isinstance(degree, int) or not 1 <= degree <= 12:
        raise InputError(f"degree: expected a whole number from 1 to 12, got {degree!r}")
    if not number(largest, "largest") > 0:
        raise InputError(f"largest: expected a positive line integral, got {largest}")
    beam = SpectralBeam(spectrum, [material], detector)
    wanted = (
        float(beam.effective_attenuation()[0]) if energy is None else attenuation(material, number(energy, "energy"))
    )
    length = np.linspace(0, longest(beam, min(max(largest, LEAST), MOST)), POINTS + 1)[1:]
    p = beam.line_integrals(torch.from_numpy(length)[None]).numpy()
    powers = p[:, None] ** np.arange(1, degree + 1) / (wanted * length)[:, None]
    found = np.linalg.lstsq(powers, np.ones(POINTS), rcond=1e-13)[0]
    miss = float(np.abs(powers @ found - 1).max())
    if miss > WARN:
        warnings.warn(
            f"the polynomial of degree {degree} misses the beam hardening of the spectrum by up to {miss:.2%}; a "
            "higher degree, or a filter in the spectrum, mends that",
            PreparationWarning,
            stacklevel=2,
        )
    return tuple(float(c) for c in found)


def longest(beam: SpectralBeam, line_integral: float) -> float:
    """Mm of the first material behind which the beam has this line integral."""
    low, high = 0.0, 1.0
    while _at(beam, high) < line_integral:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _at(beam, middle) < line_integral else (low, middle)
    return high


def _at(beam: SpectralBeam, length: float) -> float:
    lengths = torch.zeros(len(beam.materials), 1, dtype=torch.float64)
    lengths[0] = length
    return float(beam.line_integrals(lengths))
