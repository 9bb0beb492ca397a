"""Objects of materials: how many mm of each a ray passes is known exactly, and so is what any beam measures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.physics.attenuation import attenuation
from sinograd.physics.materials import Material
from sinograd.physics.polychromatic import SpectralBeam
from sinograd.physics.response import DetectorResponse
from sinograd.physics.spectrum import Spectrum


class MaterialPhantom:
    """Ellipsoids of materials, whose values are shares of the material's density and add.

    A hole in bone that is filled with marrow is an ellipsoid of value -1 of bone and one of value 1 of marrow.

    Args:
        parts: by material (`Material.of`): ellipsoids with shares instead of attenuations.

    Raises:
        ValueError, TypeError: no parts, an unknown material, or no ellipsoids.
    """

    def __init__(self, parts: Mapping[str | Material, Ellipsoids]) -> None:
        if not parts:
            raise InputError("parts: expected ellipsoids by material, got none")
        for name, shape in parts.items():
            Material.of(name)
            if not isinstance(shape, Ellipsoids):
                raise InputTypeError(f"parts[{name!r}] must be Ellipsoids, got {type(shape).__name__}")
        self.parts = dict(parts)

    def __repr__(self) -> str:
        return f"<MaterialPhantom: {', '.join(f'{len(shape)} of {name}' for name, shape in self.parts.items())}>"

    @property
    def materials(self) -> tuple[str | Material, ...]:
        """In the order of the path lengths."""
        return tuple(self.parts)

    def scaled(self, factor: float) -> MaterialPhantom:
        """The object made `factor` times larger about the origin."""
        return MaterialPhantom({name: shape.scaled(factor) for name, shape in self.parts.items()})

    def at(self, energy: float) -> Ellipsoids:
        """What a beam of this one energy (keV) sees: ellipsoids of attenuations, 1/mm."""
        shown = [
            Ellipsoids(shape.value * attenuation(name, float(energy)), shape.semi_axes, shape.center, shape.rotation)
            for name, shape in self.parts.items()
        ]
        return sum(shown[1:], shown[0])

    def voxelize(self, grid: Grid, energy: float, *, supersampling: int = 2) -> Tensor:
        """Mean attenuation of each voxel at one energy (keV), 1/mm; see `Ellipsoids.voxelize`."""
        return self.at(energy).voxelize(grid, supersampling=supersampling)

    def lengths(self, geometry: Geometry, *, dtype: torch.dtype = torch.float64) -> Tensor:
        """Exact mm of each material along each ray: [materials, *geometry.projection_shape]."""
        return torch.stack([shape.project(geometry, dtype=dtype) for shape in self.parts.values()])

    def beam(self, spectrum: Spectrum, detector: str | DetectorResponse = "integrating") -> SpectralBeam:
        """The spectrum and the detector with the materials of this phantom, for signals, variances and noise."""
        return SpectralBeam(spectrum, self.materials, detector)

    def project(
        self,
        geometry: Geometry,
        *,
        spectrum: Spectrum,
        detector: str | DetectorResponse = "integrating",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Line integrals -log(I / I0) of a beam of many energies without noise, computed in float64.

        Args:
            geometry: any scan; two-dimensional ones see the plane z = 0.
            spectrum: of the beam; only its shape matters here.
            detector: "integrating", "counting" or a `DetectorResponse`.
            dtype: of the result.

        Returns:
            [views, rows, columns], or [views, columns] for a two-dimensional geometry; no unit.

        Raises:
            ValueError: as `Ellipsoids.project`, `attenuation` and `SpectralBeam`.
        """
        return self.beam(spectrum, detector).line_integrals(self.lengths(geometry)).to(dtype)
