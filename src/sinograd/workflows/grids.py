"""Which grid a scan is reconstructed on, and whether the scan sees it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sinograd.data.lengths import length_text
from sinograd.errors import InputError

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry, Grid


def base_grid(scan: Scan) -> Grid:
    """The scan's suggested grid or the one that covers its field of view; ValueError where neither exists."""
    if scan.grid is not None:
        return scan.grid
    try:
        return scan.geometry.default_grid()
    except ValueError as error:
        raise InputError(
            f"{scan.name}: the detector does not see the rotation axis in every view, which FDK and FBP need; for "
            "iterative algorithms give the grid (`shape` and `voxel_mm`)"
        ) from error


def choose_grid(
    scan: Scan,
    voxel_mm: float | None = None,
    shape: tuple[int, ...] | None = None,
    center_mm: tuple[float, ...] | None = None,
) -> Grid:
    """The scan's suggested grid or the one that covers its field of view, changed as the user asked.

    Given a voxel size but no shape, the number of voxels changes so that the same region is covered. Both of them make
    a grid about the isocentre where the scan has none.
    """
    from sinograd.geometry import Grid

    for name, value in (("voxel_mm", voxel_mm), ("center_mm", center_mm)):
        if value is not None and scan.length_unit != "mm":
            raise InputError(f"`{name}`: {scan.name} does not say how large its pixels are; give `pixel_mm`, too")
    try:
        base = base_grid(scan)
    except InputError:
        if shape is None or voxel_mm is None or len(shape) != scan.geometry.ndim:
            raise
        base = Grid(shape, _checked(voxel_mm))
    spacing = base.spacing
    if voxel_mm is not None:
        spacing = (_checked(voxel_mm),) * base.ndim
        shape = _covering(base, voxel_mm) if shape is None else shape
    if shape is not None and min(shape) < 1:
        got = ",".join(map(str, shape))
        raise InputError(f"`shape`: expected numbers of voxels of at least 1, got {got}")
    for name, values in (("shape", shape), ("center_mm", center_mm)):
        if values is not None and len(values) != base.ndim:
            raise InputError(f"`{name}` must have {base.ndim} numbers for this scan, got {len(values)}")
    return Grid(shape or base.shape, spacing, base.center if center_mm is None else center_mm)


def _checked(voxel_mm: float) -> float:
    if not (math.isfinite(voxel_mm) and voxel_mm > 0):
        raise InputError(f"`voxel_mm` must be positive, got {voxel_mm}")
    return voxel_mm


def _covering(base: Grid, voxel_mm: float) -> tuple[int, ...]:
    counts = [size / voxel_mm for size in base.size]
    if not all(map(math.isfinite, counts)):
        raise InputError(f"`voxel_mm={voxel_mm}` is too small: this volume is {length_text(max(base.size))} wide")
    return tuple(max(1, math.ceil(count - 1e-9)) for count in counts)


def grid_text(grid: Grid) -> str:
    """For example "256 x 256 x 256 voxels of 500 um"."""
    spacing = length_text(grid.spacing if len(set(grid.spacing)) > 1 else grid.spacing[:1], 5)
    element = "voxels" if grid.ndim == 3 else "pixels"
    where = "" if not any(grid.center) else f", centre {length_text(grid.center, 5, ', ')}"
    return f"{' x '.join(str(n) for n in grid.shape)} {element} of {spacing}{where}"


def outside_text(geometry: Geometry, grid: Grid) -> str | None:
    """What to tell when the scan sees nothing of the grid; None when it sees some, or that is not defined."""
    try:
        seen = geometry.default_grid()
    except ValueError:
        return None
    radius = geometry.field_of_view / 2
    x_gap, y_gap = (max(abs(c) - s / 2, 0) for c, s in zip(grid.center[:2], grid.size[:-3:-1], strict=True))
    outside = math.hypot(x_gap, y_gap) >= radius
    region = f"{length_text(2 * radius)} diameter about the rotation axis"
    if grid.ndim == 3:
        middle, half = seen.center[2], seen.size[0] / 2
        reach = half + radius * _steepest(geometry, middle, half)
        outside |= abs(grid.center[2] - middle) - grid.size[0] / 2 >= reach
        region += f", z from {length_text((middle - half, middle + half), between=' to ')} on it"
    return f"the grid ({grid_text(grid)}) lies outside the field of view ({region})" if outside else None


def _steepest(geometry: Geometry, middle: float, half: float) -> float:
    """Largest rise of the rays that meet the rotation axis less than `half` from z = `middle`, mm a mm."""
    first = geometry.vectors[:, 0]
    across = first[:, :2].norm(dim=1)
    rise = (first[:, 2] - middle).abs() + half if geometry.divergent else first[:, 2].abs()
    return (rise / across).max().item()
