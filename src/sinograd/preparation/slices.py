"""The reconstruction that corrections look at: FDK or filtered backprojection."""

from __future__ import annotations

from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import ConeBeam, Geometry, Grid
from sinograd.recon import fbp, fdk


def reconstructed(projections: Tensor, geometry: Geometry, grid: Grid, *, window: str = "hann") -> Tensor:
    """Volume or slice [(z,) y, x] of line integrals; differentiable."""
    check_scan(projections, geometry)
    return (fdk if isinstance(geometry, ConeBeam) else fbp)(projections, geometry, grid, window=window)  # pyright: ignore[reportArgumentType]


def check_scan(projections: object, geometry: Geometry) -> None:
    """InputTypeError or InputError for projections that are none of the geometry's."""
    if not isinstance(projections, Tensor) or not projections.is_floating_point():
        found = projections.dtype if isinstance(projections, Tensor) else type(projections).__name__
        raise InputTypeError(f"line_integrals must be a tensor of floating-point numbers, got {found}")
    if tuple(projections.shape) != geometry.projection_shape:
        raise InputError(
            f"line_integrals: expected {list(geometry.projection_shape)} of the geometry, got {list(projections.shape)}"
        )
