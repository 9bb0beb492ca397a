"""Low dose simulated from a normal-dose volume: project, photon noise, FDK (or FBP slice by slice)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.data.units import Conversion
from sinograd.data.volume import Volume
from sinograd.datasets.block_cache import BlockCache
from sinograd.datasets.files import names_of, open_pair_volume
from sinograd.datasets.likely_unit import Dose, check_likely_unit
from sinograd.datasets.pairs import PairedVolume, check_finite, check_unit
from sinograd.datasets.simulation import SimulatedSource, noisy, reconstructed, scan_geometry, slice_grid
from sinograd.datasets.spec import OwnVolume
from sinograd.errors import ConfigError
from sinograd.geometry import Grid
from sinograd.ops import XRayTransform

_SLICES = 8  # of a fan beam that are made at a time


def own_volume_pairs(spec: OwnVolume) -> list[PairedVolume]:
    """One pair for each file: the volume, and what it would be at a lower dose; simulated when it is read.

    The volume is projected (attenuation below zero counts as air), photon noise is drawn, and what the noise alone
    reconstructs to is added to the volume. By linearity that is the reconstruction of the noisy projections without
    the blur and the errors of projecting voxels: the projector, which is not the operator that reconstructs, decides
    on nothing but the noise's strength. With the target "reconstruction", input and target are the reconstructions
    themselves. The noise that the volume has stays in both, so that the input has that and the simulated scan's.

    A fan beam scans every slice by itself, 8 at a time; a cone beam the whole volume at once, which then must fit
    into memory, and beyond whose ends it sees nothing.

    Raises:
        ConfigError: target_photons with the target "volume", or a scanner that does not fit.
        FileNotFoundError, ValueError: as `open_pair_volume` and `check_likely_unit`, which may warn, too.
    """
    if spec.scan.target_photons is not None and spec.target == "volume":
        raise ConfigError("pairs.scan.target_photons: the target is the volume as it is; for target: reconstruction")
    cache = BlockCache(spec.cache_mb << 20)
    pairs = []
    for path, name in zip(spec.files, names_of(spec.files), strict=True):
        volume = open_pair_volume(path, spec.unit, spec.padding)
        check_unit(PairedVolume(name, name, (volume,), None, spec.unit))
        simulation = OwnVolumeScan(spec, volume, name)
        check_likely_unit(volume.stated(spec.unit), name, Dose(spec.scan.photons, simulation.convert))
        made = [
            Volume(SimulatedSource(simulation, index, cache), volume.grid, spec.unit)
            for index in range(spec.realisations + (spec.target == "reconstruction"))
        ]
        inputs = tuple(made[: spec.realisations])
        target = {"volume": volume, "reconstruction": made[-1]}.get(spec.target)
        pairs.append(PairedVolume(name, name, inputs, target, spec.unit, spec.group))
    return pairs


class OwnVolumeScan:
    """The simulation of one volume: realisations of the low dose, then the target if it is a reconstruction."""

    def __init__(self, spec: OwnVolume, volume: Volume, name: str) -> None:
        self.spec, self.volume, self.name = spec, volume, name
        self.shape: tuple[int, int, int] = (volume.shape[0], volume.shape[1], volume.shape[2])
        grid = Grid(self.shape, volume.spacing)
        self.convert = Conversion("1/mm", spec.unit, spec.water_per_mm)
        self.grid = grid if spec.scan.beam == "cone" else slice_grid(grid)
        self.geometry = scan_geometry(spec.scan, grid, math.hypot(*grid.size[1:]) / 2)
        self.block = self.shape[0] if spec.scan.beam == "cone" else _SLICES

    def make(self, first: int, end: int) -> tuple[Tensor, ...]:
        """Slices first to end - 1 of every volume."""
        spec, scan = self.spec, self.spec.scan
        values = self.volume.read(first, end)
        check_finite(values, self.name, first)
        attenuation = self.convert.inverse(values)
        exact = XRayTransform(self.geometry, self.grid)(attenuation.clamp(min=0))
        base = values
        if spec.target == "reconstruction":
            base = self.convert(reconstructed(exact, self.geometry, self.grid, scan.window))
        key = ("own-volume", spec.seed, self.name, first)
        made = [base + self._noise(exact, scan.photons, *key, i) for i in range(spec.realisations)]
        if spec.target == "reconstruction":
            normal = scan.target_photons
            made.append(base if normal is None else base + self._noise(exact, normal, *key, "target"))
        return tuple(made)

    def _noise(self, exact: Tensor, photons: float, *key: object) -> Tensor:
        """What the noise of a scan reconstructs to, in the unit of the volume."""
        difference = noisy(exact, photons, self.spec.scan, *key)
        torch.sub(difference, exact, out=difference)
        return self.convert.slope * reconstructed(difference, self.geometry, self.grid, self.spec.scan.window)
