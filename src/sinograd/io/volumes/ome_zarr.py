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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.boxes import Box
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.io.storage.optional import extra
from sinograd.io.volumes.format import VolumeFormat, as_array, as_tensor, record_of, torch_dtype, volume_of
from sinograd.io.volumes.halving import halved
from sinograd.io.volumes.ome_zarr_levels import (
    MOST_LEVELS,
    OWN_KEYS,
    PACKAGE,
    StoredLevel,
    is_zarr_group,
    stored_levels,
)
from sinograd.io.volumes.sink import VolumeSink

VERSION = 2
CHUNK = 128


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
        return [_volume(level, path) for level in stored_levels(path, most)]

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
    own = {name: record[name] for name in OWN_KEYS if name in record}
    return {
        "ome": {"version": "0.5", "multiscales": [multiscale]},
        "sinograd": {"version": VERSION, **json.loads(to_json(own))},
    }


@dataclass(frozen=True)
class ZarrLevel:
    """A level of an OME-Zarr folder as tensors; `shape` is without axes of time and channel."""

    stored: StoredLevel

    @property
    def shape(self) -> tuple[int, ...]:
        """Z, Y, X, or Y, X of an image."""
        return self.stored.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return torch_dtype(np.dtype(self.stored.array.dtype))

    @property
    def block(self) -> int:
        """Slices of a chunk."""
        return self.stored.chunk[0]

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1; FormatError naming the folder where chunks are damaged."""
        return self.read_box((slice(first, end), slice(0, self.shape[-2]), slice(0, self.shape[-1])))

    def read_box(self, box: Box) -> Tensor:
        """Voxels of a box, for which only the chunks that it meets are read; errors as `read`."""
        return as_tensor(self.stored.read_box(box))


def _volume(level: StoredLevel, path: Path) -> Volume:
    middle = [f + (n - 1) / 2 * s for f, n, s in zip(level.first, level.shape, level.spacing, strict=True)]
    record = {**level.record, "spacing_mm": level.spacing, "center_mm": middle[::-1]}
    return volume_of(ZarrLevel(level), record, path)


def _dataset(path: str, scale: np.ndarray, translation: np.ndarray) -> dict[str, Any]:
    transforms = [
        {"type": "scale", "scale": scale.tolist()},
        {"type": "translation", "translation": translation.tolist()},
    ]
    return {"path": path, "coordinateTransformations": transforms}


def _pyramid(array: np.ndarray, labels: bool) -> list[np.ndarray]:
    levels = [array]
    while max(levels[-1].shape) > CHUNK:
        levels.append(levels[-1][(slice(None, None, 2),) * array.ndim] if labels else halved(levels[-1]))
    return levels
