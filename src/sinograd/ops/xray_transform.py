"""`XRayTransform`: line integrals of a volume along the rays of a geometry, or their means over pixels."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from sinograd.errors import InputError, UnsupportedError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.derivatives import Function
from sinograd.ops.dispatch import Call
from sinograd.ops.footprint import check_footprints, footprint, footprint_adjoint
from sinograd.ops.geometry_operator import GeometryOperator
from sinograd.ops.joseph import joseph, joseph_adjoint
from sinograd.ops.vector_gradients import MovingOperator, joseph_gradient

MODELS: dict[str, tuple[Any, Any]] = {"joseph": (joseph, joseph_adjoint), "footprint": (footprint, footprint_adjoint)}


class XRayTransform(GeometryOperator):
    """The x-ray transform of a volume on a grid: attenuation [1/mm] to line integrals [1].

    `A(x)` maps [..., Z, Y, X] to [..., views, rows, columns] (in 2-D [..., Y, X] to [..., views, columns]); `A.T` is
    the exact adjoint. Volumes are zero outside their grid. A call allocates its result and one copy of the volume in
    the kernels' layout (in 2-D of 64 million pixels at most).

    model="joseph" (P. M. Joseph, IEEE Transactions on Medical Imaging 1(3), 1982): the integral along the ray to each
    pixel's centre, of a volume that is linear between voxel centres in the planes that a ray steps through.
    model="footprint" (Long, Fessler, Balter, IEEE Transactions on Medical Imaging 29(11), 2010): the mean over all rays
    to the pixel, of voxels that are boxes. It costs more, and is better where pixels are wider than voxels; on the CPU,
    for detectors whose rows run parallel to z.

    Args:
        geometry: parallel, fan or cone beam.
        grid: the voxels, all of them in front of the source.
        model: "joseph" or "footprint".

    Raises:
        ValueError: dimensions of geometry and grid differ, the grid reaches the source, or an unknown model.
        UnsupportedError: footprints on a tilted detector, or of a geometry with gradients.
    """

    def __init__(self, geometry: Geometry, grid: Grid, model: str = "joseph") -> None:
        if model not in MODELS:
            raise InputError(f"model: expected one of {', '.join(MODELS)}, got {model!r}")
        super().__init__(geometry, grid)
        self.model = model
        if model == "footprint":
            check_footprints(geometry.vectors, geometry.divergent, geometry.detector.shape, grid.spacing)

    def _pair(self) -> tuple[Function, Function]:
        beam = {"vectors": self.geometry.vectors, **self._beam()}
        detector, shape = self.geometry.detector.shape, self.grid.shape
        forward, adjoint = MODELS[self.model]
        return partial(forward, detector=detector, **beam), partial(adjoint, grid_shape=shape, **beam)

    def _moving(self) -> MovingOperator:
        if self.model != "joseph":
            raise UnsupportedError(f"model: {self.model!r} has no gradients to geometry; 'joseph' has")
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

    def extra_repr(self) -> str:
        """Geometry, grid and another model than Joseph's, for printing."""
        return super().extra_repr() + (f", model={self.model!r}" if self.model != "joseph" else "")
