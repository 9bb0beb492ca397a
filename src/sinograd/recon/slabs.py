"""`fdk_in_slabs`: FDK of projections and volumes larger than the memory of the device that computes."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from sinograd.geometry import ConeBeam, Grid, detector_region
from sinograd.ops.slab_plan import COPIES, Slab, memory_of
from sinograd.ops.transfers import Downloads, uploaded
from sinograd.recon.fdk import check_fdk, fdk
from sinograd.recon.needed_rows import needed_rows


@torch.no_grad()
def fdk_in_slabs(
    projections: Tensor,
    geometry: ConeBeam,
    grid: Grid | None = None,
    *,
    device: torch.device | str = "cuda",
    memory: int | None = None,
    **options: Any,
) -> Tensor:
    """`fdk` of tensors in host memory on a device that holds only a part of them.

    The volume is reconstructed in slabs along z, each from the detector rows that it needs, so that filtering is
    repeated only where slabs share rows; copies to and from a card overlap with computing. The result is `fdk`'s up to
    rounding (for a tilted or turned detector, up to its interpolation). Without gradients.

    Args:
        projections: [..., views, rows, columns] on the CPU.
        geometry, grid: as for `fdk`.
        device: where to compute.
        memory: bytes to use there; by default 80 % of what a card has free.
        options: those of `fdk`, except `progress`.

    Returns:
        [..., Z, Y, X] on the CPU, the only allocation of its size.

    Raises:
        TypeError, ValueError: as `fdk`; too little memory for one slice.
    """
    grid = check_fdk(geometry, grid)
    if projections.device.type != "cpu":
        raise ValueError(f"projections: expected a tensor in host memory, got one on {projections.device}; use fdk")
    where = torch.device(device)
    batch = projections.shape[:-3]
    budget = memory_of(where, memory) / COPIES / projections.element_size() / max(1, batch.numel())
    slabs = _slabs(geometry, grid, budget)
    volume = projections.new_empty((*batch, *grid.shape))
    downloads = Downloads(where)
    parts = uploaded((projections[..., first:last, :] for _, (first, last) in slabs), where)
    for (slab, rows), part in zip(slabs, parts, strict=True):
        result = fdk(part, detector_region(geometry, rows=rows), slab.grid(grid), **options)
        downloads.put(result, volume[..., slab.first : slab.last, :, :].copy_)
    downloads.finish()
    return volume


def _slabs(geometry: ConeBeam, grid: Grid, budget: float) -> list[tuple[Slab, tuple[int, int]]]:
    """The fewest slabs of about equal thickness that fit, each with its rows."""
    slices, count = grid.shape[0], 1
    while True:
        edges = [round(i * slices / count) for i in range(count + 1)]
        slabs = [Slab(first, last, torch.zeros(0, 2)) for first, last in itertools.pairwise(edges)]
        found = [(slab, needed_rows(geometry, slab.grid(grid))) for slab in slabs]
        largest = max(_elements(geometry, grid, slab, rows) for slab, rows in found)
        if largest <= budget:
            return found
        if count == slices:
            raise ValueError(
                f"memory: too little; one slice of {grid.shape[1]} x {grid.shape[2]} voxels and the rows it needs, "
                f"three times each, are {largest / budget:.3g} times as much"
            )
        count = min(slices, max(count + 1, int(count * min(2.0, largest / budget))))


def _elements(geometry: ConeBeam, grid: Grid, slab: Slab, rows: tuple[int, int]) -> int:
    voxels = (slab.last - slab.first) * grid.shape[1] * grid.shape[2]
    return voxels + (rows[1] - rows[0]) * geometry.views * geometry.columns
