"""Volumes as OME-Zarr folders: OME-NGFF 0.5 in Zarr version 3, with a pyramid of halved copies.

    zarr.json      attributes: ome = {version, multiscales: [axes z, y, x in millimeter; for each level a scale (mm)
                   and a translation (mm, centre of the first voxel)]}, sinograd = {version = 2, unit (missing: not
                   known), scale (of whole numbers: [slope, intercept]), provenance}; without a version: of sinograd
                   0.1.0, whose unit is always 1/mm
    0, 1, 2 ...    arrays in chunks of up to 128 a side; each level averages 2 x 2 x 2 voxels of the one before, until
                   no axis has more than 128. The last voxel of an odd axis averages what there is. Of masks and
                   labels (whole numbers or booleans without a unit) a level takes the first of the voxels instead

Reading takes level 0, of version 0.4 or 0.5, in any unit of length. Writing holds the levels above 0 beside the
volume: 1/7 of its size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sinograd.config.shown import shown
from sinograd.data.boxes import Box
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError, OutOfMemory
from sinograd.files.inputs import noted
from sinograd.io.storage.optional import extra
from sinograd.io.storage.outside import OutsideError
from sinograd.io.storage.zarr_checks import check_array, check_chunk, check_folder
from sinograd.io.volumes.format import VolumeFormat, as_array, as_tensor, record_of, torch_dtype, volume_of
from sinograd.io.volumes.old_units import trusted_record
from sinograd.io.volumes.sink import VolumeSink

PACKAGE = "zarr"
VERSION = 2
CHUNK = 128
MOST_LEVELS = 32
_OWN = ("unit", "scale", "provenance")
T = TypeVar("T")
MM = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1e3}


class OmeZarr(VolumeFormat):
    """A Zarr group with an image pyramid."""

    folder = True
    streams = True
    unit_place = "`unit` of the group's attribute `sinograd`"

    def matches(self, path: Path, head: bytes) -> bool:
        """A folder that is a Zarr group."""
        return is_zarr_group(path)

    def is_own(self, folder: Path) -> bool:
        """A Zarr group and nothing else."""
        return is_zarr_group(folder) and all(
            path.name == "zarr.json" or path.name.isdigit() for path in folder.iterdir()
        )

    def open(self, path: Path) -> Volume:
        """The finest level; FormatError when it is no OME-Zarr volume or is damaged."""
        return self.levels(path, most=1)[0]

    def levels(self, path: Path, most: int = MOST_LEVELS) -> list[Volume]:
        """The pyramid, the finest level first."""
        return [
            volume_of(ZarrLevel(path.resolve(), array, shape), record, path)
            for array, shape, record in _stored(path, most)
        ]

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """Slabs in shards of their own."""
        from sinograd.io.volumes.ome_zarr_sink import ZarrSink

        extra(PACKAGE, path)
        return ZarrSink(path, header)

    def write(self, volume: Volume, path: Path) -> None:
        """The volume, its pyramid and its record."""
        zarr: Any = extra(PACKAGE, path)
        array, record = as_array(volume), record_of(volume)
        labels = volume.unit == "1" and array.dtype.kind in "iub"
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        levels = _pyramid(array, labels)
        for number, level in enumerate(levels):
            stored = group.create_array(
                str(number),
                shape=level.shape,
                chunks=tuple(min(CHUNK, n) for n in level.shape),
                dtype=level.dtype.newbyteorder("="),
                dimension_names=["z", "y", "x"][-array.ndim :],
                config={"write_empty_chunks": True},
            )
            for start in range(0, level.shape[0], CHUNK):
                stored[start : start + CHUNK] = level[start : start + CHUNK]
        group.attrs.update(attributes_of(volume, [level.shape for level in levels], labels, record))


def attributes_of(
    volume: Volume, shapes: list[tuple[int, ...]], labels: bool, record: dict[str, Any]
) -> dict[str, Any]:
    """Those of the group, of levels of these shapes."""
    spacing = np.array(volume.spacing, dtype=np.float64)
    first = np.array([float(axis[0]) for axis in volume.grid.axes()])
    datasets, factor = [], np.ones(volume.ndim)
    for number in range(len(shapes)):
        if number:
            factor = factor * np.where(np.array(shapes[number - 1]) > 1, 2, 1)
        datasets.append(_dataset(str(number), spacing * factor, first + (factor - 1) / 2 * spacing))
    multiscale = {
        "name": "volume",
        "type": "nearest" if labels else "mean",
        "axes": [{"name": n, "type": "space", "unit": "millimeter"} for n in ["z", "y", "x"][-volume.ndim :]],
        "datasets": datasets,
    }
    own = {name: record[name] for name in _OWN if name in record}
    return {
        "ome": {"version": "0.5", "multiscales": [multiscale]},
        "sinograd": {"version": VERSION, **json.loads(to_json(own))},
    }


@dataclass(frozen=True)
class ZarrLevel:
    """The finest level of an OME-Zarr folder; `shape` is without axes of time and channel."""

    folder: Path
    array: Any
    shape: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return torch_dtype(np.dtype(self.array.dtype))

    @property
    def block(self) -> int:
        """Slices of a chunk."""
        return int(self.array.chunks[-3]) if len(self.shape) == 3 else 1

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1; FormatError naming the folder where chunks are damaged."""
        return self.read_box((slice(first, end), slice(0, self.shape[-2]), slice(0, self.shape[-1])))

    def read_box(self, box: Box) -> Tensor:
        """Voxels of a box, for which only the chunks that it meets are read; errors as `read`."""
        leading = (slice(0, 1),) * (self.array.ndim - len(self.shape))
        place = (*leading, *(box if len(self.shape) == 3 else box[1:]))
        array = checked(self.folder, lambda: self._voxels(place))
        array = array.reshape([1, *array.shape[-2:]] if len(self.shape) == 2 else array.shape[-3:])
        return as_tensor(array if len(self.shape) == 3 else array[box[0]])

    def _voxels(self, place: tuple[slice, ...]) -> np.ndarray:
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


def _dataset(path: str, scale: np.ndarray, translation: np.ndarray) -> dict[str, Any]:
    transforms = [
        {"type": "scale", "scale": scale.tolist()},
        {"type": "translation", "translation": translation.tolist()},
    ]
    return {"path": path, "coordinateTransformations": transforms}


def _stored(folder: Path, most: int) -> list[tuple[Any, tuple[int, ...], dict[str, Any]]]:
    """Of each level, the finest first, a Zarr array that is not read yet, its shape [z, y, x] or [y, x], its record."""
    zarr: Any = extra(PACKAGE, folder)

    def opened() -> tuple[list[Any], bool]:
        on_disk = check_folder(folder)
        group = zarr.open_group(str(noted(folder, whole=True)), mode="r")
        attributes = dict(group.attrs)
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        own = attributes.get("sinograd")
        own = own if isinstance(own, dict) else {}
        record = {name: own[name] for name in _OWN if name in own}
        levels = []
        for number, dataset in enumerate(multiscale["datasets"][:most]):
            array = group[_inner_path(dataset["path"])]
            shape, spacing, first = _placed(multiscale, tuple(int(n) for n in array.shape), number)
            check_array(folder, tuple(array.shape), tuple(array.chunks), array.dtype.itemsize, on_disk)
            middle = [f + (n - 1) / 2 * s for f, n, s in zip(first, shape, spacing, strict=True)]
            if own:
                _check_chunks(array, [path for path in (folder / str(array.path) / "c").rglob("*") if path.is_file()])
            levels.append((array, shape, {**record, "spacing_mm": spacing, "center_mm": middle[::-1]}))
        return levels or multiscale["datasets"][0], "version" not in own

    levels, is_old = checked(folder, opened)
    for array, *_ in levels:
        if array.dtype.kind not in "fiub":
            raise FormatError(f"{folder} must hold real numbers, got {array.dtype}")
    if not is_old:
        return levels
    return [(array, shape, trusted_record(folder, record)) for array, shape, record in levels]


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


def _check_chunks(array: Any, files: list[Path]) -> None:
    """FormatError where chunks are missing, which Zarr reads as zeros; sinograd writes all."""
    expected = math.prod(-(-n // step) for n, step in zip(array.shape, array.shards or array.chunks, strict=True))
    if len(files) < expected:
        raise FormatError(f"{expected - len(files)} of {expected} chunks are missing")


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


def _pyramid(array: np.ndarray, labels: bool) -> list[np.ndarray]:
    levels = [array]
    while max(levels[-1].shape) > CHUNK:
        levels.append(levels[-1][(slice(None, None, 2),) * array.ndim] if labels else halved(levels[-1]))
    return levels


def halved(array: np.ndarray) -> np.ndarray:
    """Means of 2 voxels along every axis that has more than one; planes of the first axis are taken by pairs."""
    whole = array.dtype.kind in "iu"
    step = 2 if array.shape[0] > 1 else 1
    half = np.empty([-(-n // 2) for n in array.shape], array.dtype)
    for index in range(half.shape[0]):
        plane = array[step * index : step * (index + 1)].mean(axis=0, dtype=np.float64 if whole else None)
        for axis in range(plane.ndim):
            plane = _pairs(plane, axis)
        half[index] = np.rint(plane) if whole else plane
    return half


def _pairs(array: np.ndarray, axis: int) -> np.ndarray:
    rows = np.moveaxis(array, axis, 0)
    mean = rows[::2].copy()
    even = rows.shape[0] // 2
    mean[:even] += rows[1::2]
    mean[:even] /= 2
    return np.moveaxis(mean, 0, axis)
