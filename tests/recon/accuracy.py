"""Case A: the scan and the score that peers were measured with, rebuilt from sinograd's own phantom.

Modified Shepp-Logan of 115 mm on 256^3 voxels of 1 mm; cone beam 1000 / 1500 mm, 256^2 pixels of 1.6 mm. Only the
voxels near the ball of 75 mm that is scored are reconstructed; every voxel is computed by itself, so that the
others change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sinograd.geometry import ConeBeam, CurvedDetector, FanBeam, FlatDetector, Geometry, Grid
from sinograd.phantoms import shepp_logan_3d

CIRCLE = dict(source_to_origin=1000.0, source_to_detector=1500.0)
OBJECT = shepp_logan_3d(115.0)
SCORED = 75.0  # mm
BALL = Grid((154, 154, 154))
SLAB = Grid((60, 154, 154))  # |z| < 30 mm
COARSE_SLAB = Grid((30, 76, 76), 2.0)
SLICE = Grid((512, 512), 0.5)


@dataclass(frozen=True)
class Score:
    """RMSE in the scored ball, RMSE there away from edges, ratio of means there."""

    rmse: float
    flat: float
    ratio: float


@cache
def truth(grid: Grid) -> Tensor:
    """The object on the grid, averaged over sub-voxels as the peers' truth was."""
    return OBJECT.voxelize(grid, supersampling=2 if grid.ndim == 3 else 4)


@cache
def masks(grid: Grid) -> tuple[Tensor, Tensor]:
    """The scored ball, and what of it is constant over two voxels each way."""
    inside = sum(torch.meshgrid(*[a**2 for a in grid.axes()], indexing="ij")) < SCORED**2  # type: ignore[operator]
    flat = inside.clone()
    for axis in range(grid.ndim):
        for shift in (1, -1, 2, -2):
            flat &= (truth(grid).roll(shift, axis) - truth(grid)).abs() < 1e-6
    return inside, flat


def score(reconstruction: Tensor, grid: Grid) -> Score:
    """The score of a reconstruction on one of the grids above."""
    inside, flat = masks(grid)
    error = (reconstruction - truth(grid)).double()
    ratio = reconstruction[inside].double().mean() / truth(grid)[inside].double().mean()
    return Score(*(error[m].square().mean().sqrt().item() for m in (inside, flat)), ratio.item())


def cone(angles: Tensor, rows: int = 256, offset: float = 0.0, curved: bool = False, **more: Any) -> ConeBeam:
    """Case A's scanner at other angles, with fewer rows, its detector moved along +u, curved ..."""
    kind = CurvedDetector if curved else FlatDetector
    return ConeBeam.circular(**CIRCLE, angles=angles, detector=kind((rows, 256), 1.6, offset=(0.0, offset)), **more)


def coarse_cone(angles: Tensor, offset: float = 0.0, curved: bool = False, **more: Any) -> ConeBeam:
    """The same with 128 columns of 3.2 mm and rows that see the slab."""
    kind = CurvedDetector if curved else FlatDetector
    return ConeBeam.circular(**CIRCLE, angles=angles, detector=kind((38, 128), 3.2, offset=(0.0, offset)), **more)


def fan(angles: Tensor, curved: bool = False, offset: float = 0.0) -> FanBeam:
    """Case A's 2-D sibling: 512 columns of 0.8 mm."""
    kind = CurvedDetector if curved else FlatDetector
    return FanBeam.circular(**CIRCLE, angles=angles, detector=kind(512, 0.8, offset=offset))


def measured(geometry: Geometry) -> Tensor:
    """Exact projections, float32."""
    return OBJECT.project(geometry)
