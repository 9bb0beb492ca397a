"""Which detector rows a grid needs: the others can be left away before a reconstruction, which does not change."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.arguments import check_pair
from sinograd.ops.detector_rows import ROUNDING, rows_of_box
from sinograd.recon.analytic.virtual_detector import VirtualDetector, upright_detector


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
    """The same for a 3-D geometry, on a detector that has no end; all rows of it where the object moves."""
    if geometry.moving_recipe is not None:
        return 0, geometry.rows
    detector = upright_detector(geometry)
    image = _image(detector, geometry.divergent, grid)
    if detector.homographies is None:
        return _span(image, geometry.rows)
    first, end = _span(_rows_of_the_real_one(detector, image), geometry.rows)
    return first - 1, end + 1  # cubic interpolation reads two rows on either side


def upright_rows(detector: VirtualDetector, divergent: bool, grid: Grid) -> tuple[int, int] | None:
    """First and end of the rows of an upright detector that `grid` needs; None where it sees nothing of it."""
    if detector.all_rows:
        return 0, detector.shape[0]
    image = _image(detector, divergent, grid)
    if bool(image.isnan().any()):
        return 0, detector.shape[0]
    # a row more where rounding decides: all that the whole volume would read
    first, end = math.floor(float(image.min()) - ROUNDING), math.ceil(float(image.max()) + ROUNDING) + 1
    first, end = max(0, first), min(detector.shape[0], end)
    return (first, end) if first < end else None


def _image(detector: VirtualDetector, divergent: bool, grid: Grid) -> Tensor:
    """[views, n]: rows of the upright detector onto which the extreme voxels fall."""
    box = [(float(axis[0]), float(axis[-1])) for axis in grid.axes()]
    return rows_of_box(detector.vectors, divergent, detector.shape, box)


def _span(image: Tensor, rows: int) -> tuple[int, int]:
    """The rows that interpolation reads, on both sides of each image; all where an image can be anywhere."""
    if bool(image.isnan().any()):
        return 0, rows
    return math.floor(float(image.min()) + ROUNDING), math.ceil(float(image.max()) - ROUNDING) + 1


def _rows_of_the_real_one(detector: VirtualDetector, rows: Tensor) -> Tensor:
    """Rows of an upright detector as those of the real one, where these are extreme: at the ends of each row."""
    assert detector.homographies is not None
    low, high = rows.amin(1).floor(), rows.amax(1).ceil()
    ends = [(column, row) for column in (0, detector.shape[1] - 1) for row in (low, high)]
    points = torch.stack(
        [torch.stack([torch.full_like(row, column), row, torch.ones_like(row)], 1) for column, row in ends], 1
    )
    image = points @ detector.homographies.transpose(1, 2)
    return image[..., 1] / image[..., 2]
