"""How to divide a volume and its projections so that the parts fit into memory.

`fewest_parts` is the rule of all who divide: operators in slabs on a device or on workers (`plan_slabs`), filtered
backprojection on a device (`recon.analytic.slabs`), and volumes that are written slab by slab, here, on workers or in
job arrays (`workflows.schedule`). What a part takes is theirs to say: an operator holds parts of volumes and
projections, filtered backprojection sums of views, and who writes also the part before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid, detector_region
from sinograd.ops.detector_rows import ROUNDING, rows_of_box

T = TypeVar("T")

FREE_SHARE = 0.8
"""Of a card's free memory, what may be used without being told."""
COPIES = 3
"""Of each part on the device: itself, the kernels' copy in their own layout, and the next part on its way."""
WHOLE_COPIES = 2
"""The same where there is one part only, so that no next one is on its way."""


@dataclass(frozen=True)
class Slab:
    """Slices first to last - 1 of a volume, and the detector rows that see them in each view.

    Attributes:
        first, last: slices.
        rows: [views, 2], the first row and the one after the last; equal where a view sees nothing of the slab.
    """

    first: int
    last: int
    rows: Tensor

    def grid(self, grid: Grid) -> Grid:
        """The slab as a grid of its own."""
        middle = (self.first + self.last - grid.shape[0]) / 2 * grid.spacing[0]
        x, y, z = grid.center
        return Grid((self.last - self.first, *grid.shape[1:]), grid.spacing, (x, y, z + middle))

    def span(self, views: slice) -> tuple[int, int] | None:
        """The rows that any of the views needs; None if none does."""
        rows = self.rows[views]
        rows = rows[rows[:, 0] < rows[:, 1]]
        return (int(rows[:, 0].min()), int(rows[:, 1].max())) if len(rows) else None


@dataclass(frozen=True)
class Piece:
    """What is computed at a time: a slab and some views, with a geometry of the rows they need."""

    views: slice
    rows: slice
    geometry: Geometry


@dataclass(frozen=True)
class SlabPlan:
    """The slabs, and how many views are computed at a time."""

    slabs: list[Slab]
    views: int

    def pieces(self, slab: Slab, geometry: Geometry) -> list[Piece]:
        """The parts of the projections that see a slab."""
        found = []
        for first in range(0, geometry.views, self.views):
            views = slice(first, min(first + self.views, geometry.views))
            span = slab.span(views)
            if span is not None:
                part = detector_region(geometry[views], rows=span)
                found.append(Piece(views, slice(*span), part))
        return found


def plan_slabs(geometry: Geometry, grid: Grid, memory: int, element: int, batch: int = 1) -> SlabPlan:
    """One slab and all views where that fits into `memory` bytes; else the thickest slabs whose parts fit, and with
    them the most views.

    Of slabs, half of the memory is for the volume, half for projections; each part counts `COPIES` times.

    Args:
        geometry, grid: 3-D.
        memory: bytes.
        element: bytes of a number.
        batch: how many volumes are computed at once.

    Raises:
        ValueError: one slice and one view do not fit.
    """
    slice_size = grid.shape[1] * grid.shape[2]
    everything = grid.shape[0] * slice_size + geometry.views * geometry.rows * geometry.columns
    if WHOLE_COPIES * everything * element * batch <= memory:
        whole = needed_rows_of_slab(geometry, grid, 0, grid.shape[0])
        return SlabPlan([Slab(0, grid.shape[0], whole)], geometry.views)
    half = memory / 2 / COPIES / element / batch
    row_size = geometry.columns
    largest = max(slice_size, row_size * geometry.rows)
    if half < largest:
        raise InputError(
            f"memory: {memory:,} bytes are too few; a slice of {grid.shape[1]} x {grid.shape[2]} voxels and a view of "
            f"{geometry.rows} x {geometry.columns} elements take {largest * 2 * COPIES * element * batch:,} bytes, "
            "three times each"
        )
    cuts, _ = fewest_parts((0, grid.shape[0]), 1, int(half), lambda cut: (cut, (cut[1] - cut[0]) * slice_size))
    slabs = [Slab(first, last, needed_rows_of_slab(geometry, grid, first, last)) for first, last in cuts]
    most = max(int((slab.rows[:, 1] - slab.rows[:, 0]).max()) for slab in slabs)
    views = max(1, int(half // (max(1, most) * row_size)))
    return SlabPlan(slabs, min(views, geometry.views))


def fewest_parts(
    slices: tuple[int, int], unit: int, room: int, part: Callable[[tuple[int, int]], tuple[T, int]]
) -> tuple[list[T], int]:
    """The fewest parts of about equal thickness that fit, and the bytes of the largest.

    Args:
        slices: first and end of what is divided.
        unit: parts begin at so many slices after the first, or a multiple.
        room: bytes. Parts of one unit are returned even if they do not fit.
        part: of slices (first, end), with the bytes that it takes.
    """
    first, end = slices
    units, count = -(-(end - first) // unit), 1
    while True:
        edges = [min(end, first + unit * round(i * units / count)) for i in range(count + 1)]
        made = [part(edge) for edge in itertools.pairwise(edges)]
        largest = max((needed for _, needed in made), default=0)
        if largest <= room or count >= units:
            return [found for found, _ in made], largest
        count = min(units, max(count + 1, int(count * min(2.0, largest / max(room, 1)))))


def needed_rows_of_slab(geometry: Geometry, grid: Grid, first: int, last: int) -> Tensor:
    """[views, 2]: the first detector row, and the one after the last, that see slices first to last - 1.

    Interpolated volumes reach a voxel beyond their grid, so does the box whose image is taken; interpolated projections
    are read on both sides of it.
    """
    box = []
    ends = ((first, last), (0, grid.shape[1]), (0, grid.shape[2]))
    for axis, step, (begin, end) in zip(grid.axes(), grid.spacing, ends, strict=True):
        box.append((float(axis[begin]) - step, float(axis[end - 1]) + step))
    image = rows_of_box(geometry.vectors, geometry.divergent, (geometry.rows, geometry.columns), box)
    everywhere = image.isnan().any(1)
    begin = (image.amin(1) + ROUNDING).floor().clamp(0, geometry.rows)
    end = ((image.amax(1) - ROUNDING).ceil() + 1).clamp(0, geometry.rows)
    begin, end = begin.masked_fill(everywhere, 0.0), end.masked_fill(everywhere, float(geometry.rows))
    return torch.stack([begin, torch.maximum(begin, end)], 1).long()


def memory_of(device: torch.device, memory: int | None) -> int:
    """The bytes to plan with: those given, or a share of what is free on a card."""
    if memory is not None:
        if isinstance(memory, bool) or not isinstance(memory, int):
            raise InputTypeError(f"memory: expected a number of bytes, got {memory!r}")
        if memory <= 0:
            raise InputError(f"memory: expected a positive number of bytes, got {memory}")
        return memory
    if device.type != "cuda":
        raise InputError(f"memory: expected a number of bytes for the device {device}; only a card's is known")
    # what torch has kept from earlier calls is free, too
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(FREE_SHARE * (torch.cuda.mem_get_info(device)[0] + kept))
