"""Exact integrals of voxels that are boxes along lines, by sorting where a line crosses planes of voxels."""

from __future__ import annotations

import torch
from torch import Tensor

import sinograd as sg

LINES = 4096  # at a time


def box_integrals(volume: Tensor, grid: sg.Grid, origins: Tensor, directions: Tensor) -> Tensor:
    """[n]: integrals of a volume [z, y, x] along whole lines, float64 (R. L. Siddon, Medical Physics 12(2), 1985).

    Args:
        volume: values of the boxes, 1/mm.
        grid: where they lie.
        origins, directions: points [n, 3] on the lines and along them, x, y, z in mm.
    """
    size = torch.tensor([*reversed(grid.shape)])
    step = torch.tensor([*reversed(grid.spacing)], dtype=torch.float64)
    corner = torch.tensor(grid.center, dtype=torch.float64) - size / 2 * step
    start, move = (origins - corner) / step, directions / step
    move = torch.where(move.abs() < 1e-12, torch.full_like(move, 1e-12), move)
    parts = [
        _sums(volume.double(), size, some, along)
        for some, along in zip(start.split(LINES), move.split(LINES), strict=True)
    ]
    return torch.cat(parts) * directions.norm(dim=1)


def _sums(volume: Tensor, size: Tensor, start: Tensor, move: Tensor) -> Tensor:
    ends = torch.stack([-start / move, (size - start) / move])
    enter, leave = ends.amin(0).amax(1, keepdim=True), ends.amax(0).amin(1, keepdim=True)
    planes = [(torch.arange(int(n) + 1) - start[:, i, None]) / move[:, i, None] for i, n in enumerate(size)]
    crossings = torch.cat(planes, 1).clamp(enter, torch.maximum(enter, leave)).sort(1).values
    middle, length = (crossings[:, 1:] + crossings[:, :-1]) / 2, crossings.diff(dim=1)
    x, y, z = ((start[:, i, None] + middle * move[:, i, None]).long().clamp(0, int(n) - 1) for i, n in enumerate(size))
    return (volume[z, y, x] * length).sum(1)
