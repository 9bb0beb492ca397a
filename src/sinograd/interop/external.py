"""`ExternalTransform`: another toolkit's projector behind the operators' protocol."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from sinograd.errors import InputTypeError, MissingPackageError
from sinograd.geometry import Geometry, Grid
from sinograd.ops.arguments import check_shape
from sinograd.ops.validity import check_pair

Function = Callable[[Tensor], Tensor]


class ExternalTransform:
    """What `AstraTransform`, `PyronnTransform` and `TigreTransform` share.

    `A(x)` maps [..., *grid.shape] to [..., *geometry.projection_shape], `A.T(y)` back, both float32; leading dimensions
    are looped over, results come back on the argument's device. A gradient is the toolkit's own backprojection: where
    that is not the adjoint, it is as approximate. These are no `LinearOperator`s, so iterative algorithms measure the
    pair and warn.
    """

    toolkit: ClassVar[str]

    def __init__(self, geometry: Geometry, grid: Grid) -> None:
        check_pair(geometry, grid)
        self.geometry, self.grid = geometry, grid

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what `A` takes, without batch dimensions."""
        return self.grid.shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what `A` gives, without batch dimensions."""
        return self.geometry.projection_shape

    @property
    def T(self) -> ExternalAdjoint:
        """The toolkit's backprojection."""
        return ExternalAdjoint(self)

    def subset(self, views: Any) -> ExternalTransform:
        """The same operator for some of the views, chosen as in `geometry[views]`."""
        return type(self)(self.geometry[views], self.grid)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape]."""
        check_shape("volume", x, "grid.shape", self.domain_shape, "zyx"[-self.grid.ndim :])
        return self._run(x, self._project, self._backproject, self.domain_shape, self.range_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        """[..., *range_shape] -> [..., *domain_shape]: the toolkit's backprojection."""
        axes = ("views", "rows", "columns") if self.geometry.ndim == 3 else ("views", "columns")
        check_shape("projections", y, "geometry.projection_shape", self.range_shape, axes)
        return self._run(y, self._backproject, self._project, self.range_shape, self.domain_shape)

    def _project(self, volume: Tensor) -> Tensor:
        """One volume, without gradient."""
        raise NotImplementedError

    def _backproject(self, projections: Tensor) -> Tensor:
        """One set of projections, without gradient."""
        raise NotImplementedError

    def _run(
        self, x: Tensor, function: Function, back: Function, shape: tuple[int, ...], result: tuple[int, ...]
    ) -> Tensor:
        if x.dtype != torch.float32:
            got = str(x.dtype).removeprefix("torch.")
            raise InputTypeError(f"{type(self).__name__}: {self.toolkit} computes in float32, got {got}; use x.float()")
        return _Call.apply(x, _batched(function, shape, result), _batched(back, result, shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.geometry!r}, {self.grid!r})"


class ExternalAdjoint:
    """The backprojection of an `ExternalTransform`."""

    def __init__(self, operator: ExternalTransform) -> None:
        self.operator = operator

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what it takes, without batch dimensions."""
        return self.operator.range_shape

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what it gives, without batch dimensions."""
        return self.operator.domain_shape

    @property
    def T(self) -> ExternalTransform:
        """The projector."""
        return self.operator

    def __call__(self, y: Tensor) -> Tensor:
        """[..., *domain_shape] -> [..., *range_shape]."""
        return self.operator.adjoint(y)

    def adjoint(self, x: Tensor) -> Tensor:
        """[..., *range_shape] -> [..., *domain_shape]."""
        return self.operator(x)

    def __repr__(self) -> str:
        return f"{self.operator!r}.T"


def installed(package: str, user: str, remedy: str) -> Any:
    """The package; ImportError with the remedy where it is not installed."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise MissingPackageError(
            f"{user} needs the package {error.name}, which is not installed ({remedy})"
        ) from error


class _Call(torch.autograd.Function):
    """A function whose gradient is another one, and the other way round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Function, back: Function) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.pair = back, function
        return function(x.detach())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Call.apply(gradient, *ctx.pair), None, None


def _batched(function: Function, shape: tuple[int, ...], result_shape: tuple[int, ...]) -> Function:
    def run(x: Tensor) -> Tensor:
        batch = x.shape[: x.ndim - len(shape)]
        result = x.new_empty((*batch, *result_shape))
        for index in itertools.product(*map(range, batch)):
            result[index] = function(x[index])
        return result

    return run
