"""Units of volumes: which there are, and how people read them.

"1/mm"     attenuation
"1/pixel"  attenuation of a scan whose pixel size is not known; lengths of its grid are in pixels, too
"HU"       Hounsfield units: 0 for water, -1000 for air
"mg/cm3"   density, of hydroxyapatite in bone for example
"1"        no unit: masks, labels, normalised values
None       not known: files that do not tell
"""

from __future__ import annotations

from sinograd.data.lengths import PIXEL
from sinograd.errors import InputError

PER_PIXEL = "1/pixel"
PER_PIXEL_ADVICE = (
    "the pixel size is not known: `pixel_mm` of convert states it (in Python: volume.to('1/mm', pixel_mm=...)), or "
    "`pixel_mm` of reconstruct"
)
UNITS = ("1/mm", "HU", "mg/cm3", "1", PER_PIXEL)
AIR = {"1/mm": 0.0, "HU": -1000.0, "mg/cm3": 0.0, PER_PIXEL: 0.0}  # of each unit that has one
_ALIASES = {"none": "1", "": "1", "mm^-1": "1/mm", "1 / mm": "1/mm", "hu": "HU", "mg/cm^3": "mg/cm3", "mg/cc": "mg/cm3"}
_ALIASES |= {"1 / pixel": PER_PIXEL, "pixel^-1": PER_PIXEL}


def unit_name(unit: str | None, name: str = "unit") -> str | None:
    """The unit by its one name; InputError for an unknown one. "none" is "1"."""
    if unit is None or unit in UNITS:
        return unit
    known = _ALIASES.get(unit.strip().lower()) if isinstance(unit, str) else None
    if known is None:
        raise InputError(f"{name}: expected one of {', '.join(UNITS)}, got {unit!r}")
    return known


def unit_text(unit: str | None) -> str:
    """The unit for pictures and pages: "unit unknown" for None, "no unit" for "1"."""
    words = {None: "unit unknown", "1": "no unit", "mg/cm3": "mg/cm\N{SUPERSCRIPT THREE}", PER_PIXEL: "per pixel"}
    return words.get(unit, str(unit))


def quantity_text(unit: str | None) -> str:
    """What is shown, with its unit, for axes and colour bars: "attenuation (1/mm)"."""
    names = {"1/mm": "attenuation", PER_PIXEL: "attenuation", "HU": "CT number", "mg/cm3": "density"}
    return f"{names.get(str(unit), 'value')} ({unit_text(unit)})"


def length_unit_of(unit: str | None) -> str:
    """What lengths of a volume's grid are in, "mm" or "pixel"."""
    return PIXEL if unit == PER_PIXEL else "mm"


def number_text(number: str, unit: str | None) -> str:
    """A number with its unit: "0.02 1/mm", "3" without a unit, "3 (unit unknown)"."""
    return {None: f"{number} (unit unknown)", "1": number}.get(unit, f"{number} {unit_text(unit)}")
