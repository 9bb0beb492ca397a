"""Corrections of a reconstruction that look at the object: beam hardening by a spectrum, and metal."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinograd.choices import DETECTOR_RESPONSES, METAL_METHODS
from sinograd.errors import InputError
from sinograd.workflows.grids import choose_grid
from sinograd.workflows.spectral import check_filter, spectrum_of
from sinograd.workflows.values import choice, names, number

if TYPE_CHECKING:
    from torch import Tensor

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.physics import Spectrum
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

_MOST_MATERIALS = 2
_ENERGY = 70.0
_USUAL = {"response": DETECTOR_RESPONSES[0], "materials": ("water",), "energy": _ENERGY}  # where there is no spectrum


@dataclass(frozen=True, kw_only=True)
class ObjectCorrections:
    """What is corrected once all projections are there; see `reconstruct` for the fields."""

    spectrum: Spectrum | None
    response: str
    materials: tuple[str, ...]
    energy: float
    metal: str
    metal_threshold: float | None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> ObjectCorrections:
        """Of the arguments of `reconstruct`; InputError and FileError, which name them."""
        spectrum, layers = arguments["spectrum"], arguments["filter"]
        check_filter(layers, spectrum)
        metal = choice(arguments["metal"], ("none", *METAL_METHODS), "metal")
        threshold = number(arguments["metal_threshold"], "metal_threshold")
        if threshold is not None and not 0 < threshold < math.inf:
            raise InputError(f"`metal_threshold` must be finite and above 0 (1/mm), got {threshold:g}")
        if threshold is not None and metal == "none":
            raise InputError("`metal_threshold` is for metal: give `metal`, as normalized")
        materials = names(arguments["materials"], "materials")
        if not 1 <= len(materials) <= _MOST_MATERIALS:
            raise InputError(f"`materials`: expected one, or two with the denser one last, got {', '.join(materials)}")
        energy = number(arguments["energy"], "energy")
        found = cls(
            spectrum=None if spectrum is None else spectrum_of(spectrum, layers),
            response=choice(arguments["response"], DETECTOR_RESPONSES, "response"),
            materials=materials,
            energy=_ENERGY if energy is None else energy,
            metal=metal,
            metal_threshold=threshold,
        )
        found._check_spectrum()
        return found

    @property
    def wanted(self) -> bool:
        """Whether there is something to correct."""
        return self.spectrum is not None or self.metal != "none"

    def check(self, scan: Scan, helical: bool) -> None:
        """InputError where a scan cannot be corrected so."""
        if not self.wanted:
            return
        if scan.length_unit != "mm":
            raise InputError(
                f"`spectrum` and `metal` need lengths in mm, and {scan.name} does not say how large its pixels are: "
                "give `pixel_mm`"
            )
        if helical:
            raise InputError("`spectrum` and `metal` take circular scans and parallel beams, this one is helical")

    def apply(self, request: Request, scan: Scan, report: Report) -> tuple[Scan, Metal | None]:
        """The prepared scan, corrected; and its metal, where some was found."""
        if not self.wanted:
            return scan, None
        from sinograd.recon.analytic.orbit import UndefinedGeometryError

        try:
            return self._applied(request, scan, report)
        except UndefinedGeometryError as error:
            raise InputError(
                f"{scan.name}: `metal` and two `materials` look at a filtered backprojection, which {error.reason}"
            ) from error

    def _applied(self, request: Request, scan: Scan, report: Report) -> tuple[Scan, Metal | None]:
        from sinograd.preparation import correct_beam_hardening, correct_two_materials, replace_metal

        report.stage("correcting", 0)
        grid, projections = choose_grid(scan, request.voxel_mm), scan.load()
        beam: dict[str, Any] = {"spectrum": self.spectrum, "detector": self.response, "energy": self.energy}
        if self.spectrum is not None and len(self.materials) == 1:
            projections = correct_beam_hardening(projections, material=self.materials[0], **beam)
        elif self.spectrum is not None:
            beam["materials"] = self.materials
            projections = correct_two_materials(projections, scan.geometry, grid, **beam).line_integrals
        corrected = _noted(scan, projections, self._hardening_text)
        if self.metal == "none":
            return corrected, None
        threshold = self.metal_threshold
        replaced = replace_metal(projections, scan.geometry, grid, method=self.metal, threshold=threshold)
        if not bool(replaced.metal.any()):
            return corrected, None
        share = float(replaced.trace.float().mean())
        text = f"{share:.1%} of the rays replaced, through {int(replaced.metal.sum())} voxels of metal ({self.metal})"
        without = _noted(scan, replaced.line_integrals, "; ".join(filter(None, (self._hardening_text, text))))
        return without, Metal(corrected, replaced.metal, grid)

    @property
    def _hardening_text(self) -> str:
        """What was done, in words; empty for nothing."""
        materials = " and ".join(self.materials)
        return f"beam hardening of {materials}, values at {self.energy:g} keV" if self.spectrum is not None else ""

    def _check_spectrum(self) -> None:
        if self.spectrum is None:
            idle = [name for name, usual in _USUAL.items() if getattr(self, name) != usual]
            if idle:
                raise InputError(f"`{idle[0]}` is for a `spectrum`: give one, as 80kV")
            return
        from sinograd.physics import attenuation
        from sinograd.physics.attenuation import LEAST_KEV, MOST_KEV

        if not LEAST_KEV <= self.energy <= MOST_KEV:
            raise InputError(f"`energy` must be from {LEAST_KEV:g} to {MOST_KEV:g} keV, got {self.energy:g}")
        values = [attenuation(material, self.energy) for material in self.materials]
        if len(values) > 1 and not values[1] > values[0]:
            raise InputError(f"`materials`: expected the denser one last, got {', '.join(self.materials)}")


def _noted(scan: Scan, projections: Tensor, text: str) -> Scan:
    """The scan with corrected projections, and what was done in its metadata."""
    if not text:
        return dataclasses.replace(scan, projections=projections)
    prepared = {**scan.metadata.get("preparation", {}), "corrected": text}
    return dataclasses.replace(scan, projections=projections, metadata={**scan.metadata, "preparation": prepared})


@dataclass(frozen=True)
class Metal:
    """The metal of a scan: `found`, voxels of `grid`; scan: the one with the metal in it."""

    scan: Scan
    found: Tensor
    grid: Grid

    def put_back(self, values: Tensor, grid: Grid, reconstructed: Callable[[Scan], Tensor]) -> Tensor:
        """A reconstruction without metal on some grid, with the metal of the scan put back."""
        import torch

        return torch.where(self._on(grid), reconstructed(self.scan), values)

    def _on(self, grid: Grid) -> Tensor:
        """The voxels of another grid whose middles lie in metal."""
        found = self.found
        if grid == self.grid:
            return found
        for axis, (own, other) in enumerate(zip(self.grid.axes(), grid.axes(), strict=True)):
            step = self.grid.spacing[axis]
            index = ((other - own[0]) / step).round().long()
            inside = (index >= 0) & (index < len(own))
            found = found.index_select(axis, index.clamp(0, len(own) - 1))
            found = found & inside.reshape([-1 if n == axis else 1 for n in range(found.ndim)])
        return found
