"""`GeometryOperator`: the base of operators between the volumes of a grid and the projections of a geometry."""

from __future__ import annotations

import copy
from typing import Self

from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.view_indices import Index
from sinograd.ops.arguments import check_pair, check_projections, check_volume
from sinograd.ops.derivatives import Function, linear_op
from sinograd.ops.linear_operator import LinearOperator
from sinograd.ops.vector_gradients import MovingOperator


class GeometryOperator(LinearOperator):
    """Base of the operators of a geometry and a grid.

    A subclass gives the pair of functions `_pair` and says which side is the volume's, and `_moving` where it has
    gradients to the vectors of the geometry.

    Raises:
        TypeError: no geometry or no grid.
        ValueError: their dimensions differ, or the grid reaches the source.
    """

    _domain_is_volume = True

    def __init__(self, geometry: Geometry, grid: Grid) -> None:
        check_pair(geometry, grid)
        super().__init__(*self._sides(grid.shape, geometry.projection_shape))
        self.geometry = geometry
        self.grid = grid

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what the operator takes, without batch dimensions."""
        return self._sides(self.grid.shape, self.geometry.projection_shape)[0]

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what the operator gives, without batch dimensions."""
        return self._sides(self.grid.shape, self.geometry.projection_shape)[1]

    @property
    def volume_grids(self) -> tuple[Grid | None, Grid | None]:
        """The grid, on the side of the volume."""
        return (self.grid, None) if self._domain_is_volume else (None, self.grid)

    def subset(self, views: Index) -> Self:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        part = copy.copy(self)
        part.geometry = self.geometry[views]
        return part

    def _apply_operator(self, x: Tensor) -> Tensor:
        moving = self.geometry.followed_vectors
        return linear_op(x, *self._pair()) if moving is None else self._moving()(x, moving)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        moving = self.geometry.followed_vectors
        return linear_op(y, *reversed(self._pair())) if moving is None else self._moving().T(y, moving)

    def _pair(self) -> tuple[Function, Function]:
        """The operator and its adjoint, each with all else than the tensor."""
        raise UnsupportedError(f"{type(self).__name__} gives no operator")

    def _moving(self) -> MovingOperator:
        """The operator as a function of the vectors, too."""
        raise UnsupportedError(f"{type(self).__name__} has no gradients to geometry")

    def _check_domain(self, x: Tensor) -> None:
        self._check(x, self._domain_is_volume)

    def _check_range(self, y: Tensor) -> None:
        self._check(y, not self._domain_is_volume)

    def _check(self, tensor: Tensor, volume: bool) -> None:
        if volume:
            check_volume(tensor, self.grid)
        else:
            check_projections(tensor, self.geometry)

    def _sides(self, volume: tuple[int, ...], projections: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (volume, projections) if self._domain_is_volume else (projections, volume)

    def extra_repr(self) -> str:
        """Geometry and grid, for printing."""
        return f"{self.geometry!r}, {self.grid!r}"
