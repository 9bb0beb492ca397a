"""Pairs of phantoms that nobody needs to download: exact projections, photon noise, FDK."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from sinograd.data.units import Conversion
from sinograd.data.volume import Volume
from sinograd.datasets.block_cache import BlockCache
from sinograd.datasets.pairs import PairedVolume
from sinograd.datasets.simulation import (
    SimulatedSource,
    noisy,
    reconstructed,
    scan_geometry,
    slice_grid,
)
from sinograd.datasets.spec import Phantoms
from sinograd.geometry import Geometry, Grid
from sinograd.phantoms.catalogue import FILL, facts, made
from sinograd.phantoms.ellipsoids import Ellipsoids

_USUAL_MM = 100.0  # width of phantoms that do not say one


def phantom_pairs(spec: Phantoms) -> list[PairedVolume]:
    """One pair for each seed, simulated when it is read; each seed is a patient.

    The phantom is projected by its formulas, not by the operator that a reconstruction inverts. Each realisation has
    photon noise of its own; input and target are reconstructed alike, so they differ by noise alone, unless the target
    is "voxels". Of a cone beam the whole volume is made at once, of a fan beam slice by slice. All pairs together keep
    `cache_mb` of what was made (and the volumes made last).

    Raises:
        ConfigError: scanner, beam and views do not fit.
    """
    cache = BlockCache(spec.cache_mb << 20)
    return [_pair(spec, seed, cache) for seed in range(spec.first_seed, spec.first_seed + spec.count)]


class PhantomScan:
    """The simulation of one phantom: realisations of the low dose, then the target unless there is none."""

    def __init__(self, spec: Phantoms, seed: int) -> None:
        self.spec, self.seed = spec, seed
        voxel = _voxel(spec)
        self.grid = Grid(spec.shape, voxel)
        self.width = facts(spec.phantom).get("width_mm", FILL * self.grid.size[2])
        radius = max(math.hypot(*self.grid.size[1:]) / 2, self.width / math.sqrt(2))
        self.geometry: Geometry = scan_geometry(spec.scan, self.grid, radius)
        self.shape = spec.shape
        self.block = spec.shape[0] if spec.scan.beam == "cone" else 1

    @cached_property
    def phantom(self) -> Ellipsoids:
        """The object."""
        return make_phantom(self.spec.phantom, self.seed, self.width, self.grid.size[0])

    def make(self, first: int, end: int) -> tuple[Tensor, ...]:
        """All slices of a cone beam's volumes, or some of a fan beam's."""
        spec, scan = self.spec, self.spec.scan
        grid = self.grid if scan.beam == "cone" else slice_grid(self.grid)
        exact = self._projections(first, end)
        key = ("phantom", spec.phantom, self.seed, first)
        volumes = []
        for index in range(spec.realisations):
            volumes.append(
                reconstructed(noisy(exact, scan.photons, scan, *key, index), self.geometry, grid, scan.window)
            )
        if spec.target == "reconstruction":
            normal = noisy(exact, scan.target_photons, scan, *key, "target")
            volumes.append(reconstructed(normal, self.geometry, grid, scan.window))
        elif spec.target == "voxels":
            volumes.append(self.phantom.voxelize(_part(self.grid, first, end)))
        convert = Conversion("1/mm", spec.unit, spec.water_per_mm)
        return tuple(convert(volume) for volume in volumes)

    def _projections(self, first: int, end: int) -> Tensor:
        if self.spec.scan.beam == "cone":
            return self.phantom.project(self.geometry)
        heights = self.grid.axes()[0][first:end].tolist()
        return torch.stack([self.phantom.translated((0, 0, -z)).project(self.geometry) for z in heights])


def _voxel(spec: Phantoms) -> float:
    """The voxel size of the specification; by default the phantom, or the scanner if it may have any size, fills
    the grid."""
    if spec.voxel_mm is not None:
        return spec.voxel_mm
    about = facts(spec.phantom)
    if "width_mm" in about:
        return about["width_mm"] / (FILL * spec.shape[2])
    if spec.scan.scanner is not None:
        return scan_geometry(spec.scan, Grid(spec.shape), 1.0).field_of_view / spec.shape[2]
    return about.get("usual_mm", _USUAL_MM) / (FILL * spec.shape[2])


def make_phantom(name: str, seed: int, width: float, height: float) -> Ellipsoids:
    """The object of a seed, `width` mm wide; details that need a height fill twice `height` mm.

    Phantoms without random parts are turned about z by the seed, so that no two are the same.
    """
    about = facts(name)
    options = dict(about.get("pair_options", {}))
    if "height" in about.get("options", {}):
        options["height"] = 2 * height
    phantom = made(name, seed, width, **options)
    if about.get("seeded", True) or not seed:
        return phantom
    turn = torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).item() * 2 * math.pi
    return _turned(phantom, turn)


def _pair(spec: Phantoms, seed: int, cache: BlockCache) -> PairedVolume:
    simulation = PhantomScan(spec, seed)
    count = spec.realisations + (spec.target != "none")
    volumes = [Volume(SimulatedSource(simulation, i, cache), simulation.grid, spec.unit) for i in range(count)]
    inputs, target = tuple(volumes[: spec.realisations]), volumes[-1] if count > spec.realisations else None
    name = f"{spec.phantom}-{seed}"
    return PairedVolume(name, name, inputs, target, spec.unit, facts(spec.phantom).get("group", ""))


def _part(grid: Grid, first: int, end: int) -> Grid:
    middle = grid.center[2] + ((first + end - 1) / 2 - (grid.shape[0] - 1) / 2) * grid.spacing[0]
    return Grid((end - first, *grid.shape[1:]), grid.spacing, (*grid.center[:2], middle))


def _turned(phantom: Ellipsoids, angle: float) -> Ellipsoids:
    """The object turned about z."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    center = (turn @ phantom.center[..., None])[..., 0]
    return Ellipsoids(phantom.value, phantom.semi_axes, center, turn @ phantom.rotation)
