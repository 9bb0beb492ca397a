"""Volumes that are simulated block by block when they are read, and kept in bounded memory."""

from __future__ import annotations

import hashlib
import math
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from sinograd.datasets.block_cache import BlockCache
from sinograd.datasets.pairs import check_range
from sinograd.datasets.spec import ScanSpec
from sinograd.errors import ConfigError
from sinograd.geometry import ConeBeam, FanBeam, FlatDetector, Geometry, Grid, full_scan, load_geometry
from sinograd.physics import add_photon_noise
from sinograd.recon import fbp, fdk

VIEWS = 360
_DISTANCE = 4.0  # source to axis over the radius that is to be seen
_MAGNIFICATION = 1.5
_MARGIN = 2  # detector elements on each side


class Simulation(Protocol):
    """Volumes on one grid that are made together, `block` slices at a time."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        ...

    @property
    def block(self) -> int:
        """Slices made at a time."""
        ...

    def make(self, first: int, end: int) -> tuple[Tensor, ...]:
        """Slices first to end - 1 of every volume; the same ones each time."""
        ...


class SimulatedSource:
    """One of the volumes of a simulation: a `VolumeSource`."""

    dtype = torch.float32

    def __init__(self, simulation: Simulation, index: int, cache: BlockCache) -> None:
        self.simulation, self.index, self.cache = simulation, index, cache
        self.shape: tuple[int, ...] = simulation.shape
        self.block = simulation.block

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1, float32."""
        slices = self.shape[0]
        check_range(first, end, slices)
        parts = [torch.empty(0, *self.shape[1:])]
        for start in range(first // self.block * self.block, end, self.block):
            stop = min(start + self.block, slices)
            made = self.cache.get(self.simulation, start, partial(self.simulation.make, start, stop))
            parts.append(made[self.index][max(first - start, 0) : min(end, stop) - start])
        return parts[1] if len(parts) == 2 else torch.cat(parts)


def scan_geometry(scan: ScanSpec, grid: Grid, radius: float, where: str = "pairs.scan") -> Geometry:
    """The scanner that is named, or one that sees everything within `radius` mm of the axis over the grid's height.

    The fitted one has its source at four radii, a magnification of 1.5 and detector elements of a voxel's size at the
    axis. Raises ConfigError, naming the key below `where`, when beam, scanner and views do not fit.
    """
    if scan.scanner is not None:
        geometry = load_geometry(scan.scanner)
        if scan.views is not None:
            raise ConfigError(f"{where}.views: {scan.scanner} has its own {len(geometry)}, leave them out")
        if (scan.beam == "cone") != isinstance(geometry, ConeBeam):
            found = f"{scan.scanner} is a {geometry.ndim}-D {type(geometry).__name__}"
            raise ConfigError(f"{where}.beam: {scan.beam} does not fit the scanner, {found}")
        return geometry
    source = _DISTANCE * radius
    distance = _MAGNIFICATION * source
    spacing = grid.spacing[-1] * _MAGNIFICATION
    columns = math.ceil(2 * distance * math.tan(math.asin(1 / _DISTANCE)) / spacing) + 2 * _MARGIN
    angles = full_scan(scan.views or VIEWS)
    if scan.beam == "fan":
        return FanBeam.circular(
            source_to_origin=source,
            source_to_detector=distance,
            angles=angles,
            detector=FlatDetector(shape=columns, spacing=spacing),
        )
    height = grid.spacing[0] * _MAGNIFICATION
    rows = math.ceil(grid.size[0] * distance / (source - radius) / height) + 2 * _MARGIN
    return ConeBeam.circular(
        source_to_origin=source,
        source_to_detector=distance,
        angles=angles,
        detector=FlatDetector(shape=(rows, columns), spacing=(height, spacing)),
    )


def reconstructed(projections: Tensor, geometry: Geometry, grid: Grid, window: str) -> Tensor:
    """[Z, Y, X] of projections [views, rows, columns] (FDK), or of slices [Z, views, columns] (FBP on a 2-D grid)."""
    if isinstance(geometry, ConeBeam):
        return fdk(projections, geometry, grid, window=window)
    return fbp(projections, geometry, grid, window=window)  # pyright: ignore[reportArgumentType]


def noisy(projections: Tensor, photons: float | None, scan: ScanSpec, *key: object) -> Tensor:
    """Projections with the noise that belongs to `key`; without any where `photons` is None."""
    if photons is None:
        return projections
    return add_photon_noise(projections, photons, scan.electronic_noise, generator=generator_of(*key))


def generator_of(*key: object) -> torch.Generator:
    """Random numbers that belong to a key, whatever was drawn before."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def slice_grid(grid: Grid) -> Grid:
    """The 2-D grid of one slice."""
    return Grid(grid.shape[1:], grid.spacing[1:], grid.center[:2])
