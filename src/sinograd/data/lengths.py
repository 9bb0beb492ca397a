"""Lengths as people read them: in nm, um, mm or m, as fits."""

from __future__ import annotations

import math
from collections.abc import Iterable

# mm from which a length is given in the unit, and mm in one of it.
_UNITS = (("m", 1e4, 1e3), ("mm", 0.1, 1.0), ("um", 1e-3, 1e-3), ("nm", 0.0, 1e-6))


def length_unit(values: float | Iterable[float]) -> tuple[str, float]:
    """The unit for lengths in mm that stand together ("nm", "um", "mm" or "m"), by the largest, and mm in one of it."""
    sizes = [values] if isinstance(values, int | float) else list(values)
    largest = max((abs(size) for size in sizes if math.isfinite(size)), default=0.0)
    if largest == 0:
        return "mm", 1.0
    return next((name, scale) for name, least, scale in _UNITS if largest * (1 + 1e-9) >= least)


def length_text(values: float | Iterable[float], digits: int = 4, between: str = " x ", sign: str = "") -> str:
    """Lengths in mm as text, for example "0.65 um", "2 x 0.5 mm" or "50 m".

    Args:
        values: one length or several, which get one unit.
        digits: significant digits.
        between: what stands between several.
        sign: "+" to show the sign of positive ones, too.
    """
    values = [float(values)] if isinstance(values, int | float) else [float(value) for value in values]
    unit, scale = length_unit(values)
    return f"{between.join(f'{value / scale:{sign}.{digits}g}' for value in values)} {unit}"
