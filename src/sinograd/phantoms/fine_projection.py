"""Projections of objects without exact line integrals: a fine grid, sampled along several rays a pixel.

No operator of `sinograd.ops` takes part, so that what reconstructs the scan later has not made it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.phantoms.catalogue import resampled

_SLAB_VOXELS = 2**24  # sampled at a time
_SAMPLES = 2**22  # points on rays held at once


class Voxelized(Protocol):
    """What can be drawn on a grid."""

    def voxelize(self, grid: Grid, *, supersampling: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
        """Means of the voxels, [Z, Y, X] or [Y, X]; 1/mm."""
        ...


def project_finely(
    phantom: Voxelized, size: tuple[float, float], geometry: Geometry, voxel: float, rays: int, dtype: torch.dtype
) -> Tensor:
    """Line integrals of a phantom in a cylinder (diameter, height): voxels of `voxel` mm, rays^2 rays a pixel.

    Along each ray, values are interpolated linearly in the planes of voxels that it crosses most steeply. Slabs of the
    grid are drawn and sampled one after the other; what interpolation spreads across their borders adds up, so that
    the slabs together give the projections of the whole.

    Raises:
        InputError: rays below 1, a voxel that is not positive, rays that run along z.
    """
    if rays < 1:
        raise InputError(f"rays: expected at least 1, got {rays}")
    if not 0 < voxel < math.inf:
        raise InputError(f"voxel: expected a positive number of mm, got {voxel}")
    fine = resampled(geometry, None, tuple(rays * n for n in geometry.detector.shape))
    result = torch.zeros(geometry.projection_shape, dtype=torch.float64, device="cpu")
    for grid in _slabs(math.ceil(size[0] / voxel), math.ceil(size[1] / voxel), voxel, geometry.ndim):
        volume = phantom.voxelize(grid, supersampling=1).reshape(-1, *grid.shape[-2:])
        across = volume.permute(2, 0, 1).contiguous(), volume.permute(1, 0, 2).contiguous()  # planes of x, of y
        for view in range(geometry.views):
            sums = torch.zeros(math.prod(fine.projection_shape[1:]), dtype=torch.float64, device="cpu")
            for chosen, axis, places, lengths in _crossings(fine, view, grid):
                sums[chosen] += _sampled(across[axis], places) * lengths
            result[view] += _averaged(sums.view(fine.projection_shape[1:]), rays)
    return result.to(dtype)


def _crossings(geometry: Geometry, view: int, grid: Grid) -> Iterator[tuple[Tensor, int, Tensor, Tensor]]:
    """Where the rays of a view cross the planes of voxels: numbers of rays [n], the axis of the planes (0: x, 1: y),
    places [planes, n, 2] as `grid_sample` counts them, and mm of ray per plane [n]."""
    origin, direction = (part.reshape(-1, part.shape[-1]) for part in geometry.rays(slice(view, view + 1)))
    if geometry.ndim == 2:
        origin, direction = (torch.nn.functional.pad(part[:, :2], (0, 1)) for part in (origin, direction))
    steepest = direction[:, :2].abs().amax(1)
    if bool((steepest < 0.2 * direction[:, 2].abs()).any()):
        raise InputError("geometry: expected rays across z, some run along it")
    z, y, x = grid.axes() if grid.ndim == 3 else (torch.zeros(1, dtype=torch.float64, device="cpu"), *grid.axes())
    spacing = grid.spacing[-1]
    axes, other = (x, y), (y, x)
    along_y = direction[:, 1].abs() > direction[:, 0].abs()
    for axis in (0, 1):
        rays = (along_y if axis else ~along_y).nonzero()[:, 0]
        slope = direction[rays] / direction[rays, axis][:, None]
        planes = axes[axis]
        ends = torch.stack([(end - origin[rays, axis])[:, None] * slope + origin[rays] for end in planes[[0, -1]]])
        low, high = ends.amin(0), ends.amax(0)
        bounds = ((1 - axis, other[axis]), (2, z))
        meets = torch.ones(len(rays), dtype=torch.bool, device="cpu")
        for k, places in bounds:
            meets &= (high[:, k] > places[0] - spacing) & (low[:, k] < places[-1] + spacing)
        rays, slope = rays[meets], slope[meets]
        for some, slopes in zip(*(part.split(max(1, _SAMPLES // len(planes))) for part in (rays, slope)), strict=True):
            steps = planes[:, None] - origin[some, axis]
            places = [
                _counted(steps * slopes[:, k] + origin[some, k], values[0], spacing, len(values))
                for k, values in bounds
            ]
            lengths = spacing * torch.linalg.vector_norm(slopes, dim=1)
            yield some, axis, torch.stack(places, dim=-1).float(), lengths


def _counted(position: Tensor, first: Tensor, spacing: float, count: int) -> Tensor:
    """Positions in mm as `grid_sample` counts them without aligned corners: -1 and 1 are the outer edges."""
    return (2 * (position - first) / spacing + 1) / count - 1


def _sampled(planes: Tensor, places: Tensor) -> Tensor:
    """The sum over planes [p, z, n] of values at places [p, rays, 2]: float64 [rays]."""
    values = grid_sample(planes[:, None], places[:, None], mode="bilinear", padding_mode="zeros", align_corners=False)
    return values[:, 0, 0].sum(0, dtype=torch.float64)


def _slabs(count: int, slices: int, voxel: float, ndim: int) -> list[Grid]:
    if ndim == 2:
        return [Grid((count, count), voxel)]
    thick = max(1, _SLAB_VOXELS // count**2)
    starts = range(0, slices, thick)
    counts = [min(thick, slices - start) for start in starts]
    middles = [(start + n / 2 - slices / 2) * voxel for start, n in zip(starts, counts, strict=True)]
    return [Grid((n, count, count), voxel, (0.0, 0.0, z)) for n, z in zip(counts, middles, strict=True)]


def _averaged(fine: Tensor, rays: int) -> Tensor:
    """Means over blocks of rays pixels along each axis of [columns] or [rows, columns]."""
    for axis in range(fine.ndim):
        fine = fine.unflatten(axis, (-1, rays)).mean(axis + 1)
    return fine
