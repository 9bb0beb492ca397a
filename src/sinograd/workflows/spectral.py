"""Beams of many energies: the spectrum of the options, and what a phantom of materials makes of it in `simulate`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError

if TYPE_CHECKING:
    import torch

    from sinograd.geometry import Geometry, Grid
    from sinograd.phantoms import Ellipsoids
    from sinograd.physics import Spectrum
    from sinograd.workflows.scan_detector import Optics
    from sinograd.workflows.scan_noise import BlockNoise

_TUBE = re.compile(r"([0-9.]+) *kvp?", re.IGNORECASE)


def check_filter(filters: str | None, spectrum: object) -> None:
    """InputError for filters without a spectrum."""
    if filters is not None and spectrum is None:
        raise InputError("`filter` needs a `spectrum`, as 80kV")


def spectrum_of(spectrum: Spectrum | str | os.PathLike[str], filters: str | None) -> Spectrum:
    """The spectrum of "80kV" (a tungsten tube) or of a .csv file, behind filters as "1 mm Al, 0.1 mm Cu".

    Raises:
        InputError, InputTypeError, FileError: neither of them, an unknown filter.
    """
    from sinograd.physics import Spectrum
    from sinograd.physics.spectrum import parse_filters

    layers = parse_filters(filters or "")
    if isinstance(spectrum, Spectrum):
        beam = spectrum
    elif not isinstance(spectrum, str | os.PathLike):
        raise InputTypeError(
            f"`spectrum`: expected a Spectrum, a tube voltage as 80kV, or a .csv file, got {shown(spectrum)}"
        )
    else:
        text = str(os.fspath(spectrum))
        tube = _TUBE.fullmatch(text.strip())
        if tube is None and Path(text).suffix.lower() != ".csv":
            raise InputError(f"`spectrum`: expected a tube voltage, as 80kV, or a .csv file, got {text!r}")
        beam = Spectrum.from_csv(text) if tube is None else Spectrum.tube(_voltage(tube[1]))
    for material, mm in layers:
        beam = beam.filtered(material, mm)
    return beam


class MonochromaticPhantom:
    """A phantom of attenuations, as `simulate` uses it."""

    def __init__(self, phantom: Ellipsoids) -> None:
        self.phantom = phantom

    def measured(self, geometry: Geometry, noise: BlockNoise) -> torch.Tensor:
        """Line integrals of some views, with noise if there is to be some."""
        return noise.noisy(self.phantom.project(geometry))

    def collected(self, geometry: Geometry, noise: BlockNoise, optics: Optics) -> torch.Tensor:
        """Photons of some views that reach the detector through the optics, float64; drawn if there is to be noise."""
        import torch

        fractions = optics.blurred((-self.phantom.project(geometry, dtype=torch.float64)).exp())
        return noise.drawn(fractions + optics.scattered(fractions))

    def voxelize(self, grid: Grid) -> torch.Tensor:
        """Attenuation, 1/mm."""
        return self.phantom.voxelize(grid)

    def metadata(self) -> dict[str, Any]:
        """For the scan: nothing."""
        return {}


class SpectralPhantom:
    """A phantom of materials in a beam of many energies, likewise.

    Args:
        name, seed, width: of the phantom, see `catalogue.made_of_materials`.
        spectrum: its photons are those of one detector element and view, at dose 1.
        response: of the detector, "integrating" or "counting".
    """

    def __init__(self, name: str, seed: int, width: float, spectrum: Spectrum, response: str) -> None:
        from sinograd.phantoms.catalogue import made_of_materials

        self.phantom = made_of_materials(name, seed, width)
        self.beam = self.phantom.beam(spectrum, response)

    @property
    def energy(self) -> float:
        """Mean energy of the unattenuated photons, keV: that of the attenuations in `voxelize`."""
        return self.beam.spectrum.mean_energy

    def measured(self, geometry: Geometry, noise: BlockNoise) -> torch.Tensor:
        """Line integrals of some views, with noise if there is to be some."""
        return noise.spectral(self.beam, self.phantom.lengths(geometry)).float()

    def collected(self, geometry: Geometry, noise: BlockNoise, optics: Optics) -> torch.Tensor:
        """Signals of some views in mean photons, likewise; scatter has the spectrum of the open beam."""
        lengths = self.phantom.lengths(geometry)
        fractions = optics.blurred(self.beam.signal(lengths) / self.beam.unattenuated)
        scattered = optics.scattered(fractions)
        if noise.is_drawn:
            return noise.drawn_signals(self.beam, lengths, lambda bin: optics.blurred(bin) + scattered)
        return noise.drawn(fractions + scattered)

    def voxelize(self, grid: Grid) -> torch.Tensor:
        """Attenuation at the mean energy, 1/mm."""
        return self.phantom.voxelize(grid, self.energy)

    def metadata(self) -> dict[str, Any]:
        """For the scan."""
        materials = ", ".join(str(material) for material in self.phantom.materials)
        return {"mean_energy_kev": self.energy, "detector_response": self.beam.detector.kind, "materials": materials}


AnyPhantom = MonochromaticPhantom | SpectralPhantom


def _voltage(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"`spectrum`: {text!r} is no voltage") from None
