"""Scans that hold no volume: all of their views look through it in one direction."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.ops import GeometryOperator
from sinograd.ops.linear_operator import Combination
from sinograd.ops.stack import Stack

# Rad: views closer than this look in one direction.
SAME_DIRECTION = 1e-3


def check_directions(geometry: Geometry, grid: Grid, name: str = "geometry") -> None:
    """InputError, which starts with `name`, where the rays through the grid's middle have fewer than two directions.

    Opposite directions are one. Such views (a radiograph, a series at one angle) say nothing about depth, for whatever
    algorithm. A narrow range of angles does, and is only warned of.
    """
    _check(_middle_rays(geometry, grid), name)


def check_operator_directions(operator: object) -> None:
    """The same of an operator, also of several scans or with others before and after it, where it knows geometries."""
    rays = _operator_rays(operator)
    if rays:
        _check(torch.cat(rays), "geometry" if isinstance(operator, GeometryOperator) else "operator")


def _operator_rays(operator: object) -> list[Tensor]:
    """Rays [views, 3] of each scan; none where one of several scans does not tell its geometry."""
    if isinstance(operator, Combination):
        parts = [_operator_rays(part) for part in operator.parts]
        return [] if isinstance(operator, Stack) and not all(parts) else [ray for part in parts for ray in part]
    geometry, grid = (getattr(operator, name, None) for name in ("geometry", "grid"))
    return [_middle_rays(geometry, grid)] if isinstance(geometry, Geometry) and isinstance(grid, Grid) else []


def _middle_rays(geometry: Geometry, grid: Grid) -> Tensor:
    """Directions of the rays through the grid's middle, [views, 3]."""
    ray = geometry.vectors[:, 0]
    if geometry.divergent:
        middle = torch.zeros(3, dtype=torch.float64)
        middle[: len(grid.center)] = torch.as_tensor(grid.center, dtype=torch.float64)
        ray = middle - ray
    return torch.nn.functional.normalize(ray, dim=1)


def _check(ray: Tensor, name: str) -> None:
    apart = torch.linalg.cross(ray, ray[:1].expand_as(ray)).norm(dim=1)
    if bool((apart <= SAME_DIRECTION).all()):
        count = "its one view looks" if len(ray) == 1 else f"its {len(ray)} views look"
        raise InputError(
            f"{name}: expected views from 2 distinct directions or more, but {count} in 1 direction (opposite "
            "ones count once): a volume cannot be reconstructed from a radiograph"
        )
