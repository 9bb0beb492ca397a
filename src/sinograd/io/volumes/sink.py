"""Volumes written slab by slab, in any order and by several processes, into files that are not named yet.

A format that can do this gives a sink (`VolumeFormat.sink`). `create` makes its files at their full size, `write` puts
slices in their place and returns when the disk has them, `finish` writes what is known at the end. Sinks hold no open
file, so that workers can have copies of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.files.bands import reserve, write_at
from sinograd.geometry import Grid
from sinograd.io.storage.write_errors import writing

# Slices of a unit: as many as fit in these bytes, a power of two, at most so many. They follow from the grid alone.
UNIT_BYTES, MOST_SLICES = 32 << 20, 16


class VolumeSink(Protocol):
    """A volume that takes slabs.

    Attributes:
        unit: slices that are written together; slabs begin at multiples of it, and end there or with the volume.
    """

    @property
    def unit(self) -> int:
        """Slices."""
        ...

    def create(self) -> None:
        """Make the files; OSError where the disk has no room for them."""
        ...

    def write(self, first: int, values: np.ndarray) -> None:
        """Slices `first` and following, [slices, Y, X], of the type that is stored; the disk has them on return."""
        ...

    def finish(self, header: Volume) -> None:
        """Complete the files with the record of `header`, when all slabs are written."""
        ...


@dataclass(frozen=True)
class Unwritten:
    """The values of a volume that is yet to be written.

    Attributes:
        shape, dtype: of what is stored.
        scale: (slope, intercept) of value = slope * stored + intercept; None: stored as it is.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    scale: tuple[float, float] | None = None

    def read(self, first: int, end: int) -> Tensor:
        """There is nothing to read."""
        raise FormatError("the volume is not written yet")


def header_of(grid: Grid, stored: Unwritten, unit: str | None, provenance: dict[str, Any]) -> Volume:
    """A volume without values, of which files take grid, unit, type, scale and provenance."""
    return Volume(stored, grid, unit, provenance)


def stored_type(header: Volume) -> np.dtype[Any]:
    """The type of a header's voxels in a file, little-endian."""
    source = header.source
    assert source is not None
    return np.dtype(str(source.dtype).removeprefix("torch.")).newbyteorder("<")


def unit_of(grid: Grid, itemsize: int = 4, limit: int = UNIT_BYTES, most: int = MOST_SLICES) -> int:
    """Slices that are written together, from the size of a slice alone."""
    count = most
    while count > 1 and count * grid.shape[-1] * grid.shape[-2] * itemsize > limit:
        count //= 2
    return count


@dataclass(frozen=True)
class FlatSink:
    """A file in which the voxels lie one after another.

    Attributes:
        path: of the file.
        header: the volume.
        dtype: of the voxels in the file.
        layout: makes the file with all but its voxels, and returns where these begin.
        complete: writes what is known at the end: path, the header with its final record.
        unit: see `VolumeSink`.
    """

    path: Path
    header: Volume
    dtype: np.dtype[Any]
    layout: Callable[[Path, Volume], int]
    complete: Callable[[Path, Volume], None]
    unit: int

    def create(self) -> None:
        """See `VolumeSink`."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)
            start = self.layout(self.path, self.header)
            size = max(start + self._slice * self.header.slices, self.path.stat().st_size)
            reserve(self.path, size)
            self._note.write_text(str(start), encoding="ascii")

    def write(self, first: int, values: np.ndarray) -> None:
        """See `VolumeSink`."""
        start = int(self._note.read_text(encoding="ascii"))
        with writing(self.path):
            descriptor = os.open(self.path, os.O_WRONLY)
            try:
                write_at(descriptor, start + first * self._slice, values.astype(self.dtype, copy=False))
                getattr(os, "fdatasync", os.fsync)(descriptor)
            finally:
                os.close(descriptor)

    def finish(self, header: Volume) -> None:
        """See `VolumeSink`."""
        with writing(self.path):
            self.complete(self.path, header)
            self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        """Where the voxels begin, for other processes."""
        return self.path.with_name(f"{self.path.name}.start")

    @property
    def _slice(self) -> int:
        return self.header.shape[-1] * self.header.shape[-2] * self.dtype.itemsize
