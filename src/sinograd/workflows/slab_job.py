"""One part of a volume: read, filter, backproject, convert, write. Workers have copies of the job."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sinograd.data.projections import read_rows
from sinograd.data.units import Conversion
from sinograd.ops.transfers import uploaded
from sinograd.recon.analytic import view_blocks
from sinograd.recon.analytic.slabs import slab_of
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.manifest import Manifest

if TYPE_CHECKING:
    from sinograd.geometry import Grid
    from sinograd.io.volumes.sink import VolumeSink
    from sinograd.recon import FilteredBackprojection
    from sinograd.recon.analytic.slabs import Part

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Scaling:
    """Values as whole numbers: low becomes 0, high the largest number of the type.

    Attributes:
        low, high: in the output's unit.
        dtype: "uint16" or "uint8".
    """

    low: float
    high: float
    dtype: str

    @property
    def largest(self) -> int:
        """Of the type."""
        return int(np.iinfo(self.dtype).max)

    @property
    def scale(self) -> tuple[float, float]:
        """(slope, intercept) of value = slope * stored + intercept."""
        return (self.high - self.low) / self.largest, self.low

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """Stored numbers, and how many values lie outside the range."""
        stored, clipped = np.empty(values.shape, self.dtype), 0
        slope, low = self.scale
        for image, plane in zip(stored, values, strict=True):
            clipped += int(np.count_nonzero((plane < self.low) | (plane > self.high)))
            image[...] = np.clip(np.rint((plane.astype(np.float64) - low) / slope), 0, self.largest)
        return stored, clipped


@dataclass(frozen=True, eq=False)
class SlabOutput:
    """Where slices of a volume go, and in which form; it holds no open file.

    Attributes:
        grid: of the whole volume.
        sink: what takes the slices.
        manifest: where finished parts are entered.
        radii: of the circles outside which voxels are zero, [Z] in mm; None: no mask.
        conversion: to another unit; None: none.
        scaling: to whole numbers; None: float32.
    """

    grid: Grid
    sink: VolumeSink
    manifest: Manifest
    radii: Tensor | None = None
    conversion: Conversion | None = None
    scaling: Scaling | None = None

    def finished(self, first: int, volume: Tensor) -> Tensor:
        """Slices `first` and following [slices, Y, X], masked (in place) and in the output's unit."""
        if self.radii is not None:
            from sinograd.preparation.field_of_view import mask_circles_

            mask_circles_(volume, self.grid, self.radii[first : first + len(volume)])
        return volume if self.conversion is None else self.conversion(volume)

    def write(self, first: int, volume: Tensor, **facts: Any) -> int:
        """Write finished slices and enter them with `facts`; the number of clipped voxels."""
        start, values, unit = time.perf_counter(), volume.numpy(), self.sink.unit
        checksums, clipped = [], 0
        for low in range(0, len(values), unit):
            some = values[low : low + unit]
            if self.scaling is not None:
                some, outside = self.scaling(some)
                clipped += outside
            self.sink.write(first + low, some)
            checksums.append(checksum(some))
        seconds = round(time.perf_counter() - start, 3)
        end = first + len(values)
        self.manifest.enter(first, end, checksums=checksums, clipped=clipped, write_seconds=seconds, **facts)
        return clipped


@dataclass(frozen=True, eq=False)
class SlabJob:
    """All that a part needs; it holds no open file.

    Attributes:
        whole: what is computed.
        projections: prepared ones [views, rows, columns], in memory or in a file.
        output: where the slices go.
        device: where parts are computed.
    """

    whole: FilteredBackprojection
    projections: Any
    output: SlabOutput
    device: str = "cpu"

    def compute(self, part: Part, progress: Callable[[int, int], None] | None = None) -> Tensor:
        """The slices of a part, [slices, Y, X], float32 in the output's unit."""
        slab, where = slab_of(self.whole, part), chosen_device(self.device)
        shape = (part.slab.last - part.slab.first, *self.whole.grid.shape[1:])
        volume = torch.zeros(shape, device=where)
        if slab is not None and part.rows is not None:
            blocks = list(view_blocks.view_blocks(0, slab.views, part.block))
            rows = slice(*part.rows)
            pieces = read_ahead(lambda views: self._read(views, rows), blocks)
            if where.type == "cuda":
                pieces = uploaded(pieces, where)
            slab.add_pieces(volume, zip(blocks, pieces, strict=True), (0, slab.views), progress)
        return self.output.finished(part.slab.first, volume.cpu())

    def write(self, part: Part, volume: Tensor, seconds: float) -> int:
        """Write the slices and enter the part; the number of clipped voxels."""
        facts = {"read_bytes": self.read_bytes(part), "compute_seconds": round(seconds, 3)}
        return self.output.write(part.slab.first, volume, **facts)

    def read_bytes(self, part: Part) -> int:
        """Of prepared projections, for a part."""
        rows = 0 if part.rows is None else part.rows[1] - part.rows[0]
        return 4 * self.whole.views * rows * math.prod(self.whole.geometry.projection_shape[2:])

    def _read(self, views: slice, rows: slice) -> Tensor:
        found = read_rows(self.projections, views, rows)
        if isinstance(found, Tensor):
            return found.float()
        return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))


def run_here(job: SlabJob, parts: Iterable[Part], progress: Callable[[int, int], None] | None = None) -> None:
    """All parts, one after another: the next views are read and the last part is written while one computes.

    An exception of `progress` ends the work when the part before is written.
    """
    parts = list(parts)
    with ThreadPoolExecutor(1, "writing") as writer:
        waiting: Any = None
        try:
            for number, part in enumerate(parts):
                start = time.perf_counter()
                volume = job.compute(part, _as_one_of(progress, number, len(parts)))
                if waiting is not None:
                    waiting.result()
                waiting = writer.submit(job.write, part, volume, time.perf_counter() - start)
                del volume
        finally:
            if waiting is not None:
                waiting.result()


def run_part(job: SlabJob, part: Part) -> tuple[int, int]:
    """One part, written; its slices."""
    start = time.perf_counter()
    volume = job.compute(part)
    job.write(part, volume, time.perf_counter() - start)
    return part.slab.first, part.slab.last


def read_ahead(read: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """read(item) of every item, each called while the one before is used."""
    with ThreadPoolExecutor(1, "reading") as reader:
        waiting: Any = None
        for item in items:
            following = reader.submit(read, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def checksum(stored: np.ndarray) -> str:
    """Of slices as they are stored, little-endian."""
    values = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("<"))
    return hashlib.blake2b(values.reshape(-1).view(np.uint8).data, digest_size=16).hexdigest()


def _as_one_of(
    progress: Callable[[int, int], None] | None, number: int, count: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, views: progress(number * views + done, count * views)
