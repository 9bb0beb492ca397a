"""The voxels that every view saw (or the opposite one, where the detector is offset)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.vectors import central_hit, seen_radius
from sinograd.ops.arguments import check_pair
from sinograd.ops.kernel_views import is_curved, projection_matrices

# Views that are looked at, points of a circle, and bisections of its radius (to 1e-6 of the field of view).
VIEWS, POINTS, BISECTIONS = 64, 32, 20


def field_of_view_radii(geometry: Geometry, grid: Grid) -> Tensor:
    """Radius in mm, about the rotation axis, of the circle that the scan covers in each slice: float64 [Z], 2-D [1].

    Along the rows it is that of `geometry.field_of_view`; along the columns every view must see the whole circle, so
    that the circles of a cone beam shrink towards the first and last rows. -1 where not even the axis is seen.
    """
    check_pair(geometry, grid)
    step = max(1, geometry.views // VIEWS)
    vectors = geometry.vectors
    widest = seen_radius(vectors, geometry.detector, geometry.divergent)
    if grid.ndim == 2:
        return torch.tensor([widest if widest > 0 else -1.0], dtype=torch.float64)
    heights = grid.axes()[0]
    some = vectors[::step]
    low, high = torch.zeros_like(heights), torch.full_like(heights, widest)
    whole = _rows_see(some, geometry, high, heights)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        seen = _rows_see(some, geometry, middle, heights)
        low, high = torch.where(seen, middle, low), torch.where(seen, high, middle)
    radii = torch.where(whole, widest, low)
    return torch.where(_rows_see(some, geometry, torch.zeros_like(heights), heights) & (widest > 0), radii, -1.0)


def field_of_view_mask(geometry: Geometry, grid: Grid) -> Tensor:
    """Which voxels lie in the field of view, bool of the grid's shape; see `field_of_view_radii`."""
    squared = _squared_distance(grid)
    radii = field_of_view_radii(geometry, grid)
    inside = torch.stack([(squared <= r * r) & (r >= 0) for r in radii])
    return inside if grid.ndim == 3 else inside[0]


def mask_field_of_view_(volume: Tensor, geometry: Geometry, grid: Grid, value: float = 0.0) -> Tensor:
    """Sets voxels of a volume [..., (Z,) Y, X] outside the field of view to `value`, in place and slice by slice."""
    if tuple(volume.shape[-grid.ndim :]) != grid.shape:
        raise InputError(f"volume {list(volume.shape)} does not match grid.shape {list(grid.shape)}")
    return mask_circles_(volume, grid, field_of_view_radii(geometry, grid), value)


def mask_circles_(volume: Tensor, grid: Grid, radii: Tensor, value: float = 0.0) -> Tensor:
    """Sets voxels of slices [..., (Z,) Y, X] outside circles about the axis to `value`, in place.

    radii: of each slice, mm, as `field_of_view_radii` gives them; `grid` has the slices' y and x.
    """
    squared = _squared_distance(grid).to(volume.device)
    slices = volume.unbind(-3) if grid.ndim == 3 else (volume,)
    for plane, r in zip(slices, radii.tolist(), strict=True):
        plane.masked_fill_(squared > r * r if r >= 0 else torch.ones_like(squared, dtype=torch.bool), value)
    return volume


def _squared_distance(grid: Grid) -> Tensor:
    """Squared distance to the axis, [Y, X]."""
    y, x = grid.axes()[-2:]
    return y[:, None] ** 2 + x**2


def _rows_see(vectors: Tensor, geometry: Geometry, radii: Tensor, heights: Tensor) -> Tensor:
    """Whether every view has all of each circle between its first and last row: bool [Z]."""
    turn = torch.arange(POINTS, dtype=torch.float64) * (2 * math.pi / POINTS)
    if geometry.divergent:
        # among the points are those nearest to and farthest from each source
        turn = turn + torch.atan2(vectors[:, 0, 1], vectors[:, 0, 0])[:, None]
    turn = turn.expand(len(vectors), POINTS)
    seen = torch.ones_like(heights, dtype=torch.bool)
    for view, angles in zip(vectors, turn, strict=True):
        x, y = radii[:, None] * angles.cos(), radii[:, None] * angles.sin()
        points = torch.stack([x, y, heights[:, None].expand_as(x)], dim=-1)
        row = _rows_of(view[None], geometry, points)
        seen &= ((row >= -0.5 - 1e-9) & (row <= geometry.rows - 0.5 + 1e-9)).all(1)
    return seen


def _rows_of(vectors: Tensor, geometry: Geometry, points: Tensor) -> Tensor:
    """The detector row at which each point [..., 3] is seen."""
    shape = (geometry.rows, geometry.columns)
    if not is_curved(vectors):
        matrix = projection_matrices(vectors, geometry.divergent, shape)[0]
        image = points @ matrix[1:, :3].T + matrix[1:, 3]
        return image[..., 0] / image[..., 1]
    # the horizontal ray through a point is the central ray of an arrangement moved so that the point is on the axis
    flat = points.reshape(-1, 3)
    moved = vectors.repeat(len(flat), 1, 1)
    moved[:, [0, 1, 4], :2] -= flat[:, None, :2]
    stretch, row, _ = central_hit(moved, True)
    rise = (flat[:, 2] - vectors[0, 0, 2]) * stretch / vectors[0, 3, 2]
    return (row + rise + (geometry.rows - 1) / 2).reshape(points.shape[:-1])
