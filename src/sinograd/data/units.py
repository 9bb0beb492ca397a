"""How values of volumes go from one unit to another; `unit_names` has the units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import torch
from torch import Tensor

from sinograd.data.unit_names import (
    AIR,
    PER_PIXEL,
    PER_PIXEL_ADVICE,
    UNITS,
    length_unit_of,
    number_text,
    quantity_text,
    unit_name,
    unit_text,
)
from sinograd.errors import InputError, InputTypeError, UnitError
from sinograd.geometry.checks import positive, scalar

__all__ = [
    "AIR",
    "PER_PIXEL",
    "PER_PIXEL_ADVICE",
    "UNITS",
    "Conversion",
    "attenuation_from_hounsfield",
    "hounsfield_from_attenuation",
    "length_unit_of",
    "number_text",
    "quantity_text",
    "unit_name",
    "unit_text",
]


@dataclass(frozen=True)
class Conversion:
    """How values of `unit` become values of `target`: call it with them.

    Attributes:
        water, air: attenuation of water and of air at the scan's energy, 1/mm; between "1/mm" and "HU".
        density: (slope, intercept) of mg/cm3 = slope * value + intercept, from a scan of a calibration phantom in the
            other unit; to and from "mg/cm3".
        pixel_mm: size of a pixel, mm; between "1/pixel" and "1/mm".

    A call raises UnitError for a conversion that is not defined, or one that needs a number that was not given.
    """

    unit: str | None
    target: str
    water: float | None = None
    air: float = 0.0
    density: tuple[float, float] | None = None
    pixel_mm: float | None = None

    def __post_init__(self) -> None:
        for name in ("water", "air", "density", "pixel_mm"):
            value = getattr(self, name)
            plain = tuple(map(_plain, value)) if isinstance(value, tuple | list) else _plain(value)
            object.__setattr__(self, name, plain)

    def __call__(self, values: Tensor) -> Tensor:
        """Tensor of any shape, floating-point; whole numbers become float32."""
        unit, target = self.unit, self.target
        if unit == target:
            return values
        if unit is None or "1" in (unit, target):
            known = f"; say what they are: `unit='HU'` or another of {', '.join(UNITS)}" if unit is None else ""
            raise UnitError(f"values with {unit_text(unit)} cannot become {unit_text(target)}{known}")
        if not values.is_floating_point():
            values = values.float()
        if PER_PIXEL in (unit, target):
            return self._per_length(values)
        if "mg/cm3" in (unit, target):
            return self._density(values)
        if self.water is None:
            raise UnitError(f"from {unit} to {target}: expected `water`, the attenuation of water in 1/mm")
        if target == "HU":
            return hounsfield_from_attenuation(values, self.water, self.air)
        return attenuation_from_hounsfield(values, self.water, self.air)

    @property
    def inverse(self) -> Conversion:
        """The conversion back; of a known unit."""
        return Conversion(self.target, str(self.unit), self.water, self.air, self.density, self.pixel_mm)

    @property
    def slope(self) -> float:
        """What a difference of 1 becomes: of noise, of contrasts. Raises as a call."""
        self(torch.zeros(1))
        if self.unit == self.target:
            return 1.0
        if self.density is not None and "mg/cm3" in (self.unit, self.target):
            return self.density[0] if self.target == "mg/cm3" else 1 / self.density[0]
        if PER_PIXEL in (self.unit, self.target):
            return float(self._per_length(torch.ones(1, dtype=torch.float64)))
        water = float(self.water or 0)
        return 1000 / (water - self.air) if self.target == "HU" else (water - self.air) / 1000

    def _per_length(self, values: Tensor) -> Tensor:
        if {self.unit, self.target} != {PER_PIXEL, "1/mm"} or self.pixel_mm is None:
            raise UnitError(f"from {self.unit} to {self.target}: {PER_PIXEL_ADVICE}")
        size = positive(self.pixel_mm, "pixel_mm")
        return values * (1 / size if self.target == "1/mm" else size)

    def _density(self, values: Tensor) -> Tensor:
        if not _is_line(self.density):
            raise UnitError(
                f"from {self.unit} to {self.target}: expected `density`, slope (not 0) and intercept of mg/cm3 = slope "
                f"* value + intercept, got {self.density}"
            )
        slope, intercept = cast(tuple[float, float], self.density)
        return values * slope + intercept if self.target == "mg/cm3" else (values - intercept) * (1 / slope)


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
    for name, value in (("water", water), ("air", air)):
        if not _is_number(value):
            raise InputTypeError(f"{name}: expected a number in 1/mm, got {value!r}")
    if not 0 <= air < water < float("inf"):
        raise InputError(f"water must be a finite attenuation in 1/mm above air, got water {water}, air {air}")


def _plain(value: Any) -> Any:
    """Numbers of NumPy and torch, and fractions, as Python's; all else as it came."""
    value = scalar(value)
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _is_number(value: Any) -> bool:
    """A real number, of Python, NumPy or a tensor without dimensions; no truth value."""
    if isinstance(value, Tensor):
        return value.ndim == 0 and not value.is_complex() and value.dtype != torch.bool
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_line(density: Any) -> bool:
    """Two finite numbers, the first not 0."""
    if not isinstance(density, tuple | list) or len(density) != 2 or not all(map(_is_number, density)):
        return False
    return all(math.isfinite(value) for value in density) and density[0] != 0
