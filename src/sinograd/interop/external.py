"""`ExternalTransform`: another toolkit's projector behind the operators' protocol; and readers of its description."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError, MissingPackageError
from sinograd.geometry import Geometry, Grid
from sinograd.ops import FunctionOperator
from sinograd.ops.arguments import check_pair, check_projections, check_volume


class ExternalTransform(FunctionOperator):
    """What `AstraTransform`, `PyronnTransform` and `TigreTransform` share.

    `A(x)` maps [..., *grid.shape] to [..., *geometry.projection_shape], `A.T(y)` back, both float32; leading dimensions
    are looped over, results come back on the argument's device. A gradient is the toolkit's own backprojection: where
    that is not the adjoint, it is as approximate. Iterative algorithms measure the pair and warn.

    Args:
        geometry, grid: what the toolkit projects.
        project: takes one volume, gives one set of projections, on any device.
        backproject: the other way round.
    """

    toolkit: ClassVar[str]

    def __init__(
        self,
        geometry: Geometry,
        grid: Grid,
        project: Callable[[Tensor], Tensor],
        backproject: Callable[[Tensor], Tensor],
    ) -> None:
        check_pair(geometry, grid)
        super().__init__(project, backproject, grid.shape, geometry.projection_shape, opaque=True)
        self.geometry, self.grid = geometry, grid

    def _check_domain(self, x: Tensor) -> None:
        check_volume(x, self.grid)
        self._check_float32(x)

    def _check_range(self, y: Tensor) -> None:
        check_projections(y, self.geometry)
        self._check_float32(y)

    def _check_float32(self, x: Tensor) -> None:
        if x.dtype != torch.float32:
            got = str(x.dtype).removeprefix("torch.")
            raise InputTypeError(f"{type(self).__name__}: {self.toolkit} computes in float32, got {got}; use x.float()")

    def extra_repr(self) -> str:
        """Geometry and grid, for printing."""
        return f"{self.geometry!r}, {self.grid!r}"


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


def entry(description: Mapping[str, Any], key: str, what: str) -> Any:
    """An entry of another toolkit's description; ValueError where it is missing."""
    if not isinstance(description, Mapping):
        raise InputTypeError(f"{what} must be a mapping, got {type(description).__name__}")
    if key not in description:
        raise InputError(f"{what} lacks {key}; it has {', '.join(map(str, description)) or 'nothing'}")
    return description[key]
