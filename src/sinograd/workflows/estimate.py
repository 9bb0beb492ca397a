"""What a reconstruction will take, from a measured part of it: memory, time and room on the disk."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sinograd.choices import ALGORITHMS

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry, Grid

_UPDATES = 1.5e8  # voxel updates measured: some tenths of a second
IDLE_BYTES = 250 << 20  # Python with torch and sinograd
_VIEWS = 24  # the kernels' block


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak, bytes of the volume's file, and seconds."""

    memory: float
    file: float
    read_seconds: float
    reconstruct_seconds: float

    @property
    def seconds(self) -> float:
        """All together."""
        return self.read_seconds + self.reconstruct_seconds


def estimate(
    scan: Scan, geometry: Geometry, grid: Grid, algorithm: str = "auto", iterations: int | None = None
) -> Estimate:
    """Of reconstructing `scan`, prepared to have `geometry`, on `grid`.

    Reads a block of views. Of direct algorithms a block of views is reconstructed in a slab of the volume, of iterative
    ones some views are projected and backprojected there; the times are multiplied.

    Args:
        algorithm: "auto" or a name of `ALGORITHMS`.
        iterations: of an iterative algorithm; None: its default.
    """
    volume, memory = 4 * math.prod(grid.shape), IDLE_BYTES + needed_memory(geometry, grid.shape, algorithm)
    if _iterates(algorithm):
        from sinograd.recon.algorithms import default_iterations

        iterations = default_iterations(algorithm) if iterations is None else iterations
        seconds = iterations * _iteration_seconds(geometry, grid)
    else:
        seconds = _direct_seconds(geometry, grid)
    return Estimate(memory, volume, _read_seconds(scan), seconds)


def needed_memory(geometry: Geometry, shape: tuple[int, ...], algorithm: str = "auto") -> float:
    """Bytes that a reconstruction takes at its peak, beside those of the idle program."""
    if _iterates(algorithm):
        from sinograd.recon.algorithms import working_memory

        return working_memory(algorithm, shape, geometry.projection_shape)
    from sinograd.recon.analytic.view_blocks import GROUP_VIEWS

    projections, volume = 4 * math.prod(geometry.projection_shape), 4 * math.prod(shape)
    block = projections * min(len(geometry), _VIEWS) / len(geometry)
    sums = volume if len(geometry) > GROUP_VIEWS else 0
    return projections + volume + sums + 4 * (block + (2 << 20) * 10)


def _iterates(algorithm: str) -> bool:
    return algorithm != "auto" and bool(ALGORITHMS.entry(algorithm).about.get("iterative"))


def _read_seconds(scan: Scan) -> float:
    """Of all views, from some in the middle."""
    views = scan.shape[0]
    count = min(views, max(1, (16 << 20) * views // max(scan.nbytes, 1)))
    first = (views - count) // 2
    start = time.perf_counter()
    scan.load(slice(first, first + count))
    return (time.perf_counter() - start) * views / count


def _iteration_seconds(geometry: Geometry, grid: Grid) -> float:
    """Of a projection and a backprojection of all views in the whole grid, from some views in a slab."""
    import torch

    from sinograd.ops import XRayTransform

    views = len(geometry)
    count = min(views, _VIEWS)
    slab, share = _slab(grid, int(_UPDATES / count))
    operator = XRayTransform(geometry[:count], slab)
    image = torch.zeros(slab.shape)

    def seconds() -> float:
        start = time.perf_counter()
        operator.T(operator(image))
        return time.perf_counter() - start

    seconds()  # the first call loads what the next ones use
    return min(seconds() for _ in range(2)) / share * views / count


def _direct_seconds(geometry: Geometry, grid: Grid) -> float:
    """Of all views in the whole grid, from a block of views in a slab."""
    import torch

    from sinograd.recon import FilteredBackprojection

    whole = FilteredBackprojection.of(geometry, grid, warn=False)
    views = len(geometry)
    first = max(0, views - _VIEWS)
    projections = torch.zeros(geometry.projection_shape)  # pages that are not read cost nothing

    def seconds(slab: Grid) -> float:
        start = time.perf_counter()
        volume = torch.zeros(slab.shape)
        dataclasses.replace(whole, grid=slab).add(volume, projections, range(first, views))
        return time.perf_counter() - start

    slab, share = _slab(grid, int(_UPDATES / (views - first)))
    thin, none = _slab(grid, 1)
    seconds(thin)  # the first call loads what the next ones use
    filtering = min(seconds(thin) for _ in range(2))
    updating = max(0.0, min(seconds(slab) for _ in range(2)) - filtering)
    return (filtering + updating / max(share - none, none)) * views / (views - first)


def _slab(grid: Grid, voxels: int) -> tuple[Grid, float]:
    """The middle of the grid along y, of about `voxels` voxels, and its share of the grid."""
    from sinograd.geometry import Grid

    count = grid.shape[-2]
    kept = min(count, max(1, round(count * voxels / math.prod(grid.shape))))
    return Grid((*grid.shape[:-2], kept, grid.shape[-1]), grid.spacing, grid.center), kept / count
