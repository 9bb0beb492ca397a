"""Sums of ellipsoids: objects whose line integrals are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.geometry.checks import floats, is_sequence, number
from sinograd.phantoms.projection import project_ellipsoids
from sinograd.phantoms.voxels import voxelize_ellipsoids

Numbers = float | Sequence[float] | Sequence[Sequence[float]] | Tensor


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Ellipsoids:
    """A sum of n solid ellipsoids: where they overlap, their values add.

    A point p lies in ellipsoid i when |(rotation_i^T (p - center_i)) / semi_axes_i| <= 1. Positions and
    lengths are mm in world coordinates (x, y, z), values are 1/mm. Two-dimensional grids and geometries see
    the cut through the plane z = 0, so an ellipse is an ellipsoid centred on that plane.

    Args:
        value: attenuation that each ellipsoid adds, 1/mm; a number or [n].
        semi_axes: half lengths of the principal axes, mm; a number (balls), (3,) or [n, 3].
        center: centres, mm; (3,) or [n, 3].
        rotation: turns the principal axes from x, y, z into place: angles about z in radians,
            counter-clockwise seen from +z (a number or [n]), or rotation matrices ([3, 3] or [n, 3, 3])
            whose columns are the axes.

    Raises:
        ValueError: for shapes that do not fit, semi-axes that are not positive, numbers that are not
            finite, or matrices that are not rotations.
    """

    value: Tensor  # [n]
    semi_axes: Tensor  # [n, 3]
    center: Tensor  # [n, 3]
    rotation: Tensor  # [n, 3, 3]

    def __init__(
        self,
        value: Numbers,
        semi_axes: Numbers,
        center: Numbers = (0.0, 0.0, 0.0),
        rotation: Numbers | None = None,
    ) -> None:
        values = _numbers("value", value)
        axes = _numbers("semi_axes", semi_axes)
        axes = axes.expand(3) if axes.ndim == 0 else axes
        centers = _numbers("center", center)
        rotations = _rotations(rotation)
        count = _count(value=(values, 0), semi_axes=(axes, 1), center=(centers, 1), rotation=(rotations, 2))
        if not bool((axes > 0).all()):
            raise InputError(f"semi_axes must be positive, got {axes.min().item():g}")
        object.__setattr__(self, "value", values.expand(count).clone())
        object.__setattr__(self, "semi_axes", axes.expand(count, 3).clone())
        object.__setattr__(self, "center", centers.expand(count, 3).clone())
        object.__setattr__(self, "rotation", rotations.expand(count, 3, 3).clone())

    def __len__(self) -> int:
        return self.value.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Ellipsoids:
        """The chosen ellipsoids (one of them for an integer)."""
        chosen = [index] if isinstance(index, int) else index
        return Ellipsoids(self.value[chosen], self.semi_axes[chosen], self.center[chosen], self.rotation[chosen])

    def __add__(self, other: Ellipsoids) -> Ellipsoids:
        """Both objects together; values add where they overlap."""
        if not isinstance(other, Ellipsoids):
            return NotImplemented
        return Ellipsoids(
            torch.cat([self.value, other.value]),
            torch.cat([self.semi_axes, other.semi_axes]),
            torch.cat([self.center, other.center]),
            torch.cat([self.rotation, other.rotation]),
        )

    def __repr__(self) -> str:
        values = f", values {self.value.min():g} to {self.value.max():g}" if len(self) else ""
        return f"<Ellipsoids: {len(self)}{values}>"

    def translated(self, offset: Sequence[float] | Tensor) -> Ellipsoids:
        """The object moved by `offset` (x, y, z) mm."""
        shift = _numbers("offset", offset)
        if shift.shape != (3,):
            raise InputError(f"offset must be (x, y, z), got shape {tuple(shift.shape)}")
        return Ellipsoids(self.value, self.semi_axes, self.center + shift, self.rotation)

    def scaled(self, factor: float, *, keep_line_integrals: bool = False) -> Ellipsoids:
        """The object made `factor` times larger about the origin.

        With `keep_line_integrals` the values are divided by `factor`, so that attenuation x length, and
        with it every measured line integral, stays what it was.
        """
        if not 0 < factor < float("inf"):
            raise InputError(f"factor must be positive and finite, got {factor}")
        value = self.value / factor if keep_line_integrals else self.value
        return Ellipsoids(value, self.semi_axes * factor, self.center * factor, self.rotation)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lower and upper corner (x, y, z) in mm of the smallest box around each ellipsoid: two [n, 3]."""
        half = torch.linalg.vector_norm(self.rotation * self.semi_axes[:, None, :], dim=-1)
        return self.center - half, self.center + half

    def project(
        self,
        geometry: Geometry,
        *,
        dtype: torch.dtype = torch.float32,
        views_per_block: int | None = None,
    ) -> Tensor:
        """Exact line integrals over whole lines (no detector pixel area, no noise), computed in float64.

        Args:
            geometry: any scan; two-dimensional ones see the plane z = 0.
            dtype: of the result.
            views_per_block: how many views are worked on at once; by default as many as need about 100 MB.

        Returns:
            [views, rows, columns], or [views, columns] for a two-dimensional geometry; no unit.

        Raises:
            ValueError: when an ellipsoid reaches the source or behind it, where a cone beam sees nothing.
        """
        _check_floating(dtype)
        values = project_ellipsoids(
            self.value, self.semi_axes, self.center, self.rotation, geometry, dtype, views_per_block
        )
        return values.reshape(geometry.projection_shape)

    def voxelize(self, grid: Grid, *, supersampling: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
        """Mean value of each voxel over supersampling^ndim evenly spread points.

        Returns:
            [Z, Y, X], or [Y, X] for a two-dimensional grid (the plane z = 0); 1/mm.
        """
        _check_floating(dtype)
        values = voxelize_ellipsoids(self.value, self.semi_axes, self.center, self.rotation, grid, supersampling, dtype)
        return values.reshape(grid.shape)


def _numbers(name: str, value: Numbers) -> Tensor:
    if not is_sequence(value):
        value = number(value.detach() if isinstance(value, Tensor) else value, name)
    numbers = torch.as_tensor(floats(value, name), dtype=torch.float64, device="cpu").detach()
    if not bool(torch.isfinite(numbers).all()):
        raise InputError(f"{name} must be finite, got {value}")
    return numbers


def _check_floating(dtype: torch.dtype) -> None:
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputTypeError(f"dtype must be a floating-point type, got {dtype}")


def _rotations(rotation: Numbers | None) -> Tensor:
    """[..., 3, 3] from angles about z, matrices or nothing."""
    if rotation is None:
        return torch.eye(3, dtype=torch.float64, device="cpu")
    turn = _numbers("rotation", rotation)
    if turn.ndim < 2:
        zero, one = torch.zeros_like(turn), torch.ones_like(turn)
        rows = [turn.cos(), -turn.sin(), zero, turn.sin(), turn.cos(), zero, zero, zero, one]
        return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    if turn.shape[-2:] != (3, 3):
        raise InputError(f"rotation must be angles [n] or matrices [n, 3, 3], got shape {tuple(turn.shape)}")
    error = (turn @ turn.mT - torch.eye(3, dtype=torch.float64, device="cpu")).abs()
    if turn.numel() and (error.max() > 1e-9 or torch.linalg.det(turn).min() < 0):
        raise InputError("rotation must hold orthonormal right-handed matrices (R R^T = 1, det R = 1)")
    return turn


def _count(**parts: tuple[Tensor, int]) -> int:
    """The one number of ellipsoids that every part has, or 1 if each is given once for all."""
    counts: dict[str, int] = {}
    for name, (tensor, item_ndim) in parts.items():
        item_shape = (3,) * item_ndim
        if tensor.shape != item_shape and tensor.shape[1:] != item_shape:
            expected = ("a number or [n]", "(3,) or [n, 3]", "[3, 3] or [n, 3, 3]")[item_ndim]
            raise InputError(f"{name} must have shape {expected}, got {tuple(tensor.shape)}")
        if tensor.ndim > item_ndim:
            counts[name] = tensor.shape[0]
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"the numbers of ellipsoids differ: {found}")
    return next(iter(counts.values()), 1)
