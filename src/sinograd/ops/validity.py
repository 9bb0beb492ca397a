"""Whether a geometry and a grid make an operator: the same dimension, all voxels in front of the source."""

from __future__ import annotations

from sinograd.geometry import Geometry, Grid


def check_pair(geometry: Geometry, grid: Grid) -> None:
    """Raises where no operator is defined between the geometry's projections and the grid's volumes."""
    if not isinstance(geometry, Geometry):
        raise TypeError(f"geometry: expected a ParallelBeam, FanBeam or ConeBeam, got {type(geometry).__name__}")
    if not isinstance(grid, Grid):
        raise TypeError(f"grid: expected a Grid, got {type(grid).__name__}")
    if geometry.ndim != grid.ndim:
        raise ValueError(
            f"grid.shape {grid.shape} does not match the geometry: a {geometry.ndim}-D geometry needs a "
            f"{geometry.ndim}-D grid"
        )
    if geometry.divergent:
        _check_in_front(geometry, grid)


def _check_in_front(geometry: Geometry, grid: Grid) -> None:
    vectors = geometry.vectors
    source, towards = vectors[:, 0], vectors[:, 1] - vectors[:, 0]
    if vectors.shape[1] == 4:
        normal = vectors[:, 2].cross(vectors[:, 3], dim=1)
        towards = normal * (towards * normal).sum(1, keepdim=True).sign()
    towards = towards / towards.norm(dim=1, keepdim=True)
    depth = ((grid.corners()[None] - source[:, None]) * towards[:, None]).sum(2)  # [views, corners]
    nearest = depth.amin(1)
    if bool((nearest <= 0).any()):
        view = int(nearest.argmin())
        corner = [round(c, 6) for c in grid.corners()[int(depth[view].argmin())].tolist()]
        raise ValueError(
            f"grid reaches behind the source: in view {view} its corner {corner} mm lies {-float(nearest[view]):g} mm "
            f"behind the source at {[round(c, 6) for c in source[view].tolist()]} mm; expected all of it in front"
        )
