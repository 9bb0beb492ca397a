"""Whether a geometry and a grid make an operator: the same dimension, all voxels in front of the source."""

from __future__ import annotations

from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.kernel_views import is_curved


def check_pair(geometry: Geometry, grid: Grid) -> None:
    """Raises where no operator is defined between the geometry's projections and the grid's volumes."""
    if not isinstance(geometry, Geometry):
        raise InputTypeError(f"geometry: expected a ParallelBeam, FanBeam or ConeBeam, got {type(geometry).__name__}")
    if not isinstance(grid, Grid):
        raise InputTypeError(f"grid: expected a Grid, got {type(grid).__name__}")
    if geometry.ndim != grid.ndim:
        raise InputError(
            f"grid.shape {grid.shape} does not match the geometry: a {geometry.ndim}-D geometry needs a "
            f"{geometry.ndim}-D grid"
        )
    vectors = geometry.vectors
    if geometry.divergent:
        _check_in_front(vectors, grid)


def _check_in_front(vectors: Tensor, grid: Grid) -> None:
    """Interpolated volumes reach half a voxel beyond their grid; no source may be there."""
    source, towards = vectors[:, 0], vectors[:, 1] - vectors[:, 0]
    if not is_curved(vectors):
        normal = vectors[:, 2].cross(vectors[:, 3], dim=1)
        towards = normal * (towards * normal).sum(1, keepdim=True).sign()
    towards = towards / towards.norm(dim=1, keepdim=True)
    for margin, half_voxel in ((0, ""), (1, ", with the half voxel by which interpolation widens it,")):
        corners = Grid([n + margin for n in grid.shape], grid.spacing, grid.center).corners()
        depth = ((corners[None] - source[:, None]) * towards[:, None]).sum(2)  # [views, corners]
        nearest = depth.amin(1)
        if bool((nearest <= 0).any()):
            view = int(nearest.argmin())
            corner, at = corners[int(depth[view].argmin())], source[view]
            raise InputError(
                f"grid reaches behind the source: in view {view} its corner {_text(corner)} mm{half_voxel} lies "
                f"{-float(nearest[view]):g} mm behind the source at {_text(at)} mm; expected all of it in front"
            )


def _text(position: Tensor) -> str:
    return str([round(c, 6) for c in position.tolist()])
