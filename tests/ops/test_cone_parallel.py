"""The weighted cone-parallel backprojection. Truth: a loop over voxels and views in float64, and the dot product."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.ops.cone_parallel import ConeParallelViews
from sinograd.ops.cone_parallel_reference import add_adjoint_reference, add_reference

TURNS, VIEWS, ROWS, DISTANCES = 5, 6, 7, 24
GRID = sg.Grid((9, 8, 20), (2.0, 6.0, 5.0), (3.0, -2.0, 1.5))


def views(missing: int = 2) -> ConeParallelViews:
    """Half turns of a helix that climbs 12 mm each; the last `missing` views do not exist."""
    t = (torch.arange(DISTANCES, dtype=torch.float64) - 11) * 5.0
    index = torch.arange(TURNS * VIEWS, dtype=torch.float64).view(TURNS, VIEWS)
    directions = 0.3 + index * math.pi / VIEWS
    fan = torch.asin(t / 200.0)
    heights = -30.0 + (directions[..., None] + fan) * 12.0 / math.pi
    rays = torch.stack(
        [
            (200.0**2 - t.square()).sqrt().expand_as(heights),
            torch.full_like(heights, 100.0),
            heights,
            torch.full_like(heights, 3.2),
        ],
        dim=-1,
    )
    directions.view(-1)[TURNS * VIEWS - missing :] = math.nan
    return ConeParallelViews(directions, rays, torch.tensor([0.1, 0.5, 1, 1, 1, 0.5, 0.2]).double(), float(t[0]), 5.0)


def loop(projections: Tensor, these: ConeParallelViews) -> Tensor:
    """Voxel by voxel, as the definition says."""
    volume = torch.zeros(GRID.shape, dtype=torch.float64)
    for k, j, i in torch.cartesian_prod(*(torch.arange(n) for n in GRID.shape)).tolist():
        z, y, x = (
            (index - (GRID.shape[axis] - 1) / 2) * GRID.spacing[axis] + GRID.center[2 - axis]
            for axis, index in enumerate((k, j, i))
        )
        for view in range(VIEWS):
            sums = [0.0, 0.0]
            for turn in range(TURNS):
                theta = float(these.directions[turn, view])
                at = (x * math.cos(theta) + y * math.sin(theta) - these.nearest) / these.spacing
                if math.isnan(theta) or not 0 <= at <= DISTANCES - 1:
                    continue
                column = min(int(at), DISTANCES - 2)
                right = at - column
                source, rows, height, middle = (
                    (1 - right) * these.rays[turn, view, column] + right * these.rays[turn, view, column + 1]
                ).tolist()
                row = middle + (z - height) * rows / (source + y * math.cos(theta) - x * math.sin(theta))
                for near in (math.floor(row), math.floor(row) + 1):
                    if 0 <= near < ROWS:
                        weight = float(these.window[near]) * (1 - abs(row - near))
                        pixels = projections[turn, view, near]
                        sums[0] += weight * float((1 - right) * pixels[column] + right * pixels[column + 1])
                        sums[1] += weight
            if sums[1] > 1e-5:
                volume[k, j, i] += sums[0] / sums[1]
    return volume


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_it_is_the_loop(dtype: torch.dtype, within: float) -> None:
    these = views()
    projections = torch.randn(these.shape, dtype=dtype)
    expected = loop(projections.double(), these)
    for add in (these.add, lambda *arrays: add_reference(arrays[0], arrays[1], these, arrays[2])):
        volume = torch.ones(GRID.shape, dtype=dtype)
        add(volume, projections, GRID)
        assert float((volume.double() - 1 - expected).abs().max()) < within * float(expected.abs().max())


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_adjoint(dtype: torch.dtype, within: float) -> None:
    these = views()
    x, y = torch.randn(these.shape, dtype=dtype), torch.randn(GRID.shape, dtype=dtype)
    volume, projections = torch.zeros_like(y), torch.zeros_like(x)
    these.add(volume, x, GRID)
    these.add_adjoint(projections, y, GRID)
    left, right = (volume.double() * y.double()).sum(), (x.double() * projections.double()).sum()
    assert abs(float(left - right)) < within * float(volume.double().norm() * y.double().norm())
    by_torch = torch.zeros_like(x)
    add_adjoint_reference(by_torch, y, these, GRID)
    assert torch.allclose(projections, by_torch, atol=2e-5 if dtype == torch.float32 else 1e-9)


def test_the_number_of_threads_does_not_matter() -> None:
    these, threads, results = views(), torch.get_num_threads(), []
    projections, grid = torch.randn(these.shape), sg.Grid((9, 40, 40), 2.0)
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            volume, back = torch.zeros(grid.shape), torch.zeros(these.shape)
            these.add(volume, projections, grid)
            these.add_adjoint(back, volume, grid)
            results.append((volume, back))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
