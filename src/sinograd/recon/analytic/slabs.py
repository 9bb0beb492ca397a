"""Filtered backprojection on a device of tensors in host memory: whole where the volume fits, else in slabs along z."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import EllipsisType

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Grid
from sinograd.ops.arguments import autocast
from sinograd.ops.derivatives import transformed
from sinograd.ops.devices import compute_device
from sinograd.ops.slab_plan import Slab, fewest_parts, memory_of
from sinograd.ops.transfers import Downloads
from sinograd.recon.analytic import view_blocks
from sinograd.recon.analytic.filtered_backprojection import FilteredBackprojection, Progress
from sinograd.recon.analytic.needed_rows import upright_rows
from sinograd.recon.analytic.view_filter import GPU_BLOCK_NUMBERS, strip_views

# A block of views takes at most this share of the memory (or is a single view). It is held five times: itself, the one
# before, the next on its way, filtered, in the layout of the kernels. A strip of it is held four times while it is
# transformed (and one to three megabytes on the CPU, where a block of rows is larger than the strip).
BLOCK_SHARE, BLOCK_COPIES, STRIP_COPIES = 32, 5, 4
# Bytes of a result that are copied to host memory at a time.
DOWNLOAD_BYTES = 256 << 20

Index = tuple[EllipsisType | slice, ...]


@dataclass(frozen=True)
class Part:
    """Slices of a volume that are computed at a time.

    Attributes:
        slab: which.
        upright: the rows of the upright detector that they need, first and end; None: none sees them.
        rows: the rows of the real detector that these are read from.
        block: views that are on the device at a time.
    """

    slab: Slab
    upright: tuple[int, int] | None
    rows: tuple[int, int] | None
    block: int


@dataclass(frozen=True, eq=False)
class OnDevice:
    """`FilteredBackprojection` on a device of tensors in host memory: whole where it fits, else in slabs along z.

    Attributes:
        whole: what is computed.
        device: where.
        memory: bytes to use there; None: a share of what a GPU has free.
    """

    whole: FilteredBackprojection
    device: torch.device | str
    memory: int | None = None

    def volume(self, projections: Tensor, progress: Progress | None = None) -> Tensor:
        """As `FilteredBackprojection.volume`; the result is where the projections are.

        Raises:
            InputError: a missing device; projections on another one that is not the host; too little memory for a
                slice, or, with gradients, for the whole.
        """
        where, whole = compute_device(self.device), self.whole
        projections = autocast(projections)
        whole.check(projections)
        if projections.device == where and (self.memory is None or where.type == "cuda"):
            return whole.volume(projections, progress)
        if projections.device.type != "cpu":
            raise InputError(
                f"projections: expected a tensor in host memory or on {where}, got one on {projections.device}"
            )
        memory, shape = memory_of(where, self.memory), whole.volume_shape(projections)
        element = projections.element_size() * max(1, math.prod(shape[: len(shape) - whole.grid.ndim]))
        if whole.learns_from(projections) or transformed(projections):
            _check_fits_with_gradients(whole, element, memory, where)
            return whole.recomputed().volume(projections.to(where), progress).to(projections.device)
        volume = projections.new_empty(shape)
        if projections.numel():
            self._fill(volume, projections, parts_that_fit(whole, memory, element, where.type == "cuda"), progress)
        return volume

    def _fill(self, volume: Tensor, projections: Tensor, parts: list[Part], progress: Progress | None) -> None:
        where, grid = compute_device(self.device), self.whole.grid
        downloads, element = Downloads(where), volume.nbytes // math.prod(grid.shape)
        count, done = sum(part.rows is not None for part in parts), 0
        for part in parts:
            report = None if progress is None else _as_one_of(progress, done, count)
            done += part.rows is not None
            result = _computed(self.whole, part, where, projections, report)
            for slices, place in _pieces(part.slab, grid, element):
                downloads.put(result[slices], volume[place].copy_)
            del result
        downloads.finish()


def parts_that_fit(whole: FilteredBackprojection, memory: int, element: int, on_gpu: bool) -> list[Part]:
    """One part that is everything, where that fits into `memory` bytes; else the fewest slabs of about equal thickness.

    Args:
        whole: what is computed.
        memory: bytes on the device. A part takes its slices and a few blocks of views there.
        element: bytes of a voxel, with all volumes of a batch.
        on_gpu: as blocks are larger there.

    Raises:
        InputError: one slice does not fit.
    """
    grid = whole.grid
    slices = grid.shape[0] if grid.ndim == 3 else 1
    parts, largest = fewest_parts((0, slices), 1, memory, lambda some: part_of(whole, some, memory, (element, on_gpu)))
    if largest > memory:
        raise InputError(
            f"memory: {memory:,} bytes are too few; a slice of {' x '.join(map(str, grid.shape[-2:]))} voxels and "
            f"the views that it is computed from take {largest:,} bytes"
        )
    return parts


def part_of(
    whole: FilteredBackprojection, slices: tuple[int, int], memory: int, kind: tuple[int, bool]
) -> tuple[Part, int]:
    """Slices (first, end) as a part, and the bytes that it takes on the device.

    Args:
        memory: bytes on the device, of which blocks of views take a share at most.
        kind: bytes of a voxel with all volumes of a batch, and whether the device is a GPU.
    """
    grid, (first, last) = whole.grid, slices
    slab = Slab(first, last, torch.zeros(0, 2))
    everything = grid.ndim == 2 or last - first == grid.shape[0]
    upright, rows = _all_rows(whole) if everything else _rows(whole, slab)
    block, needed = _needs(whole, upright, _voxels(grid, last - first) * kind[0], memory, kind)
    return Part(slab, upright, rows, block), needed


def slab_of(whole: FilteredBackprojection, part: Part) -> FilteredBackprojection | None:
    """What computes a part from the rows that it needs; None where no row sees it, so that it is zero."""
    if whole.grid.ndim == 2 or part.slab.last - part.slab.first == whole.grid.shape[0]:
        return whole
    if part.rows is None or part.upright is None:
        return None
    return whole.slab((part.slab.first, part.slab.last), part.upright)


def _all_rows(whole: FilteredBackprojection) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, whole.scan.detector.shape[0]), (0, whole.scan.detector.real_shape[0])


def _rows(whole: FilteredBackprojection, slab: Slab) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Rows of the upright detector that a slab needs, and those of the real one."""
    detector = whole.scan.detector
    rows = upright_rows(detector, whole.geometry.divergent, slab.grid(whole.grid))
    return (None, None) if rows is None else (rows, detector.real_rows_of(rows))


def _voxels(grid: Grid, slices: int) -> int:
    return slices * grid.shape[-2] * grid.shape[-1]


def _needs(
    whole: FilteredBackprojection, rows: tuple[int, int] | None, volume: int, memory: int, kind: tuple[int, bool]
) -> tuple[int, int]:
    """Views of a block, and all bytes on the device. rows: of the upright detector; kind: element, on_gpu."""
    if rows is None:
        return 1, volume
    (element, on_gpu), scan = kind, whole.scan
    count, columns = rows[1] - rows[0], max(scan.columns, scan.detector.real_shape[1])
    view = count * columns * element
    block = min(view_blocks.block_views(volume, view, on_gpu), max(1, memory // (BLOCK_SHARE * view)))
    if on_gpu:  # whose kernels sum blocks of views, which must not differ
        block = max(1, block // view_blocks.BLOCK_VIEWS) * view_blocks.BLOCK_VIEWS
    block = min(whole.views, block)
    transformed = 2 * count * max(scan.columns, scan.rays.per_column.shape[1]) * element
    strip = min(block, strip_views(view, on_gpu))
    transforms = max(strip * transformed, GPU_BLOCK_NUMBERS * element if on_gpu else 0)
    volumes = volume if whole.views <= view_blocks.GROUP_VIEWS else 2 * volume
    return block, volumes + BLOCK_COPIES * block * view + STRIP_COPIES * transforms


def _check_fits_with_gradients(whole: FilteredBackprojection, element: int, memory: int, where: torch.device) -> None:
    """Projections, volume and the gradients of both are on the device at once."""
    volume, projections = element * math.prod(whole.grid.shape), element * math.prod(whole.geometry.projection_shape)
    rows = _all_rows(whole)[0]
    _, needed = _needs(whole, rows, 2 * (volume + projections), memory, (element, where.type == "cuda"))
    if needed > memory:
        raise InputError(
            f"projections: gradients need all of it on {where} at once, {needed:,} bytes, and {memory:,} may be used; "
            "compute without gradients (torch.no_grad()), which goes slab by slab, or with fewer views or voxels"
        )


def _computed(
    whole: FilteredBackprojection,
    part: Part,
    where: torch.device,
    projections: Tensor,
    progress: Progress | None,
) -> Tensor:
    """The slices of a part, on the device."""
    slab = slab_of(whole, part)
    if slab is None:
        return projections.new_zeros((*projections.shape[:-3], *part.slab.grid(whole.grid).shape), device=where)
    if slab is not whole and part.rows is not None:
        projections = projections[..., part.rows[0] : part.rows[1], :]
    result = projections.new_zeros(slab.volume_shape(projections), device=where)
    return slab.add_unchecked(result, projections, (0, slab.views), progress, part.block)


def _pieces(slab: Slab, grid: Grid, element: int) -> list[tuple[Index, Index]]:
    """Where in a slab, and where in the volume: pieces of it that are copied at a time."""
    if grid.ndim == 2:
        return [((...,), (...,))]
    step = max(1, DOWNLOAD_BYTES // (element * _voxels(grid, 1)))
    return [
        (
            _slices(first - slab.first, min(first + step, slab.last) - slab.first),
            _slices(first, min(first + step, slab.last)),
        )
        for first in range(slab.first, slab.last, step)
    ]


def _slices(first: int, last: int) -> Index:
    return (..., slice(first, last), slice(None), slice(None))


def _as_one_of(progress: Progress, number: int, count: int) -> Progress:
    """Views of all slabs in place of those of one."""
    return lambda done, views: progress(number * views + done, count * views)
