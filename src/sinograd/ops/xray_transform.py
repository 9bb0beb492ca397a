"""`XRayTransform`: line integrals of a volume along the rays of a geometry (Joseph's method)."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sinograd.ops.derivatives import Function, linear_op
from sinograd.ops.geometry_operator import GeometryOperator
from sinograd.ops.joseph import joseph, joseph_adjoint


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

    def _apply_operator(self, x: Tensor) -> Tensor:
        return linear_op(x, *self._pair())

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return linear_op(y, *reversed(self._pair()))

    def _pair(self) -> tuple[Function, Function]:
        g, grid = self.geometry, self.grid
        beam = {"vectors": g.vectors, "divergent": g.divergent, "spacing": grid.spacing, "center": grid.center}
        return partial(joseph, detector=g.detector.shape, **beam), partial(
            joseph_adjoint, grid_shape=grid.shape, **beam
        )
