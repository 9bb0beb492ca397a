"""A Gaussian blob: voxels and exact line integrals, to hold projectors against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry import Geometry, Grid
from sinograd.geometry.vectors import SOURCE, detector_points, index_offsets


@dataclass(frozen=True)
class Blob:
    """exp(-|r - center|^2 / (2 width^2)).

    Attributes:
        center: world position (x, y, z), mm; z is 0 in 2-D.
        width: standard deviation, mm.
        ndim: 2 or 3.
    """

    center: Tensor
    width: float
    ndim: int

    @classmethod
    def within(cls, grid: Grid) -> Blob:
        """A blob off the middle of a grid, a tenth of its smallest side wide, so that all of it lies inside."""
        sides = [*reversed(grid.size)]
        shift = [part * side for part, side in zip((0.12, -0.08, 0.05), sides, strict=False)]
        center = [c + s for c, s in zip(grid.center, shift, strict=True)]
        return cls(torch.tensor([*center, *[0.0] * (3 - grid.ndim)], dtype=torch.float64), min(sides) / 10, grid.ndim)

    def voxels(self, grid: Grid) -> Tensor:
        """Its values at the voxels' centres, float64 of the grid's shape."""
        lines = [
            torch.exp(-((axis - c) ** 2) / (2 * self.width**2))
            for axis, c in zip(grid.axes(), reversed(self.center[: grid.ndim].tolist()), strict=True)
        ]
        volume = lines[0]
        for line in lines[1:]:
            volume = volume[..., None] * line
        return volume

    def sensitivities(self, geometry: Geometry, view: int) -> dict[str, Tensor]:
        """Exact line integrals of one view and their derivatives, each [rows, columns] (or [columns]) float64.

        "scale": the line integrals themselves; "x", "y", "z": by a move of the blob, a mm; "column": by a move of the
        detector, an element along +u; "width": by a widening that keeps the blob's mass, relative.
        """
        away, line = self._lines(geometry, view, 0.0)
        found = {"scale": line}
        for axis, name in enumerate("xyz"[: self.ndim]):
            found[name] = line * away[..., axis] / self.width**2
        found["column"] = self._lines(geometry, view, 0.5)[1] - self._lines(geometry, view, -0.5)[1]
        found["width"] = line * (away.square().sum(-1) / self.width**2 - (self.ndim - 1))
        return found

    def _lines(self, geometry: Geometry, view: int, columns: float) -> tuple[Tensor, Tensor]:
        """From the blob's centre to each ray, [..., 3], and line integrals, of a detector moved by `columns`."""
        vectors = geometry.vectors[view : view + 1]
        points = detector_points(vectors, index_offsets(geometry.rows), index_offsets(geometry.columns) + columns)[0]
        points = points[0] if geometry.ndim == 2 else points
        first = vectors[0, SOURCE]
        origin, direction = (first, points - first) if geometry.divergent else (points, first.expand_as(points))
        direction = direction / direction.norm(dim=-1, keepdim=True)
        away = origin - self.center
        away = away - (away * direction).sum(-1, keepdim=True) * direction
        line = self.width * math.sqrt(2 * math.pi) * torch.exp(-away.square().sum(-1) / (2 * self.width**2))
        return away, line
