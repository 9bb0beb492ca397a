"""The projectors' kernels on a GPU: which program, how many blocks, which arguments, in which layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.ops.cuda import Program, launch
from sinograd.ops.kernel_views import is_curved
from sinograd.ops.projection_tables import Scan, Tables, tables

LANES = 32
# Bytes of what kernels need beside input and result: a block of views or, in 3-D, volumes of a batch.
SCRATCH_BYTES = 512 << 20
FAN_BYTES, RAY_BYTES = 104, 48  # kernels/include/fan.h, ray_path.h
VIEW_RUN = 24  # views that a voxel-driven backprojection sums before it adds them (axial detectors)
NEIGHBOURS = 8  # views whose blocks run side by side (axial_joseph.cu)


def add(name: str, kind: str, source: Tensor, target: Tensor, scan: Scan) -> None:
    """Adds an operator of the kind "axial", "general" or "planar" of each batch element of `source` to `target`.

    Args:
        name: "joseph", "joseph_adjoint", "backproject" or "backproject_adjoint".
        kind: of its kernels.
        source: contiguous, [batch, ...]: volumes z, y, x or projections views, rows, columns; planar ones without
            z and rows.
        target: likewise.
        scan: rows of the detector must not run down (axial).
    """
    if source.numel() and target.numel():
        KERNELS[f"{name}_{kind}"](Work(scan, tables.get(scan, source.device), source, target))


@dataclass(frozen=True)
class Work:
    """One call: arrays, the scan and its tables."""

    scan: Scan
    tables: Tables
    source: Tensor
    target: Tensor

    @property
    def batch(self) -> int:
        """Elements of the batch."""
        return len(self.source)

    @property
    def detector(self) -> dict[str, int]:
        """The macro that tells general kernels what the detector is."""
        return {"CURVED": int(is_curved(self.scan.vectors))}

    @property
    def real(self) -> str:
        """The type of the numbers in a kernel."""
        return "float" if self.source.dtype == torch.float32 else "double"

    def run(
        self, file: str, kernel: str, blocks: int, threads: tuple[int, int], *arguments: object, **macros: int
    ) -> None:
        """Launches a kernel; the scan comes first, numbers are 64 bits wide."""
        program = Program.of(file, contracted=False, REAL=self.real, **macros)
        values = (np.int64(a) if isinstance(a, int) else a for a in arguments)
        launch(program, kernel, blocks, threads, self.tables.scan, *values)  # type: ignore[arg-type]

    def view_blocks(self, bytes_a_view: int) -> Iterator[slice]:
        """Views in blocks that fit the scratch memory, the same for every batch."""
        count = len(self.scan.vectors)
        # results are read and written once for each block: a large one is worth larger blocks
        room = max(SCRATCH_BYTES, self.target[0].numel() * self.target.element_size() // 8)
        block = max(1, room // bytes_a_view)
        return (slice(start, min(start + block, count)) for start in range(0, count, block))

    def batches(self, bytes_each: int) -> Iterator[slice]:
        """Elements of the batch in groups that fit the scratch memory."""
        group = max(1, SCRATCH_BYTES // max(1, bytes_each))
        return (slice(start, min(start + group, self.batch)) for start in range(0, self.batch, group))


@dataclass(frozen=True)
class Tile:
    """How a block of 32 x warps threads covers columns of voxels, `levels` voxels a thread."""

    warps: int
    columns: int
    levels: int

    def blocks(self, shape: tuple[int, ...]) -> int:
        """Blocks that cover a volume z, y, x."""
        z, y, x = shape
        return pieces(z, LANES * self.levels) * pieces(y, self.columns) * pieces(x, self.warps)

    @property
    def macros(self) -> dict[str, int]:
        """What a program is compiled with."""
        return {"WARPS": self.warps, "COLUMNS": self.columns, "LEVELS": self.levels}


@dataclass(frozen=True)
class Strip:
    """How blocks of 32 x warps threads cover a detector column, `levels` rows a thread."""

    warps: int
    levels: int

    def blocks(self, rows: int) -> int:
        """Blocks that cover a column."""
        return pieces(rows, LANES * self.warps * self.levels)

    @property
    def macros(self) -> dict[str, int]:
        """What a program is compiled with."""
        return {"WARPS": self.warps, "COLUMNS": 1, "LEVELS": self.levels}


def tile_of(shape: tuple[int, ...], columns: int, levels: int) -> Tile:
    """At most `columns` columns of voxels a warp and `levels` voxels a thread."""
    return Tile(8, columns, min(levels, power_of_two(pieces(shape[0], LANES))))


def strip_of(rows: int) -> Strip:
    """Up to 8 warps, then up to 4 rows a thread."""
    warps = min(8, power_of_two(pieces(rows, LANES)))
    return Strip(warps, min(4, power_of_two(pieces(rows, LANES * warps))))


def pieces(count: int, size: int) -> int:
    """How many pieces of a size cover a count."""
    return -(-count // size)


def power_of_two(number: int) -> int:
    """The smallest power of two that is not smaller."""
    return 1 << (number - 1).bit_length()


def columns_of(volumes: Tensor) -> Tensor:
    """[batch, y, x, z + 2]: columns of voxels with a zero before and after each."""
    batch, z, y, x = volumes.shape
    columns = volumes.new_zeros(batch, y, x, z + 2)
    columns[..., 1:-1] = volumes.permute(0, 2, 3, 1)
    return columns


def framed(projections: Tensor) -> Tensor:
    """[batch, views, columns + 2, rows + 2]: projections along their rows' axis in a frame of zeros."""
    batch, views, rows, columns = projections.shape
    images = projections.new_zeros(batch, views, columns + 2, rows + 2)
    images[..., 1:-1, 1:-1] = projections.mT
    return images


def _volume_bytes(work: Work) -> int:
    z, y, x = work.scan.shape
    return (z + 2) * y * x * work.source.element_size()


def _backproject_axial(work: Work) -> None:
    rows, columns = work.scan.detector
    size = (rows + 2) * (columns + 2) * work.source.element_size()
    tile, total = tile_of(work.scan.shape, 4, 4), len(work.scan.vectors)
    # always as many views at a time: each time sums them before it adds them to the volume
    for views in (slice(start, min(start + VIEW_RUN, total)) for start in range(0, total, VIEW_RUN)):
        count = views.stop - views.start
        for group in work.batches(count * size):
            target = work.target[group]
            images, blocks = framed(work.source[group, views]), len(target) * tile.blocks(work.scan.shape)
            arguments = work.tables.views[views], count, images, target
            work.run(
                "axial_backprojection.cu", "backproject_axial", blocks, (LANES, tile.warps), *arguments, **tile.macros
            )


def _backproject_axial_adjoint(work: Work) -> None:
    rows, columns = work.scan.detector
    strip, count = strip_of(rows), len(work.scan.vectors)
    for group in work.batches(_volume_bytes(work)):
        target = work.target[group]
        blocks = len(target) * count * columns * strip.blocks(rows)
        arguments = work.tables.views, work.tables.vectors, count, columns_of(work.source[group]), target
        threads = (LANES, strip.warps)
        work.run("axial_backprojection.cu", "backproject_axial_adjoint", blocks, threads, *arguments, **strip.macros)


def _joseph_axial(work: Work) -> None:
    rows, columns = work.scan.detector
    strip, count = strip_of(rows), len(work.scan.vectors)
    for group in work.batches(_volume_bytes(work)):
        target = work.target[group]
        blocks = len(target) * pieces(count, NEIGHBOURS) * NEIGHBOURS * columns * strip.blocks(rows)
        arguments = work.tables.vectors, count, columns_of(work.source[group]), target
        work.run("axial_joseph.cu", "joseph_axial", blocks, (LANES, strip.warps), *arguments, **strip.macros)


def _joseph_axial_adjoint(work: Work) -> None:
    rows, columns = work.scan.detector
    size = rows * columns * work.source.element_size() + columns * FAN_BYTES
    tile = tile_of(work.scan.shape, 2, 4)
    threads, file = (LANES, tile.warps), "axial_joseph.cu"
    for views in work.view_blocks(size):
        count = views.stop - views.start
        fans = work.source.new_empty(count * columns * FAN_BYTES, dtype=torch.uint8)
        for group in work.batches(count * size):
            projections, target = work.source[group, views].contiguous(), work.target[group]
            lines = torch.empty_like(projections)
            arguments = work.tables.vectors[views], count, projections, fans, lines
            blocks = len(target) * count * columns
            work.run(file, "joseph_axial_rays", blocks, threads, *arguments, **tile.macros)
            arguments = work.tables.views[views], count, fans, lines, target
            blocks = len(target) * tile.blocks(work.scan.shape)
            work.run(file, "joseph_axial_adjoint", blocks, threads, *arguments, **tile.macros)


def _backproject_general(work: Work) -> None:
    z, y, x = work.scan.shape
    levels = min(4, power_of_two(z))
    blocks = work.batch * pieces(x, LANES) * pieces(y, 8) * pieces(z, levels)
    arguments = work.tables.views, len(work.scan.vectors), work.source, work.target
    macros = {"LEVELS": levels, **work.detector}
    work.run("general_backprojection.cu", "backproject_general", blocks, (LANES, 8), *arguments, **macros)


def _backproject_general_adjoint(work: Work) -> None:
    rows, columns = work.scan.detector
    count, levels = len(work.scan.vectors), min(4, power_of_two(work.scan.shape[0]))
    blocks = work.batch * count * pieces(columns, LANES) * pieces(rows, 8)
    arguments = work.tables.views, work.tables.vectors, count, work.source, work.target
    macros = {"LEVELS": levels, **work.detector}
    work.run("general_backprojection.cu", "backproject_general_adjoint", blocks, (LANES, 8), *arguments, **macros)


def _joseph_general(work: Work) -> None:
    rows, columns = work.scan.detector
    count, climb = len(work.scan.vectors), work.scan.vectors[:, 2:4, 2].abs().sum(0)
    along_rows = bool(climb[1] >= climb[0])
    along, across = (rows, columns) if along_rows else (columns, rows)
    for group in work.batches(_volume_bytes(work)):
        target = work.target[group]
        blocks = len(target) * count * pieces(along, LANES) * pieces(across, 8)
        arguments = work.tables.vectors, count, int(along_rows), columns_of(work.source[group]), target
        work.run("general_joseph.cu", "joseph_general", blocks, (LANES, 8), *arguments, **work.detector)


def _joseph_general_adjoint(work: Work) -> None:
    rows, columns = work.scan.detector
    z, y, x = work.scan.shape
    pixels = rows * columns
    size = pixels * (RAY_BYTES + 1 + work.source.element_size())
    for views in work.view_blocks(size):
        count = views.stop - views.start
        rays = work.source.new_empty(count * pixels * RAY_BYTES, dtype=torch.uint8)
        axes = work.source.new_empty(count, pixels, dtype=torch.int8)
        for group in work.batches(count * size):
            projections, target = work.source[group, views].contiguous(), work.target[group]
            values = torch.empty_like(projections)
            arguments = work.tables.vectors[views], count, projections, rays, axes, values
            blocks = len(target) * count * pieces(columns, LANES) * pieces(rows, 8)
            work.run("general_joseph.cu", "joseph_general_rays", blocks, (LANES, 8), *arguments, **work.detector)
            present = torch.stack([(axes == axis).any(1) for axis in range(3)], 1).contiguous()
            blocks = len(target) * pieces(x, LANES) * pieces(y, 8) * z
            arguments = work.tables.views[views], count, rays, present, values, target
            work.run("general_joseph.cu", "joseph_general_adjoint", blocks, (LANES, 8), *arguments, **work.detector)


def _planar(work: Work, kernel: str, shape: tuple[int, ...], *arguments: object) -> None:
    """A kernel of one slice with results of this shape, up to four of them a thread."""
    images = min(4, power_of_two(work.batch))
    blocks = pieces(work.batch, images) * pieces(shape[1], LANES) * pieces(shape[0], 4)
    work.run("planar.cu", kernel, blocks, (LANES, 4), *arguments, IMAGES=images)


def _backproject_planar(work: Work) -> None:
    arguments = work.tables.views, len(work.scan.vectors), work.batch, work.source, work.target
    _planar(work, "backproject_planar", work.scan.shape[1:], *arguments)


def _backproject_planar_adjoint(work: Work) -> None:
    count = len(work.scan.vectors)
    arguments = work.tables.views, work.tables.vectors, count, work.batch, work.source, work.target
    _planar(work, "backproject_planar_adjoint", (count, work.scan.detector[1]), *arguments)


def _fans(work: Work) -> Tensor:
    count, columns = len(work.scan.vectors), work.scan.detector[1]
    fans = work.source.new_empty(count * columns * FAN_BYTES, dtype=torch.uint8)
    images = min(4, power_of_two(work.batch))
    blocks = pieces(columns, LANES) * pieces(count, 4)
    arguments = work.tables.vectors, count, fans
    work.run("planar.cu", "joseph_planar_fans", blocks, (LANES, 4), *arguments, IMAGES=images)
    return fans


def _joseph_planar(work: Work) -> None:
    count = len(work.scan.vectors)
    arguments = _fans(work), count, work.batch, work.source, work.target
    _planar(work, "joseph_planar", (count, work.scan.detector[1]), *arguments)


def _joseph_planar_adjoint(work: Work) -> None:
    arguments = work.tables.views, _fans(work), len(work.scan.vectors), work.batch, work.source, work.target
    _planar(work, "joseph_planar_adjoint", work.scan.shape[1:], *arguments)


KERNELS = {
    "backproject_axial": _backproject_axial,
    "backproject_adjoint_axial": _backproject_axial_adjoint,
    "joseph_axial": _joseph_axial,
    "joseph_adjoint_axial": _joseph_axial_adjoint,
    "backproject_general": _backproject_general,
    "backproject_adjoint_general": _backproject_general_adjoint,
    "joseph_general": _joseph_general,
    "joseph_adjoint_general": _joseph_general_adjoint,
    "backproject_planar": _backproject_planar,
    "backproject_adjoint_planar": _backproject_planar_adjoint,
    "joseph_planar": _joseph_planar,
    "joseph_adjoint_planar": _joseph_planar_adjoint,
}
