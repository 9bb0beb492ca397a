"""Scans that hold no volume: all of their views look through it in one direction."""

from __future__ import annotations

import torch

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid

# Rad: views closer than this look in one direction.
SAME_DIRECTION = 1e-3


def check_directions(geometry: Geometry, grid: Grid, name: str = "geometry") -> None:
    """InputError, which starts with `name`, where the rays through the grid's middle have fewer than two directions.

    Opposite directions are one. Such views (a radiograph, a series at one angle) say nothing about depth, for whatever
    algorithm. A narrow range of angles does, and is only warned of.
    """
    vectors = geometry.vectors
    ray = vectors[:, 0]
    if geometry.divergent:
        middle = torch.zeros(3, dtype=torch.float64)
        middle[: len(grid.center)] = torch.as_tensor(grid.center, dtype=torch.float64)
        ray = middle - ray
    ray = torch.nn.functional.normalize(ray, dim=1)
    apart = torch.linalg.cross(ray, ray[:1].expand_as(ray)).norm(dim=1)
    if bool((apart <= SAME_DIRECTION).all()):
        count = "its one view looks" if len(ray) == 1 else f"its {len(ray)} views look"
        raise InputError(
            f"{name}: expected views from 2 distinct directions or more, but {count} in 1 direction (opposite "
            "ones count once): a volume cannot be reconstructed from a radiograph"
        )
