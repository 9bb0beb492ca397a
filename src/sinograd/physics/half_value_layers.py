"""Half-value layers: how much of a material halves the air kerma of a spectrum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from sinograd.errors import InputError
from sinograd.physics.attenuation import attenuation
from sinograd.physics.materials import Material

if TYPE_CHECKING:
    from sinograd.physics.spectrum import Spectrum

# Mass energy-absorption coefficient of dry air, cm^2/g, by keV: J. H. Hubbell and S. M. Seltzer, NISTIR 5632, table 4.
_AIR = np.array(
    [
        *((1, 3599), (1.5, 1188), (2, 526.2), (3, 161.4), (3.2029, 133.0), (3.203, 146.0), (4, 76.36), (5, 39.31)),
        *((6, 22.70), (8, 9.446), (10, 4.742), (15, 1.334), (20, 0.5389), (30, 0.1537), (40, 0.06833)),
        *((50, 0.04098), (60, 0.03041), (80, 0.02407), (100, 0.02325), (150, 0.02496), (200, 0.02672)),
        *((300, 0.02872), (400, 0.02949), (500, 0.02966), (600, 0.02953), (800, 0.02882)),
    ]
)
_ABOVE_EDGE = 5  # the first row above argon's K edge


def air_kerma_weight(energies: np.ndarray) -> np.ndarray:
    """Air kerma of a photon per area, relative: energy x mass energy-absorption coefficient of air; [bins].

    Between the table's energies splines of the logarithms are used, one on each side of argon's
    edge. Kerma that goes into bremsstrahlung is left out: it is less than 0.3 % below 800 keV.

    Raises:
        ValueError: energies below 1 keV.
    """
    if (energies < _AIR[0, 0]).any():
        raise InputError(f"air kerma: energies must be at least {_AIR[0, 0]:g} keV, got {energies.min():g}")
    low, high = (CubicSpline(*np.log(part).T) for part in (_AIR[:_ABOVE_EDGE], _AIR[_ABOVE_EDGE:]))
    logarithms = np.log(energies)
    return energies * np.exp(np.where(energies < _AIR[_ABOVE_EDGE, 0], low(logarithms), high(logarithms)))


def half_value_layers(spectrum: Spectrum, material: str | Material = "aluminium") -> tuple[float, float]:
    """First and second half-value layer, mm: from whole to half the air kerma, and from half to a quarter.

    Raises:
        ValueError: as `attenuation`; energies below 1 keV.
    """
    weight = spectrum.photons * air_kerma_weight(spectrum.energies)
    mu = attenuation(material, spectrum.energies)
    seen = weight > 0
    weight, mu = weight[seen] / weight.sum(), mu[seen]

    def layer(fraction: float) -> float:
        most = 1.01 * math.log(1 / fraction) / mu.min()
        return float(brentq(lambda mm: (weight * np.exp(-mu * mm)).sum() - fraction, 0.0, most, xtol=1e-12))  # pyright: ignore[reportArgumentType]

    half, quarter = layer(0.5), layer(0.25)
    return half, quarter - half
