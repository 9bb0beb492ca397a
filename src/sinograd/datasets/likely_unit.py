"""Volumes to be simulated whose values are likely in another unit than is said: 1/cm for 1/mm, HU + 1024 for HU.

What tells are the range of the values, and the rays of a simulated scan: where the photons would not reach the detector
through the object, and would with the other unit, that is the likely one.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.data.units import Conversion
from sinograd.data.volume import Volume
from sinograd.errors import InputError, UnitWarning

_STARVED = 0.02  # of the rays through the object: more is another unit
_LEAST_PHOTONS = 1.0
_OBJECT = 0.05  # a line integral from which on a ray meets the object
_USUAL = (0.01, 0.1)  # 1/mm, of water, tissue and bone at the energies of CT
_TRANSPARENT = 1e-3  # the largest line integral: nothing attenuates
_OFFSET = 1024.0  # of HU in unsigned files; some have 1000
_AIR, _SOFT, _SOFT_SHARE = 200.0, (850.0, 1250.0), 0.05  # of HU + 1024


@dataclass(frozen=True)
class Dose:
    """What the simulated scan is: photons for each ray, and how values become 1/mm."""

    photons: float
    convert: Conversion

    def starved(self, slices: Tensor, spacing: tuple[float, ...], factor: float = 1.0) -> tuple[float, float]:
        """Share of the rays along y and x through the object with less than a photon, and the largest line integral."""
        attenuation = factor * self.convert.inverse(slices).clamp(min=0)
        integrals = torch.cat(
            [(attenuation.sum(1) * spacing[-2]).flatten(), (attenuation.sum(2) * spacing[-1]).flatten()]
        )
        through = integrals[integrals > _OBJECT]
        if not len(through):
            return 0.0, float(integrals.max())
        most = math.log(self.photons / _LEAST_PHOTONS)
        return float((through > most).double().mean()), float(integrals.max())


def check_likely_unit(volume: Volume, name: str, dose: Dose) -> None:
    """Look at three slices of a volume.

    Raises:
        InputError: photons would not come through, and would in another unit; names that unit and what to do.

    Warns:
        UnitWarning: the range of the values alone says so, or nothing attenuates, or the object is opaque in any unit.
    """
    slices = _some(volume)
    starved, largest = dose.starved(slices, volume.spacing)
    percent = f"{starved:.0%} of the rays through it would have less than a photon of {dose.photons:g}"
    likely = _shifted(slices) if volume.unit == "HU" else None
    if likely is not None:
        if starved > _STARVED:
            raise InputError(f"{name}: {likely}; {percent}")
        _warn(f"{name}: {likely}")
        return
    if starved > _STARVED:
        advice = _other(slices, volume, dose)
        if advice is not None:
            raise InputError(f"{name}: {percent} (line integrals up to {largest:.3g}): {advice}")
        _warn(f"{name}: {percent} (line integrals up to {largest:.3g}): is the unit right, the object that dense?")
    elif 0 < largest < _TRANSPARENT:
        _warn(
            f"{name}: nothing attenuates (line integrals up to {largest:.3g}): are the values in 1/um, or smaller than "
            "they should be? For 1/um multiply them by 1000"
        )


def _other(slices: Tensor, volume: Volume, dose: Dose) -> str | None:
    """What to do, in words, where values of a larger unit would let photons through and are usual ones."""
    attenuation = dose.convert.inverse(slices)
    inside = attenuation[attenuation > 0.1 * float(attenuation.max())]
    level = dose.convert.water if volume.unit == "HU" else float(inside.median())
    for unit, factor in (("1/cm", 0.1), ("1/m", 0.001)):
        usual = _USUAL[0] <= factor * (level or 0) <= _USUAL[1]
        if not usual or dose.starved(slices, volume.spacing, factor)[0] > _STARVED:
            continue
        low, high = float(slices.min()), float(slices.max())
        if volume.unit == "HU":
            water = dose.convert.water
            return f"water_per_mm {water:g} is likely in {unit}; give {factor * (water or 0):g}"
        return f"the values, {low:.4g} to {high:.4g}, are likely in {unit}; multiply them by {factor:g} (unit: 1/mm)"
    return None


def _shifted(slices: Tensor) -> str | None:
    """Whether values are HU with an offset that makes them positive, in words."""
    low, high = float(slices.min()), float(slices.max())
    soft = float(((slices >= _SOFT[0]) & (slices <= _SOFT[1])).double().mean())
    if not (0 <= low < _AIR and high > _SOFT[0] and soft >= _SOFT_SHARE):
        return None
    return (
        f"the values, {low:.4g} to {high:.4g}, none below 0, are likely HU + {_OFFSET:g} (air near 0, water near "
        f"{_OFFSET:g}); subtract {_OFFSET:g}, or 1000 where water is 1000, as unit is HU"
    )


def _some(volume: Volume) -> Tensor:
    """Up to three slices, float32."""
    numbers = sorted({volume.slices // 4, volume.slices // 2, 3 * volume.slices // 4})
    return torch.cat([volume.read(number, number + 1) for number in numbers])


def _warn(text: str) -> None:
    warnings.warn(text, UnitWarning, stacklevel=4)
