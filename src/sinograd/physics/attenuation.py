"""Attenuation of materials: NIST-like tables of W. T. Elam, B. D. Ravel and J. R. Sieber, read by xraydb."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import without_gradients
from sinograd.physics.materials import Material, xraydb

LEAST_KEV, MOST_KEV = 0.1, 800.0  # of the tables


def attenuation(material: str | Material, energies: Any, density: float | None = None) -> Any:
    """Linear attenuation coefficient in 1/mm: photoelectric absorption, coherent and incoherent scattering.

    Elam, Ravel and Sieber, "A new atomic database for X-ray spectroscopic calculations", Radiation Physics and
    Chemistry 63, 2002; mixtures by mass.

    Args:
        material: a name ("water", "bone"), a symbol ("Cu"), a formula with `density`, or a `Material`.
        energies: keV, of any shape; a number, a sequence, an array or a tensor.
        density: g/cm^3 instead of the material's own.

    Returns:
        float64 numpy array of the energies' shape, or a float for a number.

    Raises:
        ValueError: an unknown material (with near names), energies outside 0.1 to 800 keV or not finite.
        ImportError: xraydb is not installed (extra `spectra`).
    """
    found = Material.of(material, density)
    kev = checked_energies(energies)
    flat = kev.ravel().astype(np.float64)
    total = np.zeros(len(flat))
    for symbol, share in found.parts.items():
        total += share * _mass_attenuation(symbol, flat.tobytes())
    result = (total * found.density / 10).reshape(kev.shape)  # cm^2/g x g/cm^3 = 1/cm
    return float(result) if kev.ndim == 0 else result


def checked_energies(energies: Any) -> np.ndarray:
    """float64 energies within the tables, keV."""
    without_gradients(energies, "energies")
    try:
        kev = np.asarray(energies.detach().cpu() if hasattr(energies, "detach") else energies, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputTypeError(f"energies must be numbers in keV, got {type(energies).__name__}") from None
    wrong = kev[~((kev >= LEAST_KEV) & (kev <= MOST_KEV))]
    if wrong.size:
        hint = "; energies are in keV, not eV" if wrong.max() > 1000 else ""
        raise InputError(
            f"energies must be from {LEAST_KEV:g} to {MOST_KEV:g} keV, as the tables are, got {wrong.flat[0]:g}{hint}"
        )
    return kev


@functools.lru_cache(maxsize=512)
def _mass_attenuation(symbol: str, energies: bytes) -> np.ndarray:
    """cm^2/g of an element at float64 energies in keV."""
    kev = np.frombuffer(energies)
    if kev.size == 0:
        return np.zeros(0)
    try:
        found = xraydb().mu_elam(symbol, kev * 1000)
    except ValueError as error:  # elements beyond californium
        raise InputError(f"the tables of attenuation do not have the element {symbol}") from error
    return np.asarray(found, dtype=np.float64)
