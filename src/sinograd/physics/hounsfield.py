"""Hounsfield units: 0 for water, -1000 for air."""

from __future__ import annotations

from torch import Tensor


def hounsfield_from_attenuation(attenuation: Tensor, water: float, air: float = 0.0) -> Tensor:
    """1000 (attenuation - water) / (water - air), any shape.

    Args:
        attenuation: 1/mm.
        water: attenuation of water at the scan's energy, 1/mm (0.0206 at 60 keV, 0.0184 at 80 keV).
        air: attenuation of air, 1/mm.
    """
    _check(water, air)
    return (attenuation - water) * (1000 / (water - air))


def attenuation_from_hounsfield(hounsfield: Tensor, water: float, air: float = 0.0) -> Tensor:
    """Attenuation in 1/mm; the inverse of `hounsfield_from_attenuation`."""
    _check(water, air)
    return hounsfield * ((water - air) / 1000) + water


def _check(water: float, air: float) -> None:
    if not 0 <= air < water < float("inf"):
        raise ValueError(f"water must be a finite attenuation in 1/mm above air, got water {water}, air {air}")
