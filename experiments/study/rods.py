"""A cylinder with rods, scanned as the phantoms are: resolution and contrast of what methods leave.

Resolution is the frequency at which the task transfer function of the first rod's edge falls to a half (Richard et
al., Med. Phys. 39, 4115 (2012)), in the mean of all slices and seeds; it holds for this contrast and this noise. The
contrast-to-noise ratio is that of the last rod: difference of means over the standard deviation of single voxels
around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.metrics import task_transfer_function
from sinograd.phantoms import Ellipsoids
from study.config import Rods, Study

PHANTOM = -1  # number of this object in caches and names
COLUMNS = {"f50": (3, "resolution (f50), 1/mm"), "contrast": (3, "contrast of the faint rod kept"), "cnr": (2, "CNR")}
_LONG = 100.0  # length to radius


def rods_object(rods: Rods) -> Ellipsoids:
    """The cylinder, then its rods, all much longer than what is scanned."""
    count = len(rods.values)
    values = [rods.background, *(value - rods.background for value in rods.values)]
    axes = [[rods.radius, rods.radius, _LONG * rods.radius], *([[rods.rod, rods.rod, _LONG * rods.radius]] * count)]
    return Ellipsoids(values, axes, [[0.0, 0.0, 0.0], *([x, y, 0.0] for x, y in places(rods))])


def places(rods: Rods) -> list[tuple[float, float]]:
    """X and y of the rods' middles, evenly around the axis."""
    count = len(rods.values)
    turns = [2 * math.pi * (i + 0.5) / count for i in range(count)]
    return [(rods.ring * math.cos(turn), rods.ring * math.sin(turn)) for turn in turns]


def measure_rods(study: Study, volumes: Sequence[Tensor]) -> dict[str, float]:
    """Of volumes [Z, Y, X] of the object with other noise each, in 1/mm."""
    assert study.rods is not None
    rods, stacked = study.rods, torch.cat(list(volumes)).double()
    spacing, shape = study.grid.spacing[1:], study.grid.shape[1:]
    (x, y), *_ = places(rods)
    center = (y / spacing[0] + (shape[0] - 1) / 2, x / spacing[1] + (shape[1] - 1) / 2)
    try:
        found = task_transfer_function(stacked.mean(0), spacing=spacing, radius=rods.rod, center=center)
        resolution = found.frequency_at(0.5)
    except ValueError:
        resolution = math.nan
    inside, around = _regions(study, places(rods)[-1])
    contrast = stacked[:, inside].mean() - stacked[:, around].mean()
    true = rods.values[-1] - rods.background
    return {
        "f50": resolution,
        "contrast": float(contrast / true),
        "cnr": float(contrast.abs() / stacked[:, around].std()),
    }


def _regions(study: Study, place: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Pixels well inside a rod, and of a ring around it."""
    assert study.rods is not None
    (height, width), (dy, dx) = study.grid.shape[1:], study.grid.spacing[1:]
    y = (torch.arange(height) - (height - 1) / 2)[:, None] * dy - place[1]
    x = (torch.arange(width) - (width - 1) / 2) * dx - place[0]
    away = (y**2 + x**2).sqrt() / study.rods.rod
    return away < 0.6, (away > 1.4) & (away < 1.9)
