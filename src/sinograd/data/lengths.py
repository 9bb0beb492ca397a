"""Lengths as people read them: in nm, um, mm or m, as fits; in pixels where the size of a pixel is not known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PIXEL = "pixel"  # as the unit of lengths of a scan whose pixel size is not known, and of its volume
# mm from which a length is given in the unit, and mm in one of it. Distances are customary in mm up to 10 m.
_UNITS = (("m", 1e4, 1e3), ("mm", 1.0, 1.0), ("um", 1e-3, 1e-3), ("nm", 0.0, 1e-6))


_ROUNDED = 5e-5  # four digits of 999.95 um are 1000
_current = ContextVar("lengths are in", default="mm")


@contextmanager
def lengths_in(unit: str) -> Iterator[None]:
    """Within it `length_text` takes lengths to be in `unit`, "mm" or "pixel": those of a scan or a volume."""
    token = _current.set(unit)
    try:
        yield
    finally:
        _current.reset(token)


def length_unit(values: float | Iterable[float], unit: str | None = None) -> tuple[str, float]:
    """The unit for lengths that stand together, by the largest, and how much one of it is.

    The largest gets a number from 1 to under 1000 in um and mm (mm: under 10,000), less in nm.

    Args:
        values: one length or several.
        unit: what they are in, "mm", or "pixel", which stays; None: as `lengths_in` says.
    """
    sizes = [values] if isinstance(values, int | float) else list(values)
    if (unit or _current.get()) == PIXEL:
        return (PIXEL if sizes in ([1], [1.0]) else "pixels"), 1.0
    largest = max((abs(size) for size in sizes if math.isfinite(size)), default=0.0)
    if largest == 0:
        return "mm", 1.0
    return next((name, scale) for name, least, scale in _UNITS if largest * (1 + _ROUNDED) >= least)


def length_text(
    values: float | Iterable[float], digits: int = 4, between: str = " x ", sign: str = "", unit: str | None = None
) -> str:
    """Lengths as text, for example "650 nm", "2 x 0.5 mm", "50 m" or "2 pixels".

    Args:
        values: one length or several, which get one unit.
        digits: significant digits.
        between: what stands between several.
        sign: "+" to show the sign of positive ones, too.
        unit: what they are in, "mm" or "pixel"; None: as `lengths_in` says.
    """
    values = [float(values)] if isinstance(values, int | float) else [float(value) for value in values]
    name, scale = length_unit(values, unit)
    return f"{between.join(f'{value / scale + 0.0:{sign}.{digits}g}' for value in values)} {name}"
