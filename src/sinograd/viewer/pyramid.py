"""A volume and its coarser copies: planes of any level across any axis, in bounded memory."""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext, suppress
from functools import cached_property

import numpy as np

from sinograd.errors import InputError, InputIndexError, SinogradError
from sinograd.io.volumes.halving import halved, mean_of_pairs
from sinograd.viewer.cache import ArrayCache
from sinograd.viewer.levels import Box, Level, Levels, held

AXES = ("z", "y", "x")
COARSE = 256  # voxels along the longest axis of the coarsest level, at most
CACHE_BYTES = 224 << 20
KEPT_BYTES = 320 << 20  # of coarse levels that are kept in memory
SLAB_BYTES = 64 << 20  # of planes side by side that are read together
WHOLE_BYTES = 512 << 20  # of a file that can only be read whole, which is then kept in memory
_FEW_BYTES = 64 << 20  # a copy of so many bytes is made at once
_LARGE_BYTES = 16 << 20  # boxes of so many bytes are read one after the other
_reading_large = threading.Lock()

Part = tuple[int, int, int, int]
"""Of a plane: first row, end, first column, end."""


class Pyramid:
    """Levels of a volume, each of half the voxels of the one before along every axis that has more than one.

    Levels that the file holds are read from it; others are means of the finest level's voxels, made when they are
    read. Of a file without copies the coarsest level is made once, in a thread, and kept in memory.

    Args:
        source: the levels that the file holds.
        cache: of planes that were read lately; volumes may share one.
        kept_bytes: of coarse levels that `keep` may hold in memory.
    """

    def __init__(self, source: Levels, cache: ArrayCache | None = None, kept_bytes: int = KEPT_BYTES) -> None:
        self.source, self.kept_bytes = source, kept_bytes
        first = source.levels[0]
        if source.whole_file and 4 * math.prod(first.shape) <= WHOLE_BYTES:
            first = first.loaded()
        self.levels = [first, *source.levels[1:]]
        self._stored = len(self.levels)
        while max(self.levels[-1].shape) > COARSE:
            self.levels.append(_halved_level(first, len(self.levels)))
        self._cache = ArrayCache(CACHE_BYTES) if cache is None else cache
        self._lock, self._keeping = threading.Lock(), threading.Lock()

    @property
    def finest(self) -> Level:
        """The volume itself."""
        return self.levels[0]

    def plane(self, level: int, axis: str, index: int, part: Part | None = None) -> np.ndarray:
        """The slice `index` of a level across an axis, float32: [y, x] across z, [z, x] across y, [z, y] across x.

        part: of the slice, for which no more is read; None: all.

        Raises InputIndexError for a level, slice or part that does not exist, InputError for another axis.
        """
        source, number = self.level(level), axis_number(axis)
        if source.values is None and self.has_copies and level >= self.keepable and number:
            with suppress(SinogradError):
                self.keep()  # half of it is read for this plane, too
            source = self.levels[level]
        if not 0 <= index < source.shape[number]:
            raise InputIndexError(f"index: expected 0 to {source.shape[number] - 1} across {axis}, got {index}")
        first, end = _together(source, number, index, part)
        box = _slab(source.shape, number, (first, end), part)
        if source.values is not None:
            return _across(source.values[box], number, index - first).astype(np.float32, copy=False)
        slab = self._cache.get((id(self), level, axis, first, end, part), lambda: _read_slab(source, box))
        return _across(slab, number, index - first).astype(np.float32, copy=False)

    def whole(self, level: int) -> np.ndarray:
        """All values of a small level, kept in the cache while there is room."""
        source = self.level(level)
        if source.values is not None:
            return source.values
        return self._cache.get((id(self), level), lambda: source.slices(0, source.shape[0]))

    def value(self, place: tuple[int, int, int]) -> float:
        """Of the voxel z, y, x of the finest level."""
        z, y, x = place
        box = (slice(z, z + 1), slice(y, y + 1), slice(x, x + 1))
        return float(self.finest.box(box).astype(np.float32).item())

    def level(self, number: int) -> Level:
        """A level by its number."""
        if not 0 <= number < len(self.levels):
            raise InputIndexError(f"level: expected 0 to {len(self.levels) - 1}, got {number}")
        if number == len(self.levels) - 1 and 4 * math.prod(self.finest.shape) <= _FEW_BYTES:
            return self.overview
        return self.levels[number]

    @cached_property
    def overview(self) -> Level:
        """The coarsest level, in memory."""
        with self._lock:
            if "overview" in self.__dict__:
                return self.__dict__["overview"]
            last = self.levels[-1]
            made = held(last, _means(self.finest, len(self.levels) - 1)) if not self.has_copies else last.loaded()
            self.levels[-1] = made
            return made

    def keep(self) -> None:
        """Hold coarse levels in memory, the coarsest first; see `keepable`.

        Of a file that is damaged there, those that were read until then; the error is raised once.
        """
        with self._keeping:
            for number in reversed(range(self.keepable, len(self.levels))):
                try:
                    last = number == len(self.levels) - 1
                    self.levels[number] = self.overview if last else self.levels[number].loaded()
                except Exception:
                    self.keepable = number + 1
                    raise

    @cached_property
    def keepable(self) -> int:
        """The finest of the coarse levels in the file that have at most `kept_bytes` together."""
        number, left = len(self.levels) - 1, self.kept_bytes - self.levels[-1].nbytes
        while self.has_copies and number > 1 and self.levels[number - 1].nbytes <= left:
            number -= 1
            left -= self.levels[number].nbytes
        return number

    @property
    def quick(self) -> int | None:
        """The finest level in memory; None while there is none."""
        return next((i for i, level in enumerate(self.levels) if level.values is not None), None)

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


def axis_number(axis: str) -> int:
    """0, 1, 2 of z, y, x; InputError for others."""
    if axis not in AXES:
        raise InputError(f"axis: expected z, y or x, got {axis!r:.20}")
    return AXES.index(axis)


def _halved(values: np.ndarray, times: int) -> np.ndarray:
    values = values.astype(np.float32, copy=False)
    for _ in range(times):
        values = halved(values)
    return values


def _halved_level(finest: Level, times: int) -> Level:
    """Means of 2^n voxels along every axis, as often halved as an OME-Zarr pyramid is."""
    shape, spacing, first = list(finest.shape), list(finest.spacing), list(finest.first)
    factors = [1 if n == 1 else 2**times for n in finest.shape]
    for axis, factor in enumerate(factors):
        for _ in range(times):
            shape[axis] = -(-shape[axis] // 2)
        first[axis] += (factor - 1) / 2 * spacing[axis]
        spacing[axis] *= factor

    def read(box: Box) -> np.ndarray:
        z, y, x = (
            slice(part.start * factor, min(part.stop * factor, count))
            for part, factor, count in zip(box, factors, finest.shape, strict=True)
        )
        return _halved(finest.box((z, y, x)), times)

    place = (
        (shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2]), (first[0], first[1], first[2])
    )  # fmt: skip
    return Level(*place, np.dtype(np.float32), read, (max(1, finest.chunk[0] // factors[0]), 1, 1))


def _means(finest: Level, times: int) -> np.ndarray:
    """The whole copy, made of slabs of the finest level."""
    thick, count = 2**times, finest.shape[0]
    per_slice = 4 * math.prod(finest.shape[1:])
    step = thick * max(1, _FEW_BYTES // (thick * per_slice))
    parts = []
    for first in range(0, count, step):
        end = min(first + step, count)
        if thick * per_slice <= 2 * _FEW_BYTES or count == 1:
            parts.append(_halved(finest.slices(first, end), times))
        else:
            parts.append(_thick_mean(finest, first, end, times))
    return np.concatenate(parts)


def _thick_mean(finest: Level, first: int, end: int, times: int) -> np.ndarray:
    """The one slice of a slab that is too thick to be read at once."""
    planes = np.stack([_halved(finest.slices(z, z + 1), times)[0] for z in range(first, end)])
    for _ in range(times):
        planes = mean_of_pairs(planes, 0)
    return planes


def _together(level: Level, axis: int, index: int, part: Part | None) -> tuple[int, int]:
    """The slices about `index` that are read with it: of the same chunk, as many as `SLAB_BYTES` hold."""
    chunk = level.chunk[axis]
    rows, columns = (n for i, n in enumerate(level.shape) if i != axis)
    if part is not None:
        rows, columns = part[1] - part[0], part[3] - part[2]
    fitting = max(1, SLAB_BYTES // max(1, level.dtype.itemsize * rows * columns))
    count = -(-chunk // -(-chunk // fitting))  # parts of a chunk of one size
    start = index - index % chunk
    first = start + (index - start) // count * count
    return first, min(first + count, start + chunk, level.shape[axis])


def _read_slab(level: Level, box: Box) -> np.ndarray:
    """A box in the type of the file; the memory that reading takes beside it is of one large box at a time."""
    large = 4 * math.prod(part.stop - part.start for part in box) >= _LARGE_BYTES
    with _reading_large if large else nullcontext():
        return level.box(box)


def _slab(shape: tuple[int, ...], axis: int, slices: tuple[int, int], part: Part | None) -> Box:
    rows, columns = (n for i, n in enumerate(shape) if i != axis)
    a, b, c, d = part or (0, rows, 0, columns)
    if not (0 <= a < b <= rows and 0 <= c < d <= columns):
        raise InputIndexError(f"part: expected rows 0 to {rows} and columns 0 to {columns}, got {[a, b, c, d]}")
    parts = [slice(a, b), slice(c, d)]
    parts.insert(axis, slice(*slices))
    return parts[0], parts[1], parts[2]


def _across(values: np.ndarray, axis: int, index: int) -> np.ndarray:
    return values[(slice(None),) * axis + (index,)]
