"""The levels of an OME-Zarr folder as NumPy reads them: where their voxels are, and boxes of them.

Nothing here imports torch, so that a volume can be looked at before that is loaded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import FormatError, OutOfMemory
from sinograd.files.inputs import noted
from sinograd.io.storage.optional import extra
from sinograd.io.storage.outside import OutsideError
from sinograd.io.storage.zarr_checks import check_array, check_chunk, check_folder, count_files
from sinograd.io.storage.zarr_chunks import ZarrChunks, chunks_of
from sinograd.io.volumes.old_units import trusted_record

PACKAGE = "zarr"
MOST_LEVELS = 32
OWN_KEYS = ("unit", "scale", "provenance")
MM = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1e3}
T = TypeVar("T")


@dataclass(frozen=True)
class StoredLevel:
    """One level of an OME-Zarr folder.

    Attributes:
        folder: of the group.
        array: of zarr.
        chunks: the same array, where its files are read without zarr.
        shape: [z, y, x] or [y, x], without axes of time and channel.
        spacing, first: of voxels, and the middle of the first one, along the same axes, mm.
        record: unit, scale and provenance, where the group tells them.
    """

    folder: Path
    array: Any
    chunks: ZarrChunks | None
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    first: tuple[float, ...]
    record: dict[str, Any]

    @property
    def chunk(self) -> tuple[int, int, int]:
        """Voxels that are unpacked together, along z, y and x."""
        y, x = (int(n) for n in self.array.chunks[-2:])
        return (int(self.array.chunks[-3]) if len(self.shape) == 3 else 1), y, x

    def read_box(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        """Voxels [z, y, x] of a box (an image is one slice) in the type that is stored; only their chunks are read.

        Raises FormatError, which names the folder, where chunks are damaged.
        """
        flat = len(self.shape) == 2
        leading = (slice(0, 1),) * (self.array.ndim - len(self.shape))
        place = (*leading, *(box[1:] if flat else box))
        array = checked(self.folder, lambda: self._voxels(place))
        return array.reshape(1, *array.shape[-2:])[box[0]] if flat else array.reshape(array.shape[-3:])

    def _voxels(self, place: tuple[slice, ...]) -> np.ndarray:
        if self.chunks is not None:
            return self.chunks.read(place)
        array = self.array
        outer = array.shards or array.chunks
        plain = math.prod(array.chunks) * array.dtype.itemsize
        inner = math.prod(-(-n // m) for n, m in zip(outer, array.chunks, strict=True))
        counts = [range(s.start // step, -(-s.stop // step)) for s, step in zip(place, outer, strict=True)]
        for chunk in product(*counts):
            check_chunk(self.folder / array.path, array.metadata.encode_chunk_key(chunk), plain, inner)
        return np.asarray(array[place])


def is_zarr_group(folder: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return (folder / "zarr.json").is_file() or (folder / ".zgroup").is_file()


def stored_levels(folder: Path, most: int = MOST_LEVELS) -> list[StoredLevel]:
    """The levels of a folder, the finest first; FormatError when it is no OME-Zarr volume or is damaged."""
    zarr: Any = extra(PACKAGE, folder)

    def opened() -> tuple[list[StoredLevel], bool]:
        on_disk = check_folder(folder)
        group = zarr.open_group(str(noted(folder, whole=True)), mode="r")
        attributes = dict(group.attrs)
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        own = attributes.get("sinograd")
        own = own if isinstance(own, dict) else {}
        record = {name: own[name] for name in OWN_KEYS if name in own}
        levels = []
        for number, dataset in enumerate(multiscale["datasets"][:most]):
            array = group[_inner_path(dataset["path"])]
            shape, spacing, first = _placed(multiscale, tuple(int(n) for n in array.shape), number)
            check_array(folder, tuple(array.shape), tuple(array.chunks), array.dtype.itemsize, on_disk)
            if own:
                _check_chunks(array, folder)
            place = (shape, tuple(spacing), tuple(first))
            levels.append(StoredLevel(folder.resolve(), array, chunks_of(folder.resolve(), array), *place, record))
        return levels or multiscale["datasets"][0], "version" not in own

    levels, is_old = checked(folder, opened)
    for level in levels:
        if level.array.dtype.kind not in "fiub":
            raise FormatError(f"{folder} must hold real numbers, got {level.array.dtype}")
    if not is_old:
        return levels
    return [dataclasses.replace(level, record=trusted_record(folder, level.record)) for level in levels]


def _inner_path(path: Any) -> str:
    """The path of an array below its group."""
    parts = path.split("/") if isinstance(path, str) else []
    if not all(part and part not in (".", "..") for part in parts) or not parts or "\\" in path or ":" in path:
        raise FormatError(f"the path of the finest level is {shown(path)}, expected one below the group")
    return path


def checked(folder: Path, work: Callable[[], T]) -> T:
    """What `work` gives; FormatError naming the folder for whatever a damaged one leads to."""
    # Zarr meets damaged files with KeyError, TypeError, JSON and codec errors.
    try:
        return work()
    except (OutsideError, OutOfMemory):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        raise FormatError(f"{folder} is no OME-Zarr volume, or is damaged: {reason}") from error


def _check_chunks(array: Any, folder: Path) -> None:
    """FormatError where chunks are missing, which Zarr reads as zeros; sinograd writes all."""
    expected = math.prod(-(-n // step) for n, step in zip(array.shape, array.shards or array.chunks, strict=True))
    found = count_files(folder / str(array.path) / "c")
    if found < expected:
        raise FormatError(f"{expected - found} of {expected} chunks are missing")


def _placed(
    multiscale: dict[str, Any], stored: tuple[int, ...], number: int
) -> tuple[tuple[int, ...], list[float], list[float]]:
    """Shape, spacing (mm) and position of the first voxel (mm) along z, y, x or y, x, of the level `number`."""
    scale, translation = np.ones(len(stored)), np.zeros(len(stored))
    for transform in (
        *multiscale["datasets"][number]["coordinateTransformations"],
        *multiscale.get("coordinateTransformations", ()),
    ):
        if transform["type"] == "scale":
            factors = np.array(transform["scale"], dtype=np.float64)
            scale, translation = scale * factors, translation * factors
        elif transform["type"] == "translation":
            translation = translation + np.array(transform["translation"], dtype=np.float64)
        else:
            raise FormatError(f"coordinate transformation {shown(transform['type'])} is not supported")
    axes = multiscale["axes"]
    space = [i for i, axis in enumerate(axes) if axis.get("type") == "space"]
    names = [axes[i]["name"] for i in space]
    if names not in (["z", "y", "x"], ["y", "x"]) or len(axes) != len(stored):
        raise FormatError(f"expected the axes z, y, x or y, x, got {[axis.get('name') for axis in axes]}")
    if any(stored[i] != 1 for i in range(len(stored)) if i not in space):
        raise FormatError(f"expected one channel and one time, got {list(stored)}")
    units = [MM.get(axes[i].get("unit"), 0.0) for i in space]
    if not all(units):
        raise FormatError(f"the axes have the units {[axes[i].get('unit') for i in space]}, known are {', '.join(MM)}")
    spacing = [float(scale[i] * unit) for i, unit in zip(space, units, strict=True)]
    first = [float(translation[i] * unit) for i, unit in zip(space, units, strict=True)]
    return tuple(stored[i] for i in space), spacing, first
