"""Volumes whose slices are read when they are asked for, from any file that `read_volume` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputIndexError
from sinograd.geometry import Grid
from sinograd.io.storage.hdf5.layout import numbers, opened
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.volumes import ome_zarr
from sinograd.io.volumes import slices as slice_stack
from sinograd.io.volumes import tiff as tiff_volumes
from sinograd.io.volumes import volume_files as volumes


@dataclass(frozen=True, eq=False)
class OpenVolume:
    """A volume [Z, Y, X] (an image is one slice) that stays in its file.

    It holds no open file, so it can be pickled and used in DataLoader workers.

    Attributes:
        grid: its voxels, 3-D also for an image (as thick as its smaller pixel side).
        provenance: how the file was made, {} where it does not tell.
        block: slices that are best read together: those of a chunk; all, where a file can only be read whole
            (.mha, NIfTI, .txm).
    """

    path: Path
    grid: Grid
    slices: Callable[[int, int], np.ndarray] = field(repr=False)
    block: int = 1
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        return (self.grid.shape[0], self.grid.shape[1], self.grid.shape[2])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm along z, y, x."""
        return (self.grid.spacing[0], self.grid.spacing[1], self.grid.spacing[2])

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1, float32 [end - first, Y, X]; ValueError naming the file when it is damaged."""
        if not 0 <= first <= end <= self.shape[0]:
            raise InputIndexError(f"{self.path}: slices {first} to {end} asked for, it has {self.shape[0]}")
        found = self.slices(first, end)
        array = np.array(found, dtype=np.float32).reshape(end - first, *self.shape[1:])
        return torch.from_numpy(array)


def open_volume(path: str | Path) -> OpenVolume:
    """A volume file, of which only the header is read; files that can only be read whole are, once for that.

    Raises:
        FileNotFoundError, ValueError: as `read_volume`.
    """
    path = Path(path)
    suffix = volumes.check_readable(path)
    block = 1
    if suffix in (".h5", ".hdf5"):
        stored, record, block = _hdf5(path)
    elif suffix == ".npy":
        array, record = volumes.open_npy(path)
        stored = _Npy(path.resolve(), array.shape)
    elif suffix == ".zarr":
        array, shape, record = ome_zarr.stored(path)
        stored = _Zarr(path.resolve(), array, shape)
        block = int(array.chunks[-3]) if len(shape) == 3 else 1
    elif suffix in (".tif", ".tiff"):
        stored, record = tiff_volumes.images(path)
    elif suffix == "":
        stored, record = slice_stack.images(path)
    else:
        return _whole(path)
    shape = tuple(int(n) for n in record.get("shape", stored.shape))
    return _opened(path, volumes.grid_of(path, shape, record), _Slices(stored, len(shape)), block, record)


@dataclass(frozen=True)
class _Slices:
    """Slices of a stored array of 3 dimensions, or of 2: one slice."""

    stored: Any
    ndim: int

    def __call__(self, first: int, end: int) -> np.ndarray:
        if self.ndim == 2 and len(self.stored.shape) == 2:
            return np.asarray(self.stored[:])[None][first:end]
        return np.asarray(self.stored[first:end])


@dataclass(frozen=True)
class _Npy:
    """An .npy file, mapped anew each time."""

    path: Path
    shape: tuple[int, ...]

    def __getitem__(self, slices: slice) -> np.ndarray:
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        if array.shape != self.shape:
            raise InputError(f"{self.path} changed since it was opened: {array.shape} != {self.shape}")
        return array[slices]


@dataclass(frozen=True)
class _Zarr:
    """The finest level of an OME-Zarr folder; `shape` is without axes of time and channel."""

    folder: Path
    array: Any
    shape: tuple[int, ...]

    def __getitem__(self, slices: slice) -> np.ndarray:
        leading = (0,) * (self.array.ndim - len(self.shape))
        return ome_zarr.checked(self.folder, lambda: np.asarray(self.array[(*leading, slices)]))


@dataclass(frozen=True)
class _File:
    """A file that can only be read whole."""

    path: Path

    def __call__(self, first: int, end: int) -> np.ndarray:
        volume = volumes.read_volume(self.path)[0]
        return (volume if volume.ndim == 3 else volume[None])[first:end].numpy()


def _hdf5(path: Path) -> tuple[Any, dict[str, Any], int]:
    with opened(path) as file:
        record = volumes.hdf5_record(file, path)
        dataset = numbers(file, "volume", path)
        shape = tuple(int(n) for n in dataset.shape)
        block = int(dataset.chunks[0]) if dataset.chunks and len(shape) == 3 else 1
        return Hdf5Projections(path.resolve(), "volume", shape, dataset.dtype), record, block


def _whole(path: Path) -> OpenVolume:
    _, grid, provenance = volumes.read_volume(path)
    return _opened(path, grid, _File(path), grid.shape[0] if grid.ndim == 3 else 1, {"provenance": provenance})


def _opened(
    path: Path, grid: Grid, slices: Callable[[int, int], np.ndarray], block: int, record: Mapping[str, Any]
) -> OpenVolume:
    if grid.ndim == 2:
        grid = Grid((1, *grid.shape), (min(grid.spacing), *grid.spacing), (*grid.center, 0.0))
    held = record.get("provenance")
    return OpenVolume(path, grid, slices, block, dict(held) if isinstance(held, dict) else {})
