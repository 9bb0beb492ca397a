"""How an iterative algorithm is cut so that it fits into a memory budget: volumes and projections lie in scratch files,
the operator works on slabs and blocks of views, and all else is done by blocks of slices or views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sinograd.workflows.memory_budget import TooFewBytes, size_text
from sinograd.workflows.schedule import FLOAT32, IN_SCRATCH, slabs_text

if TYPE_CHECKING:
    import torch

    from sinograd.geometry import Geometry, Grid
    from sinograd.ops.slab_plan import Slab

HELD_BLOCKS = 6
"""Blocks of stored tensors that are in memory at a time: what goes in, the result, and a copy on its way."""
KEPT_SHARE = 8
"""The operator's part of the memory of which allocators keep one from what was done before."""
LARGEST_BLOCK, SHARE = 16 << 20, 64
"""Bytes of a block at most, and the part of the budget that one is."""


@dataclass(frozen=True)
class StoredSchedule:
    """The parts of an operator, and the blocks of everything else.

    Attributes:
        parts: slabs of the operator.
        views: that it works on at a time.
        budget: bytes that may be used.
        needed: bytes that are.
        block: bytes of a block.
        operator: bytes that the operator may use; None: what a GPU has free.
        scratch: bytes on the disk beside prepared projections.
    """

    parts: tuple[Slab, ...]
    views: int
    budget: int
    needed: int
    block: int
    operator: int | None
    scratch: int

    source = IN_SCRATCH
    amplification = 1.0

    @property
    def slices(self) -> list[tuple[int, int]]:
        """First and end of every slab."""
        return [(slab.first, slab.last) for slab in self.parts]

    @property
    def text(self) -> str:
        """In words."""
        slabs = slabs_text(self.slices, "one slab")
        return (
            f"{slabs} and {self.views} views at a time, {size_text(self.needed)} of {size_text(self.budget)}; volumes "
            f"and projections in scratch files, {size_text(self.scratch)}"
        )


def stored_schedule(
    algorithm: str, geometry: Geometry, grid: Grid, memory: int, device: torch.device
) -> StoredSchedule:
    """For prepared projections of a geometry.

    Raises:
        TooFewBytes: the memory is too small for a slice and a view; says what it takes.
    """
    from sinograd.ops.slab_plan import COPIES, memory_of, plan_slabs
    from sinograd.recon.algorithms import working_memory

    plane = FLOAT32 * max(math.prod(grid.shape[-2:]), math.prod(geometry.projection_shape[1:]))
    block = min(LARGEST_BLOCK, memory // SHARE)
    held = HELD_BLOCKS * max(block, plane)
    least = held + (-(-KEPT_SHARE * 2 * COPIES * plane // (KEPT_SHARE - 1)) if device.type == "cpu" else 0)
    if memory < least:
        what = (
            f"slices of {_times(grid.shape[-2:])} voxels and views of {_times(geometry.projection_shape[1:])}, some of "
            "which are in memory at a time,"
        )
        raise TooFewBytes(memory, what, least)
    operator = (memory - held) * (KEPT_SHARE - 1) // KEPT_SHARE if device.type == "cpu" else None
    plan = plan_slabs(geometry, grid, memory_of(device, operator), FLOAT32)
    # the state of a run is kept beside what it works on
    scratch = 2 * working_memory(algorithm, grid.shape, geometry.projection_shape)
    needed = memory if device.type == "cpu" else held
    return StoredSchedule(tuple(plan.slabs), plan.views, memory, needed, block, operator, scratch)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
