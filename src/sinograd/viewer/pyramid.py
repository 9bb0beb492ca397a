"""A volume and its coarser copies: planes of any level across any axis, in bounded memory."""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.boxes import Box, read_box, stored_box
from sinograd.data.volume import Volume
from sinograd.errors import InputError, InputIndexError
from sinograd.geometry import Grid
from sinograd.io.volumes.ome_zarr import halved
from sinograd.viewer.cache import ArrayCache

AXES = ("z", "y", "x")
COARSE = 256  # voxels along the longest axis of the coarsest level, at most
CACHE_BYTES = 320 << 20
SLAB_BYTES = 144 << 20  # of planes side by side that are read together
WHOLE_BYTES = 512 << 20  # of a file that can only be read whole, which is then kept in memory
_FEW_BYTES = 64 << 20  # a copy of so many bytes is made at once
_LARGE_BYTES = 16 << 20  # boxes of so many bytes are read one after the other
_reading_large = threading.Lock()


class Pyramid:
    """Levels of a volume, each of half the voxels of the one before along every axis that has more than one.

    Levels that the file holds are read from it; others are means of the finest level's voxels, made when they are
    read. Of a file without copies the coarsest level is made once, in a thread, and kept in memory.

    Args:
        levels: as `open_levels` gives them.
        cache: of planes that were read lately; volumes may share one.
    """

    def __init__(self, levels: list[Volume], cache: ArrayCache | None = None) -> None:
        first = levels[0].as_slices()
        if first.is_lazy and first.block >= first.slices > 1 and first.nbytes <= WHOLE_BYTES and len(levels) == 1:
            first = first.load()
        self.levels = [first, *(level.as_slices() for level in levels[1:])]
        self._stored = len(self.levels)
        while max(self.levels[-1].shape) > COARSE:
            self.levels.append(_halved_volume(first, len(self.levels)))
        self._cache = ArrayCache(CACHE_BYTES) if cache is None else cache
        self._lock = threading.Lock()

    @property
    def volume(self) -> Volume:
        """The finest level."""
        return self.levels[0]

    def plane(self, level: int, axis: str, index: int) -> np.ndarray:
        """The slice `index` of a level across an axis, float32: [y, x] across z, [z, x] across y, [z, y] across x.

        Raises InputIndexError for a level or slice that does not exist, InputError for another axis.
        """
        volume, number = self.level(level), axis_number(axis)
        if not 0 <= index < volume.shape[number]:
            raise InputIndexError(f"index: expected 0 to {volume.shape[number] - 1} across {axis}, got {index}")
        thick = _thickness(volume, number)
        first = index - index % thick
        box = _slab(volume.shape, number, first, min(first + thick, volume.shape[number]))
        if not volume.is_lazy:
            return np.take(read_box(volume, box).numpy(), index - first, axis=number)
        slab = self._cache.get((id(self), level, axis, first), lambda: _read_slab(volume, box))
        return np.take(slab, index - first, axis=number).astype(np.float32, copy=False)

    def kept(self, level: int) -> np.ndarray:
        """All values of a small level, float32, kept in the cache while there is room."""
        volume = self.level(level)
        return self._cache.get((id(self), level), lambda: volume.read(0, volume.slices).numpy())

    def value(self, place: tuple[int, int, int]) -> float:
        """Of the voxel z, y, x of the finest level."""
        z, y, x = place
        return float(read_box(self.volume, (slice(z, z + 1), slice(y, y + 1), slice(x, x + 1))))

    def level(self, number: int) -> Volume:
        """A level by its number."""
        if not 0 <= number < len(self.levels):
            raise InputIndexError(f"level: expected 0 to {len(self.levels) - 1}, got {number}")
        if number == len(self.levels) - 1 and self.volume.nbytes <= _FEW_BYTES:
            return self.overview
        return self.levels[number]

    @cached_property
    def overview(self) -> Volume:
        """The coarsest level, in memory."""
        with self._lock:
            if "overview" in self.__dict__:
                return self.__dict__["overview"]
            if self._stored < len(self.levels):
                made = self.levels[-1].with_values(_means(self.volume, len(self.levels) - 1))
            else:
                made = self.levels[-1].load()
            self.levels[-1] = made
            return made

    @property
    def has_copies(self) -> bool:
        """Whether the file holds coarser levels, down to a small one."""
        return self._stored == len(self.levels)

    @property
    def prepared(self) -> bool:
        """Whether the coarsest level is in memory."""
        return "overview" in self.__dict__

    def finest_within(self, most: int) -> int:
        """The finest level with at most `most` voxels along every axis; the coarsest if none has."""
        return next((i for i, v in enumerate(self.levels) if max(v.shape) <= most), len(self.levels) - 1)


@dataclass(frozen=True)
class Halved:
    """Means of 2^n voxels of a volume along every axis, as often halved as an OME-Zarr pyramid is."""

    volume: Volume
    times: int
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        return self.read_box((slice(first, end), slice(0, self.shape[1]), slice(0, self.shape[2])))

    def read_box(self, box: Box) -> Tensor:
        """Voxels of a box."""
        factors = [1 if n == 1 else 2**self.times for n in self.volume.shape]
        fine = [
            slice(part.start * factor, min(part.stop * factor, count))
            for part, factor, count in zip(box, factors, self.volume.shape, strict=True)
        ]
        return torch.from_numpy(_halved(read_box(self.volume, (fine[0], fine[1], fine[2])).numpy(), self.times))


def axis_number(axis: str) -> int:
    """0, 1, 2 of z, y, x; InputError for others."""
    if axis not in AXES:
        raise InputError(f"axis: expected z, y or x, got {axis!r:.20}")
    return AXES.index(axis)


def _halved(values: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        values = halved(values)
    return values


def _halved_volume(finest: Volume, times: int) -> Volume:
    shape, spacing, first = list(finest.shape), list(finest.spacing), [float(axis[0]) for axis in finest.grid.axes()]
    for axis in range(3):
        factor = 1
        for _ in range(times):
            factor *= 1 if shape[axis] == 1 else 2
            shape[axis] = -(-shape[axis] // 2)
        first[axis] += (factor - 1) / 2 * spacing[axis]
        spacing[axis] *= factor
    middle = [f + (n - 1) / 2 * s for f, n, s in zip(first, shape, spacing, strict=True)]
    grid = Grid(tuple(shape), tuple(spacing), tuple(middle[::-1]))
    return Volume(Halved(finest, times, tuple(shape)), grid, finest.unit, finest.provenance, finest.file)


def _means(finest: Volume, times: int) -> np.ndarray:
    """The whole copy, made of slabs of the finest level."""
    thick = 2**times
    per_slice = 4 * math.prod(finest.shape[1:])
    step = thick * max(1, _FEW_BYTES // (thick * per_slice))
    parts = []
    for first in range(0, finest.slices, step):
        end = min(first + step, finest.slices)
        if thick * per_slice <= 2 * _FEW_BYTES or finest.slices == 1:
            parts.append(_halved(finest.read(first, end).numpy(), times))
        else:
            parts.append(_thick_mean(finest, first, end, times))
    return np.concatenate(parts)


def _thick_mean(finest: Volume, first: int, end: int, times: int) -> np.ndarray:
    """The one slice of a slab that is too thick to be read at once."""
    planes = [_halved_plane(finest.read(z, z + 1)[0].numpy(), times) for z in range(first, end)]
    return _halved_stack(np.stack(planes), times)


def _halved_plane(plane: np.ndarray, times: int) -> np.ndarray:
    return _halved(plane[None], times)[0]


def _halved_stack(planes: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        even = planes.shape[0] // 2 * 2
        pairs = (planes[:even:2] + planes[1:even:2]) / 2
        planes = pairs if even == len(planes) else np.concatenate([pairs, planes[even:]])
    return planes


def _thickness(volume: Volume, axis: int) -> int:
    """Slices across an axis that are read together: those of a chunk if they fit, one otherwise."""
    source: Any = volume.source
    array = getattr(getattr(source, "stored", source), "array", None)  # of a Zarr, scaled or not
    chunk = int(array.chunks[axis - 3]) if array is not None else volume.block if axis == 0 else 1
    plane = 4 * math.prod(n for i, n in enumerate(volume.shape) if i != axis)
    return chunk if chunk > 1 and chunk * plane <= SLAB_BYTES else 1


def _read_slab(volume: Volume, box: Box) -> np.ndarray:
    """A box in the type of the file; the memory that reading takes beside it is of one large box at a time."""
    large = 4 * math.prod(part.stop - part.start for part in box) >= _LARGE_BYTES
    with _reading_large if large else nullcontext():
        return stored_box(volume, box).numpy()


def _slab(shape: tuple[int, ...], axis: int, first: int, end: int) -> Box:
    parts = [slice(0, n) for n in shape]
    parts[axis] = slice(first, end)
    return parts[0], parts[1], parts[2]
