"""`VolumeFormat`: what one format of volumes offers. To add one, write a class and enter it in `sinograd.choices`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import shown
from sinograd.data.boxes import Box, cropped
from sinograd.data.units import UNITS, unit_name
from sinograd.data.volume import Volume
from sinograd.errors import FormatError, InputError, SinogradWarning, UnsupportedError
from sinograd.geometry import Grid
from sinograd.io.formats import Format
from sinograd.io.storage.atomic import check_destination, check_folder, replacing, replacing_folder
from sinograd.io.storage.digests import check_sidecar
from sinograd.io.volumes.scaled import scaled

if TYPE_CHECKING:
    from sinograd.io.volumes.sink import VolumeSink

RECORD_KEYS = ("shape", "spacing_mm", "center_mm", "unit", "dtype", "scale", "provenance")


class VolumeFormat(Format):
    """One format of volumes. A class offers `matches`, one of `read` and `open`, and `write` if it writes.

    Attributes:
        suffixes, writes, folder, package: for formats of other packages, whose entry is made from them;
            `sinograd.choices` says what they mean. `folder` is needed in every class.
        keeps: what a file holds beside values, spacing and position: "unit", "provenance", and "dtype" where
            floating-point and whole numbers and booleans come back as they were.
        unit_place: where the unit stands in a file, for the documentation.
        streams: whether volumes can be written slab by slab (`sink`).
    """

    holds: ClassVar[str] = "volume"
    suffixes: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[bool] = False
    folder: ClassVar[bool | None] = False
    package: ClassVar[str | None] = None
    keeps: ClassVar[frozenset[str]] = frozenset({"unit", "provenance", "dtype"})
    unit_place: ClassVar[str] = ""
    streams: ClassVar[bool] = False

    def read(self, path: Path) -> Volume:
        """The volume in memory. Raises FormatError, which names the file, for one that is damaged."""
        return self.open(path).load()

    def open(self, path: Path) -> Volume:
        """The volume, whose values are read when they are needed. A file that can only be read whole is, each time."""
        volume = self.read(path)
        source = WholeFile(path.resolve(), self, volume.shape, volume.dtype)
        return Volume(source, volume.grid, volume.unit, volume.provenance, path)

    def levels(self, path: Path) -> list[Volume]:
        """The volume as `open` gives it, and the coarser copies that the file holds, each of half the one before."""
        return [self.open(path)]

    def write(self, volume: Volume, path: Path) -> None:
        """Write to a new file, or fill an empty folder. Raises OSError; whoever calls makes the writing atomic."""
        raise UnsupportedError(f"{type(self).__name__} does not write volumes")

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """What takes a volume slab by slab, and makes `path` of it (see `io.volumes.sink`); if `streams`."""
        raise UnsupportedError(f"{type(self).__name__} does not write volumes slab by slab")

    def is_own(self, folder: Path) -> bool:
        """Whether a folder holds what `write` writes and nothing else, so that it may be replaced."""
        return False

    def written_paths(self, path: Path) -> list[Path]:
        """The files, or the folder, that a volume of this name is written to."""
        return [path]

    def check(self, path: Path, *, force: bool = False, needed: int = 0) -> None:
        """Check that a volume can be written to `path`; raises as `check_destination` and `check_folder`."""
        if self.folder:
            check_folder(path, ours=self.is_own, force=force, needed=needed)
            return
        files = self.written_paths(path)
        if path.with_suffix(".yaml") in files:
            check_sidecar(path, force=force)
        for file in files:
            check_destination(file, force=force, needed=needed if file == path else 0)

    def save(self, volume: Volume, path: Path, *, force: bool = False) -> None:
        """Write a volume so that its file or folder appears when it is whole, or not at all."""
        if self.folder:
            with replacing_folder(path, ours=self.is_own, force=force, needed=volume.nbytes) as folder:
                self.write(volume, folder)
        else:
            with replacing(path, force=force, needed=volume.nbytes) as temporary:
                self.write(volume, temporary)


@dataclass(frozen=True)
class WholeFile:
    """Values of a file that can only be read whole."""

    path: Path
    format: VolumeFormat
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def block(self) -> int:
        """All slices."""
        return self.shape[0] if len(self.shape) == 3 else 1

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1, for which the whole file is read."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SinogradWarning)  # they were given when it was opened
            values = self.format.read(self.path).values
        if tuple(values.shape) != self.shape:
            raise FormatError(f"{self.path} changed since it was opened: {tuple(values.shape)} != {self.shape}")
        return (values if values.ndim == 3 else values[None])[first:end]


@dataclass(frozen=True)
class StoredArray:
    """Slices of anything that gives NumPy arrays for slices of its first axis: an HDF5 dataset, images.

    Attributes:
        stored: may have one axis more than `shape`, of length 1, in front.
        is_bool: whether the stored numbers stand for booleans.
    """

    stored: Any
    shape: tuple[int, ...]
    block: int = 1
    is_bool: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return torch_dtype(np.dtype(np.bool_) if self.is_bool else np.dtype(self.stored.dtype))

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        if len(self.shape) == 2 and len(self.stored.shape) == 2:
            array = np.asarray(self.stored[:])[None][first:end]
        else:
            array = np.asarray(self.stored[first:end])
        return as_tensor(array.reshape(end - first, *self.shape[-2:]), is_bool=self.is_bool)

    def read_box(self, box: Box) -> Tensor:
        """Voxels of a box; of HDF5 only those chunks, of images whole slices are read."""
        inside = getattr(self.stored, "read_box", None)
        if inside is None or len(self.shape) != 3:
            return cropped(self, box)
        return as_tensor(np.asarray(inside(*box)), is_bool=self.is_bool)


def torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    """The type that a NumPy array becomes as a tensor."""
    return torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype


def as_tensor(array: np.ndarray, *, is_bool: bool = False) -> Tensor:
    """An array of any byte order as a tensor; no copy where none is needed."""
    array = array.astype(np.bool_) if is_bool else array
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def as_array(volume: Volume) -> np.ndarray:
    """All values as a NumPy array."""
    return volume.values.detach().cpu().numpy()


def record_of(volume: Volume) -> dict[str, Any]:
    """What files hold beside the values, as JSON or YAML: shape, spacing_mm, center_mm, unit, dtype, provenance.

    `unit` is left out where it is not known, `dtype` unless it is bool, which most formats store as whole numbers;
    `scale` is [slope, intercept] of value = slope * stored + intercept, of volumes that are stored as whole numbers.
    """
    record: dict[str, Any] = {
        "shape": list(volume.shape),
        "spacing_mm": [float(s) for s in volume.grid.spacing],
        "center_mm": [float(c) for c in volume.grid.center],
    }
    if volume.unit is not None:
        record["unit"] = volume.unit
    if volume.dtype == torch.bool:
        record["dtype"] = "bool"
    scale = getattr(volume.source, "scale", None)
    if scale is not None:
        record["scale"] = [float(number) for number in scale]
    return {**record, "provenance": dict(volume.provenance)}


def volume_of(values: Any, record: Mapping[str, Any], path: Path) -> Volume:
    """A volume of what `record_of` made; FormatError, which names the file, where something is missing or wrong.

    Args:
        values: an array, a tensor or a `VolumeSource`. Arrays of any byte order; booleans as the record says.
        record: spacing_mm, center_mm and, where they are, unit, dtype, scale and provenance.
    """
    if isinstance(values, np.ndarray):
        values = as_tensor(values, is_bool=record.get("dtype") == "bool")
    with damage(path):
        grid = grid_of(path, tuple(int(n) for n in values.shape), record)
        if record.get("scale") is not None:
            values = scaled(values, record["scale"])
        return Volume(values, grid, stored_unit(path, record), provenance_of(record), path)


def grid_of(path: Path, shape: tuple[int, ...], record: Mapping[str, Any]) -> Grid:
    """The grid of a file's record; FormatError naming the file where there is none."""
    try:
        return Grid(shape, tuple(record["spacing_mm"]), tuple(record["center_mm"]))
    except (KeyError, TypeError, ValueError) as error:
        others = [key for key in record if key not in RECORD_KEYS]
        raise FormatError(
            f"{path} has no usable spacing_mm and center_mm for shape {shape}: {error}"
            f"{did_you_mean(others, RECORD_KEYS)}"
        ) from error


def stored_unit(path: Path, record: Mapping[str, Any]) -> str | None:
    """The unit that a file's record states; None where it does not, FormatError for an unknown one."""
    unit = record.get("unit")
    try:
        return unit_name(unit if unit is None or isinstance(unit, str) else str(unit))
    except InputError as error:
        raise FormatError(f"{path}: the unit must be one of {', '.join(UNITS)}, got {shown(unit)}") from error


def provenance_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance in a file's record, {} where there is none."""
    provenance = record.get("provenance")
    return dict(provenance) if isinstance(provenance, dict) else {}


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """An InputError or TypeError without the file's name gets it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if str(path) in str(error):
            raise
        raise FormatError(f"{path}: {error}") from error


def float32_bytes(grid: Grid) -> int:
    """Bytes of a float32 volume on a grid."""
    return 4 * math.prod(grid.shape)
