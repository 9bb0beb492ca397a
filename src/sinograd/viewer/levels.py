"""A volume and the coarser copies that its file holds, as arrays that NumPy reads.

OME-Zarr is opened here without torch, whose import takes longer than all else until a page is shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sinograd.data.unit_names import length_unit_of, unit_name
from sinograd.errors import InputError, InputIndexError
from sinograd.io.volumes.ome_zarr_levels import StoredLevel, is_zarr_group, stored_levels
from sinograd.io.volumes.scale import checked_scale

if TYPE_CHECKING:
    from sinograd.data.volume import Volume

T = TypeVar("T")
Box = tuple[slice, slice, slice]
"""Of z, y and x, each with a start and a stop."""


@dataclass(frozen=True)
class Level:
    """Voxels of one size.

    Attributes:
        shape, spacing, first: counts, distances, and the place of the first voxel along z, y, x; mm or pixels.
        dtype: of what `read` gives.
        read: a box of voxels [z, y, x].
        chunk: voxels along z, y, x that a file gives together.
        values: all of them, where they are in memory.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    first: tuple[float, float, float]
    dtype: np.dtype[Any]
    read: Callable[[Box], np.ndarray]
    chunk: tuple[int, int, int] = (1, 1, 1)
    values: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize

    def box(self, box: Box) -> np.ndarray:
        """Voxels of a box; InputIndexError where it does not lie within the level."""
        if not all(0 <= part.start <= part.stop <= count for part, count in zip(box, self.shape, strict=True)):
            raise InputIndexError(f"the box {[(s.start, s.stop) for s in box]} is not within {list(self.shape)}")
        return self.read(box) if self.values is None else self.values[box]

    def slices(self, first: int, end: int) -> np.ndarray:
        """Slices first to end - 1 across z."""
        return self.box((slice(first, end), slice(0, self.shape[1]), slice(0, self.shape[2])))

    def loaded(self) -> Level:
        """The same level in memory."""
        return self if self.values is not None else held(self, self.slices(0, self.shape[0]))


@dataclass(frozen=True)
class Levels:
    """The levels of a volume, the finest first, each of half the voxels of the one before.

    Attributes:
        unit: see `Volume`.
        is_image: whether it has two dimensions.
        dtype: name of the type of the finest level.
        whole_file: whether the file can only be read whole, so that it is best kept in memory.
    """

    levels: list[Level]
    unit: str | None
    is_image: bool
    dtype: str
    whole_file: bool = False

    @property
    def length_unit(self) -> str:
        """ "mm" or "pixel"."""
        return length_unit_of(self.unit)


def held(level: Level, values: np.ndarray) -> Level:
    """The level with values in memory."""
    return dataclasses.replace(level, values=values, dtype=values.dtype)


def open_shown(path: Path) -> Levels:
    """What a file or folder holds.

    Raises InputError, or FileError, for what is no volume.
    """
    found = _of_zarr(path) if is_zarr_group(path) else None
    if found is not None:
        return found
    from sinograd.io.volumes.read_write import open_levels

    return levels_of(open_levels(path))


def levels_of(volumes: list[Volume]) -> Levels:
    """Volumes as `open_levels` gives them."""
    first = volumes[0]
    slices = first.as_slices()
    whole = slices.is_lazy and slices.block >= slices.slices > 1 and len(volumes) == 1
    levels = [_of_volume(volume.as_slices()) for volume in volumes]
    return Levels(levels, first.unit, first.ndim == 2, str(first.dtype).removeprefix("torch."), whole)


def _of_volume(volume: Volume) -> Level:
    from sinograd.data.boxes import stored_box

    first = _three([float(axis[0]) for axis in volume.grid.axes()])
    shape, spacing = _three(volume.shape), _three(volume.spacing)
    chunk = (volume.block, 1, 1)
    level = Level(shape, spacing, first, _dtype_of(volume), lambda box: stored_box(volume, box).numpy(), chunk)
    return level if volume.is_lazy else held(level, volume.values.detach().numpy())


def _dtype_of(volume: Volume) -> np.dtype[Any]:
    import torch

    return torch.empty(0, dtype=volume.dtype).numpy().dtype


def _of_zarr(path: Path) -> Levels | None:
    """OME-Zarr; None for a record that only `open_levels` judges, and says what is wrong with it."""
    from sinograd.files.inputs import read_as

    with read_as(path):
        stored = stored_levels(path)
    try:
        unit = unit_name(stored[0].record.get("unit"))
        numbers = stored[0].record.get("scale")
        scale = None if numbers is None else checked_scale(numbers)
    except InputError:
        return None
    if not all(math.isfinite(s) and s > 0 for level in stored for s in level.spacing):
        return None
    if not all(math.isfinite(f) for level in stored for f in level.first):
        return None
    name = "float32" if scale else str(np.dtype(stored[0].array.dtype))
    return Levels([_of_stored(level, scale) for level in stored], unit, len(stored[0].shape) == 2, name)


def _of_stored(level: StoredLevel, scale: tuple[float, float] | None) -> Level:
    shape, spacing, first = level.shape, level.spacing, level.first
    if len(shape) == 2:
        shape, spacing, first = (1, *shape), (min(spacing), *spacing), (0.0, *first)
    dtype = np.dtype(np.float32) if scale else np.dtype(level.array.dtype).newbyteorder("=")

    def read(box: Box) -> np.ndarray:
        values = level.read_box(box)
        return (values * np.float64(scale[0]) + scale[1]).astype(np.float32) if scale else values

    return Level(_three(shape), _three(spacing), _three(first), dtype, read, level.chunk)


def _three(values: Sequence[T]) -> tuple[T, T, T]:
    z, y, x = values
    return z, y, x
