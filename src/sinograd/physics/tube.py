"""Spectra of x-ray tubes, by spekpy."""

from __future__ import annotations

import importlib.util

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import InputError, MissingPackageError
from sinograd.geometry.checks import number, positive
from sinograd.physics.attenuation import LEAST_KEV
from sinograd.physics.spectrum import Filters, Spectrum, parse_filters

LEAST_KV = 20.0
MOST_KV = {"W": 300.0, "Mo": 50.0, "Rh": 50.0}  # by the anode's element, as far as spekpy's models go
_SPEKPY_MM = 1000.0  # distance at which spekpy's fluence is taken


def tube_spectrum(
    kv: float,
    filters: Filters = (),
    *,
    target: str = "W",
    anode_deg: float = 12.0,
    bin_kev: float = 1.0,
) -> Spectrum:
    """The photons of a tube on the central ray, per mm^2 and mAs at one metre.

    G. Poludniowski, A. Omar, R. Bujila and P. Andreo, "SpekPy v2.0: a software toolkit for modeling x-ray tube
    spectra", Medical Physics 48, 2021. Filters are attenuated with `attenuation`; the tube's own window, glass or oil
    is no part of the model and goes into the filters: clinical tubes have 2.5 mm Al and more in all.

    Args:
        kv: tube voltage, 20 to 300 kV, of molybdenum and rhodium to 50 kV.
        filters: "1 mm Al, 0.1 mm Cu", or pairs (material, mm).
        target: what the anode is made of: "W", "Mo" or "Rh".
        anode_deg: angle of the anode, degrees.
        bin_kev: width of the bins.

    Raises:
        ValueError: another target, a voltage outside its range, an unknown filter, numbers that are not positive.
        ImportError: spekpy or xraydb is not installed (extra `spectra`).
    """
    kv, width = number(kv, "kv"), positive(bin_kev, "bin_kev")
    if target not in MOST_KV:
        raise InputError(f"target must be one of {', '.join(MOST_KV)}, got {shown(target)}")
    of = "" if target == "W" else f" for {target}"
    if not LEAST_KV <= kv <= MOST_KV[target]:
        raise InputError(f"kv must be from {LEAST_KV:g} to {MOST_KV[target]:g} kV{of}, got {kv:g}")
    angle = number(anode_deg, "anode_deg")
    if not 3 <= angle <= 45:
        raise InputError(f"anode_deg must be from 3 to 45 degrees, got {angle:g}")
    if width > kv / 10:
        raise InputError(f"bin_kev must be at most a tenth of the voltage, {kv / 10:g}, got {width:g}")
    layers = parse_filters(filters)
    kev, fluence = _spekpy(target, kv, angle, width)
    seen = (kev >= max(LEAST_KEV, 1.0)) & (fluence > 0)
    spectrum = Spectrum(kev[seen], fluence[seen] / 100 * width)  # per cm^2 and keV
    for material, mm in layers:
        spectrum = spectrum.filtered(material, mm)
    kept = spectrum.photons > 1e-12 * spectrum.photons.max()  # low energies that filters stop
    return Spectrum(spectrum.energies[kept], spectrum.photons[kept])


def _spekpy(target: str, kv: float, angle: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Energies in keV, photons per cm^2, keV and mAs at one metre."""
    if importlib.util.find_spec("spekpy") is None:
        raise MissingPackageError("spectra of tubes need spekpy: pip install 'sinograd[spectra]'", name="spekpy")
    import spekpy  # pyright: ignore[reportMissingImports, reportMissingTypeStubs]

    kev, fluence = spekpy.Spek(targ=target, kvp=kv, th=angle, dk=width, z=_SPEKPY_MM / 10).get_spectrum()
    return np.asarray(kev, dtype=np.float64), np.asarray(fluence, dtype=np.float64)
