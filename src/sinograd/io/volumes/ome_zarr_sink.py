"""OME-Zarr that takes slabs: each fills shards of its own, and its part of the pyramid.

Slabs begin at multiples of `unit` slices, a power of two. A slab makes its share of the levels whose chunks have at
least one slice for every slab; the coarser ones, less than a hundredth of the volume, are made at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.volume import Volume
from sinograd.files.folders import flush_file
from sinograd.io.storage.optional import extra
from sinograd.io.storage.write_errors import writing
from sinograd.io.volumes.format import record_of
from sinograd.io.volumes.halving import halved
from sinograd.io.volumes.ome_zarr import CHUNK, attributes_of
from sinograd.io.volumes.ome_zarr_levels import PACKAGE
from sinograd.io.volumes.sink import stored_type, unit_of

# Bytes of float32 voxels in a unit, slices of one at most, and bytes of a shard: writing holds it twice.
UNIT_BYTES, MOST_SLICES, SHARD_BYTES = 128 << 20, 32, 32 << 20


@dataclass(frozen=True)
class ZarrSink:
    """A folder; see `VolumeSink`."""

    folder: Path
    header: Volume

    @property
    def unit(self) -> int:
        """Slices of a shard."""
        return unit_of(self.header.grid, 4, UNIT_BYTES, MOST_SLICES)

    def create(self) -> None:
        """The group with empty arrays."""
        zarr: Any = extra(PACKAGE, self.folder)
        with writing(self.folder):
            group = zarr.open_group(str(self.folder), mode="w", zarr_format=3)
            for number, shape in enumerate(self.shapes):
                depth = max(1, self.unit >> number)
                chunk = (min(depth, shape[0]), *(min(CHUNK, n) for n in shape[1:]))
                group.create_array(
                    str(number),
                    shape=shape,
                    chunks=chunk,
                    shards=_shard(chunk, shape),
                    dtype=stored_type(self.header),
                    dimension_names=["z", "y", "x"],
                    config={"write_empty_chunks": True},
                )
            group.attrs.update(self._attributes(self.header))

    def write(self, first: int, values: np.ndarray) -> None:
        """Slices `first` and following, and what they give in the levels above."""
        zarr: Any = extra(PACKAGE, self.folder)
        with writing(self.folder), zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1}):
            group = zarr.open_group(str(self.folder), mode="r+")
            level = values
            for number in range(self._shared):
                level = halved(level) if number else level
                start = first >> number
                depth = max(1, self.unit >> number)
                for low in range(0, len(level), depth):
                    group[str(number)][start + low : start + low + depth] = level[low : low + depth]
                    self._flush(number, start + low)

    def finish(self, header: Volume) -> None:
        """The levels that no slab could make alone, and the record."""
        zarr: Any = extra(PACKAGE, self.folder)
        with writing(self.folder), zarr.config.set({"async.concurrency": 1}):
            group = zarr.open_group(str(self.folder), mode="r+")
            for number in range(self._shared, len(self.shapes)):
                below, level = group[str(number - 1)], group[str(number)]
                for low in range(self.shapes[number][0]):
                    level[low : low + 1] = halved(np.asarray(below[2 * low : 2 * low + 2]))
            group.attrs.update(self._attributes(header))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of all levels."""
        shapes = [self.header.shape]
        while max(shapes[-1]) > CHUNK:
            shapes.append(tuple(-(-n // 2) if n > 1 else 1 for n in shapes[-1]))
        return shapes

    @property
    def _shared(self) -> int:
        """Levels that slabs make."""
        return sum(self.unit >> number > 0 for number in range(len(self.shapes)))

    def _attributes(self, header: Volume) -> dict[str, Any]:
        return attributes_of(header, self.shapes, False, record_of(header))

    def _flush(self, number: int, first: int) -> None:
        """Have the disk keep the shards that begin with a slice."""
        shard = first // max(1, min(self.unit >> number, self.shapes[number][0]))
        for path in (self.folder / str(number) / "c" / str(shard)).rglob("*"):
            if path.is_file():
                flush_file(path)


def _shard(chunk: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole chunks side by side: as many along y and x as a shard may have bytes."""
    size = [chunk[1], chunk[2]]
    for axis in (1, 0):
        while size[axis] < shape[axis + 1] and 4 * chunk[0] * size[0] * size[1] < SHARD_BYTES:
            size[axis] += chunk[axis + 1]
    return (chunk[0], *size)
