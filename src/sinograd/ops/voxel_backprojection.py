"""`Backprojection`: the voxel-driven backprojector of filtered backprojection, by itself."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sinograd.geometry import Geometry, Grid
from sinograd.ops.backprojection import backproject, backproject_adjoint, backprojection_pair
from sinograd.ops.derivatives import Function
from sinograd.ops.dispatch import Call, check_weighting
from sinograd.ops.geometry_operator import GeometryOperator
from sinograd.ops.vector_gradients import MovingOperator, backprojection_gradient


class Backprojection(GeometryOperator):
    """Sums every view at the image of every voxel's centre (bilinear interpolation).

    `B(p)` maps [..., views, rows, columns] to [..., Z, Y, X] (in 2-D [..., views, columns] to [..., Y, X]); `B.T` is
    the exact adjoint. It is not the adjoint of `XRayTransform`. A call allocates its result and a block of views.

    Args:
        geometry: parallel, fan or cone beam.
        grid: the voxels, all of them in front of the source.
        weighting: "none"; "fdk", the squared ratio of the isocentre's to the voxel's depth along the detector's
            normal (flat detectors; FDK and fan-beam filtered backprojection); "fan", the squared ratio of the
            distances from the source to the axis and to the voxel in the plane of the orbit (equiangular detectors;
            on a curved detector "fdk" means this, too); "ratio", what "fdk" squares.

    Raises:
        ValueError: dimensions of geometry and grid differ, the grid reaches the source, or the weighting is unknown
            or not defined for the geometry.
    """

    _domain_is_volume = False

    def __init__(self, geometry: Geometry, grid: Grid, weighting: str = "none") -> None:
        super().__init__(geometry, grid)
        check_weighting(weighting, geometry.divergent)
        self.weighting = weighting

    def _pair(self) -> tuple[Function, Function]:
        g = self.geometry
        return backprojection_pair(g.vectors, g.divergent, g.detector.shape, self.grid, self.weighting)

    def _moving(self) -> MovingOperator:
        g, grid, weighting = self.geometry, self.grid, self.weighting
        scan = {"divergent": g.divergent, "spacing": grid.spacing, "center": grid.center, "weighting": weighting}

        def forward(x: Tensor, vectors: Tensor) -> Tensor:
            return backproject(x, vectors, grid_shape=grid.shape, **scan)

        def adjoint(y: Tensor, vectors: Tensor) -> Tensor:
            return backproject_adjoint(y, vectors, detector=g.detector.shape, **scan)

        call = Call(g.vectors, g.divergent, g.detector.shape, grid.shape, grid.spacing, grid.center, weighting)
        return MovingOperator(forward, adjoint, partial(backprojection_gradient, call=call), from_volume=False)

    def extra_repr(self) -> str:
        """Geometry, grid and weighting, for printing."""
        return f"{super().extra_repr()}, weighting={self.weighting!r}"
