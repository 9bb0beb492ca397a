"""Where the voxels are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.config.shown import shown
from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry.formatting import call_text, collapse, only_keys


@dataclass(frozen=True, init=False, repr=False)
class Grid:
    """A box of voxels (3-D) or pixels (2-D), aligned with the world axes.

    Args:
        shape: counts in array order, (z, y, x) or (y, x).
        spacing: mm per element, one number or one for each axis in array order.
        center: world position of the middle of the box in mm, (x, y, z) or (x, y); by default the isocentre.

    Index increases with +x, +y and +z; element i of n lies at (i - (n - 1) / 2) * spacing + center.
    Outside the box the volume is zero.

    Raises:
        TypeError, ValueError: naming the argument, for counts below 1, spacing not positive, wrong lengths.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    center: tuple[float, ...]

    def __init__(
        self,
        shape: Sequence[int],
        spacing: float | Sequence[float] = 1.0,
        center: Sequence[float] | None = None,
    ) -> None:
        counts = checks.shape(shape, "Grid shape", "(z, y, x) or (y, x)", (2, 3))
        ndim = len(counts)
        names = ("x", "y", "z")[:ndim]
        if center is None:
            center = (0.0,) * ndim
        items = checks.entries(center, "Grid center", f"({', '.join(names)})")
        if len(items) != ndim:
            raise InputError(
                f"Grid center must be ({', '.join(names)}) for shape {counts}, got {len(items)}: {shown(items)}"
            )
        position = tuple(checks.number(c, f"Grid center {axis}") for c, axis in zip(items, names, strict=True))
        object.__setattr__(self, "shape", counts)
        object.__setattr__(self, "spacing", checks.spacing(spacing, "Grid spacing", ndim))
        object.__setattr__(self, "center", position)

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> tuple[float, ...]:
        """Extent in mm from outer edge to outer edge, array order."""
        return tuple(n * s for n, s in zip(self.shape, self.spacing, strict=True))

    def axes(self) -> tuple[Tensor, ...]:
        """World coordinates (mm) of the element centres along each axis: float64 [n], array order."""
        return tuple(
            (torch.arange(n, dtype=torch.float64, device="cpu") - (n - 1) / 2) * s + c
            for n, s, c in zip(self.shape, self.spacing, reversed(self.center), strict=True)
        )

    def corners(self) -> Tensor:
        """Outer corners (element edges) in world (x, y, z): float64 [2**ndim, 3]; z = 0 in 2-D."""
        sides = [(c - s / 2, c + s / 2) for s, c in zip(reversed(self.size), self.center, strict=True)]
        sides += [(0.0,)] * (3 - self.ndim)
        return torch.tensor(list(itertools.product(*sides)), dtype=torch.float64, device="cpu")

    def equals(self, other: object) -> bool:
        """Same shape, and spacing and center equal to 1e-12 of the size."""
        if not isinstance(other, Grid) or self.shape != other.shape:
            return False
        tolerance = 1e-12 * max(self.size + tuple(abs(c) for c in self.center))
        return all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(self.spacing, other.spacing, strict=True)) and all(
            math.isclose(a, b, abs_tol=tolerance) for a, b in zip(self.center, other.center, strict=True)
        )

    def scaled(self, factor: float) -> Grid:
        """The grid with every length times a positive factor, as of another size of the pixels."""
        factor = checks.positive(factor, "factor")
        spacing, center = (tuple(factor * value for value in values) for values in (self.spacing, self.center))
        return Grid(self.shape, spacing, center)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, as `from_dict` reads them."""
        return {
            "shape": list(self.shape),
            "spacing": _plain(collapse(self.spacing)),
            "center": list(self.center),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """The grid that `to_dict` described; unknown or missing keys raise ValueError."""
        only_keys(data, "grid", required=("shape",), optional=("spacing", "center"))
        return cls(**data)

    def __repr__(self) -> str:
        center = self.center if any(self.center) else None
        return call_text("Grid", {"shape": self.shape, "spacing": collapse(self.spacing), "center": center})


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value
