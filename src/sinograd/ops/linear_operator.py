"""Linear operators between volumes and projections as modules: `A(x)`, and `A.T(y)`, the exact adjoint."""

from __future__ import annotations

import copy
from typing import Self

from torch import Tensor, nn

from sinograd.errors import UnsupportedError
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.base import Index
from sinograd.ops.arguments import autocast, check_shape
from sinograd.ops.validity import check_pair


class LinearOperator(nn.Module):
    """Base of the operators of a geometry and a grid.

    A subclass gives `_apply_operator` and `_apply_adjoint`, differentiable functions of tensors with any leading
    batch dimensions, and says which side is the volume's.
    """

    _domain_is_volume = True

    def __init__(self, geometry: Geometry, grid: Grid) -> None:
        super().__init__()
        check_pair(geometry, grid)
        self.geometry = geometry
        self.grid = grid

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what the operator takes, without batch dimensions."""
        return self.grid.shape if self._domain_is_volume else self.geometry.projection_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what the operator gives, without batch dimensions."""
        return self.geometry.projection_shape if self._domain_is_volume else self.grid.shape

    @property
    def T(self) -> Adjoint:
        """The adjoint operator; `A.T.T` is `A`."""
        return Adjoint(self)

    def subset(self, views: Index) -> Self:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        part = copy.copy(self)
        part.geometry = self.geometry[views]
        return part

    def forward(self, x: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape]; float32 or float64, differentiable to any order."""
        x = autocast(x)
        self._check(x, self._domain_is_volume)
        return self._apply_operator(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """[..., *range_shape] -> [..., *domain_shape]: the exact transpose of `forward`."""
        y = autocast(y)
        self._check(y, not self._domain_is_volume)
        return self._apply_adjoint(y)

    def _apply_operator(self, x: Tensor) -> Tensor:
        raise UnsupportedError(f"{type(self).__name__} gives no operator")

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        raise UnsupportedError(f"{type(self).__name__} gives no adjoint")

    def _check(self, tensor: Tensor, volume: bool) -> None:
        if volume:
            check_shape("volume", tensor, "grid.shape", self.grid.shape, "zyx"[-self.grid.ndim :])
        else:
            axes = ("views", "rows", "columns") if self.geometry.ndim == 3 else ("views", "columns")
            check_shape("projections", tensor, "geometry.projection_shape", self.geometry.projection_shape, axes)

    def extra_repr(self) -> str:
        """Geometry and grid, for printing."""
        return f"{self.geometry!r}, {self.grid!r}"


class Adjoint(nn.Module):
    """The adjoint of a `LinearOperator`."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__()
        self.operator = operator

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what the operator takes, without batch dimensions."""
        return self.operator.range_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what the operator gives, without batch dimensions."""
        return self.operator.domain_shape

    @property
    def T(self) -> LinearOperator:
        """The operator whose adjoint this is."""
        return self.operator

    def forward(self, y: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape]."""
        return self.operator.adjoint(y)

    def adjoint(self, x: Tensor) -> Tensor:
        """[..., *range_shape] -> [..., *domain_shape]."""
        return self.operator(x)
