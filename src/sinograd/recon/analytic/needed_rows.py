"""Which detector rows a grid needs: the others can be left away before a reconstruction, which does not change."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.arguments import check_pair
from sinograd.ops.kernel_views import is_curved, projection_matrices
from sinograd.recon.analytic.virtual_detector import VirtualDetector, upright_detector

# Rows by which a voxel's image may be off by rounding.
_ROUNDING = 1e-6


def needed_rows(geometry: Geometry, grid: Grid, margin: int = 0) -> tuple[int, int]:
    """First detector row and the one after the last that filtered backprojection to `grid` reads, over all views.

    Filtering runs along the rows, so that `fdk` of these rows alone (`geometry.detector_region(geometry, rows=...)`)
    gives the same volume; for a tilted or turned detector, which is resampled to an upright one, to interpolation.

    Args:
        geometry: a scan that `fdk` or `fbp` takes; 2-D ones have one row.
        grid: the voxels.
        margin: rows to add on both sides, as far as there are any.

    Raises:
        ValueError: the detector sees nothing of the grid, or what `fdk` refuses.
    """
    check_pair(geometry, grid)
    if margin < 0:
        raise InputError(f"margin: expected 0 or more rows, got {margin}")
    if geometry.ndim == 2:
        return 0, 1
    first, end = image_rows(geometry, grid)
    if first >= geometry.rows or end <= 0:
        raise InputError(
            f"grid: the detector sees nothing of it: it would be on rows {first} to {end - 1}, "
            f"there are rows 0 to {geometry.rows - 1}"
        )
    return max(0, first - margin), min(geometry.rows, end + margin)


def image_rows(geometry: Geometry, grid: Grid) -> tuple[int, int]:
    """The same for a 3-D geometry, on a detector that has no end."""
    detector = upright_detector(geometry, "filtered backprojection")
    heights = _image_rows(detector, geometry.divergent, grid)
    rows = _rows_of_the_real_one(detector, heights)
    # interpolation reads the rows on both sides
    first, end = math.floor(float(rows.min()) + _ROUNDING), math.ceil(float(rows.max()) - _ROUNDING) + 1
    return first, end


def _image_rows(detector: VirtualDetector, divergent: bool, grid: Grid) -> Tensor:
    """[views, n]: rows of the upright detector onto which the extreme voxels fall."""
    z, y, x = ((float(axis[0]), float(axis[-1])) for axis in grid.axes())
    if is_curved(detector.vectors):
        return _curved_rows(detector, z, y, x)
    # On a flat detector the row is a quotient of two linear functions, whose extremes lie at corners.
    corners = torch.tensor([(*place, 1.0) for place in itertools.product(x, y, z)], dtype=torch.float64)
    matrices = projection_matrices(detector.vectors, divergent, detector.shape)
    image = corners @ matrices.transpose(1, 2)
    return image[..., 1] / image[..., 2]


def _curved_rows(
    detector: VirtualDetector, z: tuple[float, float], y: tuple[float, float], x: tuple[float, float]
) -> Tensor:
    """The row depends on height and horizontal distance to the source: extremes at its nearest and farthest point."""
    source, centre, v = (detector.vectors[:, i] for i in (0, 1, 3))
    nearest = torch.stack([source[:, 0].clamp(*x), source[:, 1].clamp(*y)], 1)
    farthest = torch.stack(
        [torch.where(source[:, axis] > sum(ends) / 2, ends[0], ends[1]) for axis, ends in ((0, x), (1, y))],
        1,
    )
    radius = (centre - source)[:, :2].norm(dim=1)
    rows = []
    for point, height in itertools.product((nearest, farthest), z):
        at_detector = source[:, 2] + (height - source[:, 2]) * radius / (point - source[:, :2]).norm(dim=1)
        rows.append((at_detector - centre[:, 2]) / v[:, 2] + (detector.shape[0] - 1) / 2)
    return torch.stack(rows, 1)


def _rows_of_the_real_one(detector: VirtualDetector, rows: Tensor) -> Tensor:
    """Rows of an upright detector as those of the real one, where these are extreme: at the ends of each row."""
    if detector.homographies is None:
        return rows
    low, high = rows.amin(1).floor(), rows.amax(1).ceil()
    ends = [(column, row) for column in (0, detector.shape[1] - 1) for row in (low, high)]
    points = torch.stack(
        [torch.stack([torch.full_like(row, column), row, torch.ones_like(row)], 1) for column, row in ends], 1
    )
    image = points @ detector.homographies.transpose(1, 2)
    return image[..., 1] / image[..., 2]
