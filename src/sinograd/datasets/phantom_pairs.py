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
from sinograd.phantoms import Ellipsoids, abdomen, bone, shepp_logan_3d, tibia

_FILL = 0.9  # of the width of the grid
_WIDTHS = {"abdomen": 340.0, "tibia": 1.3}  # mm, of phantoms that have a size of their own
_USUAL_WIDTHS = {"bone": 5.0, "shepp-logan": 200.0}  # mm, of those that fit any grid
_BRAIN = 0.0193  # 1/mm, of the Shepp-Logan phantom


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
        self.width = _WIDTHS.get(spec.phantom, _FILL * self.grid.size[2])
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
    """As asked for; by default the phantom fills the grid, or where it may have any size the scanner."""
    if spec.voxel_mm is not None:
        return spec.voxel_mm
    if spec.phantom in _WIDTHS:
        return _WIDTHS[spec.phantom] / (_FILL * spec.shape[2])
    if spec.scan.scanner is not None:
        return scan_geometry(spec.scan, Grid(spec.shape), 1.0).field_of_view / spec.shape[2]
    return _USUAL_WIDTHS[spec.phantom] / (_FILL * spec.shape[2])


def make_phantom(name: str, seed: int, width: float, height: float) -> Ellipsoids:
    """The object of a seed, `width` mm wide; details of the tibia fill twice `height`."""
    if name == "abdomen":
        return abdomen(seed)
    if name == "tibia":
        return tibia(seed, height=2 * height)
    if name == "bone":
        return bone(seed, size=width)
    plain = shepp_logan_3d(width / 2, _BRAIN, "kak-slaney")
    turn = torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).item() * 2 * math.pi
    return _turned(plain, turn) if seed else plain


def _pair(spec: Phantoms, seed: int, cache: BlockCache) -> PairedVolume:
    simulation = PhantomScan(spec, seed)
    count = spec.realisations + (spec.target != "none")
    volumes = [Volume(SimulatedSource(simulation, i, cache), simulation.grid, spec.unit) for i in range(count)]
    inputs, target = tuple(volumes[: spec.realisations]), volumes[-1] if count > spec.realisations else None
    name = f"{spec.phantom}-{seed}"
    return PairedVolume(name, name, inputs, target, spec.unit, "abdomen" if spec.phantom == "abdomen" else "")


def _part(grid: Grid, first: int, end: int) -> Grid:
    middle = grid.center[2] + ((first + end - 1) / 2 - (grid.shape[0] - 1) / 2) * grid.spacing[0]
    return Grid((end - first, *grid.shape[1:]), grid.spacing, (*grid.center[:2], middle))


def _turned(phantom: Ellipsoids, angle: float) -> Ellipsoids:
    """The object turned about z."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    center = (turn @ phantom.center[..., None])[..., 0]
    return Ellipsoids(phantom.value, phantom.semi_axes, center, turn @ phantom.rotation)
