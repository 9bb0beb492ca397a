"""Backprojection of cone-parallel views by torch, on any device: what the kernel of the CPU is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.geometry import Grid

if TYPE_CHECKING:
    from sinograd.ops.cone_parallel import ConeParallelViews

# Sums of weights below this are taken for zero: what is left of the outermost row's interpolation.
SMALLEST_WEIGHT = 1e-5


def add_reference(volume: Tensor, projections: Tensor, views: ConeParallelViews, grid: Grid) -> None:
    """As `ConeParallelViews.add`, by torch, on any device."""
    places = _Places(views, grid, volume)
    for view in range(views.shape[1]):
        images = list(places.of_view(view))
        if not images:
            continue
        total = sum((image.window for image in images), torch.zeros_like(volume))
        values = sum((image.read(projections[image.turn, view]) for image in images), torch.zeros_like(volume))
        volume += torch.where(total > SMALLEST_WEIGHT, values / total, 0)


def add_adjoint_reference(projections: Tensor, volume: Tensor, views: ConeParallelViews, grid: Grid) -> None:
    """As `ConeParallelViews.add_adjoint`, by torch, on any device."""
    places = _Places(views, grid, volume)
    for view in range(views.shape[1]):
        images = list(places.of_view(view))
        if not images:
            continue
        total = sum((image.window for image in images), torch.zeros_like(volume))
        share = torch.where(total > SMALLEST_WEIGHT, volume / total, 0)
        for image in images:
            image.spread(share, projections[image.turn, view])


class _Places:
    """Where the voxels of a grid fall on views."""

    def __init__(self, views: ConeParallelViews, grid: Grid, like: Tensor) -> None:
        self.views, self.like = views, like
        z, y, x = (_positions(grid, axis).to(like.device) for axis in range(3))
        self.z, self.y, self.x = z[:, None, None], y[:, None], x
        self.window = torch.nn.functional.pad(views.window, (1, 1)).to(like)

    def of_view(self, view: int) -> Iterator[_Image]:
        """Those of view `view` of every half turn that sees any voxel."""
        for turn in range(self.views.shape[0]):
            direction = self.views.directions[turn, view]
            if not bool(direction.isnan()):
                image = _Image(self, turn, view, direction)
                if bool(image.inside.any()):
                    yield image


@dataclass(frozen=True, eq=False)
class _Image:
    """Where voxels fall on one view: lines between two columns, of rows from -1 to the number of rows."""

    places: _Places
    turn: int
    view: int
    direction: Tensor

    @cached_property
    def _column(self) -> Tensor:
        """[y, x]: distances from the axis, counted in columns."""
        p, cosine, sine = self.places, float(self.direction.cos()), float(self.direction.sin())
        return (p.x * cosine + p.y * sine - p.views.nearest) / p.views.spacing

    @cached_property
    def _left(self) -> Tensor:
        return self._column.floor().clamp(0, self.places.views.shape[3] - 2).long()

    @cached_property
    def _row(self) -> Tensor:
        """[z, y, x]: rows; beyond the outermost columns, -2."""
        p = self.places
        rays = p.views.rays[self.turn, self.view].to(p.like.device)
        share = (self._column - self._left)[..., None]
        source, rows, height, row = rays[self._left].lerp(rays[self._left + 1], share).unbind(-1)
        depth = p.y * float(self.direction.cos()) - p.x * float(self.direction.sin())
        outside = (self._column < 0) | (self._column > p.views.shape[3] - 1)
        return (row + (p.z - height) * (rows / (source + depth))).masked_fill(outside, -2.0)

    @cached_property
    def inside(self) -> Tensor:
        """[z, y, x]: whether a voxel falls on the detector, a row around it included."""
        return (self._row > -1) & (self._row < self.places.views.shape[2])

    @cached_property
    def _below(self) -> Tensor:
        return self._row.floor().clamp(-1, self.places.views.shape[2] - 1)

    @cached_property
    def window(self) -> Tensor:
        """[z, y, x]: the weight of the row on which a voxel falls."""
        low = self._below.long() + 1
        share = (self._row - self._below).to(self.places.like)
        window = self.places.window
        return (window[low] + share * (window[low + 1] - window[low])).masked_fill(~self.inside, 0)

    def _corners(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Flat indices into a view with a row of zeros before and after, and weights, of four neighbours."""
        up = (self._row - self._below).to(self.places.like).masked_fill(~self.inside, 0)
        right = (self._column - self._left).to(self.places.like)
        for row in (0, 1):
            of_row = up if row else (1 - up).masked_fill(~self.inside, 0)
            for column in (0, 1):
                index = (self._below.long() + 1 + row) * self.places.views.shape[3] + self._left + column
                yield index, of_row * (right if column else 1 - right)

    def _weighted(self, view: Tensor) -> Tensor:
        return torch.nn.functional.pad(view * self.places.window[1:-1, None], (0, 0, 1, 1))

    def read(self, view: Tensor) -> Tensor:
        """[z, y, x] of a view [rows, distances]: its values, weighted by row, where voxels fall."""
        flat = self._weighted(view).flatten()
        return sum((flat[index] * weight for index, weight in self._corners()), torch.zeros_like(self.places.like))

    def spread(self, values: Tensor, view: Tensor) -> None:
        """Adds the transpose of `read` to a view."""
        rows, columns = view.shape
        flat = view.new_zeros((rows + 2) * columns)
        for index, weight in self._corners():
            flat.index_add_(0, index.flatten(), (values * weight).flatten())
        view += flat.view(rows + 2, columns)[1:-1] * self.places.window[1:-1, None]


def _positions(grid: Grid, axis: int) -> Tensor:
    """Of the voxels along axis 0 (z), 1 (y) or 2 (x), mm."""
    count = grid.shape[axis]
    steps = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    return steps * grid.spacing[axis] + grid.center[2 - axis]
