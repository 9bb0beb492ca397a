"""Photons, electronic noise and bowtie filter of a simulation: options, or what the scan states of itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sinograd.errors import InputError, ScanWarning

PHOTONS = 1e5  # where neither an option nor the scan says how many

_NAMES = ("photons", "electronic_noise", "bowtie_mm")
# What a simulation writes into a scan's metadata besides.
_RESULTS = ("dose", "noise_seed", "readings_without_photons", "readings_raised")


@dataclass(frozen=True)
class Exposure:
    """What makes the noise of a scan.

    photons: per detector element and view, unattenuated, at dose 1. electronic_noise: standard deviation in photons.
    bowtie_mm: radius of the filter's cylinder; None: no filter. stated: which of them the scan's metadata gave.
    """

    photons: float
    electronic_noise: float = 0.0
    bowtie_mm: float | None = None
    stated: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Where the numbers come from, in words; empty where all are options."""
        if not self.stated:
            return ""
        return f"{', '.join(name.replace('_', ' ').removesuffix(' mm') for name in self.stated)} as the scan states"


def check_exposure(photons: float | None, electronic_noise: float | None, bowtie_mm: float | None) -> None:
    """InputError for options that cannot be."""
    if photons is not None and not 0 < photons < math.inf:
        raise InputError(f"`photons` must be positive, got {photons:g}")
    if electronic_noise is not None and not 0 <= electronic_noise < math.inf:
        raise InputError(f"`electronic_noise` must not be negative, got {electronic_noise:g}")
    if bowtie_mm is not None and not 0 <= bowtie_mm < math.inf:
        raise InputError(f"`bowtie_mm` must be positive, or 0 for no filter, got {bowtie_mm:g}")


def exposure_of_phantom(photons: float | None, electronic_noise: float | None, bowtie_mm: float | None) -> Exposure:
    """Of the options alone."""
    return Exposure(PHOTONS if photons is None else photons, electronic_noise or 0.0, bowtie_mm or None)


def exposure_of_scan(metadata: Mapping[str, Any], name: str, options: Mapping[str, float | None]) -> Exposure:
    """Of the options, and of the scan's metadata where an option is None.

    Args:
        metadata: of the scan; photons, electronic_noise and bowtie_mm as `simulate` writes them.
        name: of the scan, for messages.
        options: those three; an option wins.

    Raises:
        InputError: the metadata hold something that is no such number, and no option replaces it.

    Warns:
        ScanWarning: an option differs from what the scan states.
    """
    used: dict[str, float | None] = {}
    stated = []
    for key in _NAMES:
        option, value = options[key], metadata.get(key)
        if value is None and key == "bowtie_mm" and "noise_seed" in metadata:
            value = 0.0  # simulated, without one
        if option is None and value is not None:
            used[key] = _checked(key, value, name)
            stated += [key] if key in metadata else []
            continue
        used[key] = option
        if option is not None and value is not None and not _same(option, value):
            warnings.warn(
                f"{name} states {key}: {_text(value)}; `{key}` is {option:g} and is used instead",
                ScanWarning,
                stacklevel=3,
            )
    exposure = exposure_of_phantom(used["photons"], used["electronic_noise"], used["bowtie_mm"])
    return Exposure(exposure.photons, exposure.electronic_noise, exposure.bowtie_mm, tuple(stated))


def other_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a scan tells besides its exposure."""
    return {key: value for key, value in metadata.items() if key not in (*_NAMES, *_RESULTS)}


def _checked(key: str, value: Any, name: str) -> float:
    number = _number(value)
    if number is None or number < 0 or (key == "photons" and number == 0):
        words = "a positive number" if key == "photons" else "a number that is not negative"
        raise InputError(f"{name} states {key}: {_text(value)}, expected {words}; `{key}` replaces it")
    return number


def _same(option: float, value: Any) -> bool:
    number = _number(value)
    return number is not None and math.isclose(option, number, rel_tol=1e-6)


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    number = _number(value)
    return repr(value)[:40] if number is None else f"{number:g}"
