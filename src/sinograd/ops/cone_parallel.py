"""Backprojection of cone-parallel views with weights that add up to one in every voxel and direction.

Weighted filtered backprojection (K. Stierstorfer, A. Rauscher, J. Boese, H. Bruder, S. Schaller, T. Flohr, "Weighted
FBP: a simple approximate 3D FBP algorithm for multislice spiral CT with good dose usage for arbitrary pitch", Physics
in Medicine and Biology 49(11), 2004): views whose directions differ by half turns see a voxel on the same lines in the
plane; of those that see it at all, the mean is taken, weighted by the row on which it falls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry import Grid
from sinograd.ops.arguments import check_target
from sinograd.ops.cone_parallel_reference import add_adjoint_reference, add_reference
from sinograd.ops.dispatch import kernel, runs_on_gpu


@dataclass(frozen=True, eq=False)
class ConeParallelViews:
    """Views of several half turns, in any order; view j of each has the same direction up to half turns.

    Attributes:
        directions: float64 [half turns, views], rad; NaN: that view does not exist.
        rays: float64 [half turns, views, distances, 4]: distance from the source to the point nearest to the axis, mm;
            rows of the detector per unit of slope, positive; height of the source, mm; row at its height.
        window: float64 [rows], weights of rows, zero beyond.
        nearest, spacing: smallest distance from the axis, and from one to the next, mm.
    """

    directions: Tensor
    rays: Tensor
    window: Tensor
    nearest: float
    spacing: float

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(half turns, views, rows, distances) of the projections."""
        turns, views, distances, _ = self.rays.shape
        return turns, views, len(self.window), distances

    def add(self, volume: Tensor, projections: Tensor, grid: Grid) -> None:
        """Adds the sum over directions of the weighted means of projections [*shape] to a volume [z, y, x]."""
        if runs_on_gpu(volume):
            add_reference(volume, projections, self, grid)
        else:
            self._call("cone_parallel_backproject", projections, volume, grid)

    def add_adjoint(self, projections: Tensor, volume: Tensor, grid: Grid) -> None:
        """Adds the transpose of `add`, applied to a volume, to the projections."""
        if runs_on_gpu(volume):
            add_adjoint_reference(projections, volume, self, grid)
        else:
            self._call("cone_parallel_backproject_adjoint", volume, projections, grid)

    def _call(self, name: str, source: Tensor, target: Tensor, grid: Grid) -> None:
        check_target("target", target, "source", source)
        kernel(name)(
            source.detach().contiguous(),
            target.detach(),
            torch.stack([self.directions.cos(), self.directions.sin()], dim=-1).contiguous(),
            self.rays.contiguous(),
            self.window.contiguous(),
            self.shape,
            (self.nearest, self.spacing),
            grid.shape,
            grid.spacing,
            (*reversed(grid.center),),
        )
