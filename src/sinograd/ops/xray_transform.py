"""`XRayTransform`: line integrals of a volume along the rays of a geometry (Joseph's method)."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from sinograd.ops.derivatives import Function
from sinograd.ops.dispatch import Call
from sinograd.ops.geometry_operator import GeometryOperator
from sinograd.ops.joseph import joseph, joseph_adjoint
from sinograd.ops.vector_gradients import MovingOperator, joseph_gradient


class XRayTransform(GeometryOperator):
    """The x-ray transform of a volume on a grid: attenuation [1/mm] to line integrals [1], by Joseph's method.

    P. M. Joseph, IEEE Transactions on Medical Imaging 1(3), 1982. `A(x)` maps [..., Z, Y, X] to
    [..., views, rows, columns] (in 2-D [..., Y, X] to [..., views, columns]); `A.T` is the exact adjoint. Volumes are
    zero outside their grid and linear between voxel centres in the planes that a ray steps through. A call allocates
    its result and, in 3-D, one copy of the volume in the kernels' layout.

    Args:
        geometry: parallel, fan or cone beam.
        grid: the voxels, all of them in front of the source.

    Raises:
        ValueError: dimensions of geometry and grid differ, or the grid reaches the source.
    """

    def _pair(self) -> tuple[Function, Function]:
        beam = {"vectors": self.geometry.vectors, **self._beam()}
        detector, shape = self.geometry.detector.shape, self.grid.shape
        return partial(joseph, detector=detector, **beam), partial(joseph_adjoint, grid_shape=shape, **beam)

    def _moving(self) -> MovingOperator:
        g, grid, beam = self.geometry, self.grid, self._beam()

        def forward(x: Tensor, vectors: Tensor) -> Tensor:
            return joseph(x, vectors, detector=g.detector.shape, **beam)

        def adjoint(y: Tensor, vectors: Tensor) -> Tensor:
            return joseph_adjoint(y, vectors, grid_shape=grid.shape, **beam)

        call = Call(g.vectors, g.divergent, g.detector.shape, grid.shape, grid.spacing, grid.center)
        return MovingOperator(forward, adjoint, partial(joseph_gradient, call=call), from_volume=True)

    def _beam(self) -> dict[str, Any]:
        grid = self.grid
        return {"divergent": self.geometry.divergent, "spacing": grid.spacing, "center": grid.center}
