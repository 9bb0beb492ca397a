"""What MetaImage, NRRD and NIfTI have in common: SimpleITK writes them.

Images are written along the world's axes: direction is the identity, spacing is (x, y, z) mm, and the origin is the
world position of the first voxel's centre. Images whose axes run against them, or are in another order, are read along
the world's axes with a ScanWarning; oblique ones are an error. ITK's world is LPS, and it stores NIfTI in RAS with the
signs of x and y turned, so programs that follow either standard see the axes as they are. Booleans are stored as uint8,
float16 as float32.

Unit and provenance are JSON text in the field `sinograd`. Writing holds a second copy of the volume for the time it
takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.json import load_json
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.io.storage.optional import extra
from sinograd.io.storage.raw_images import RawImages
from sinograd.io.storage.voxels import Voxels
from sinograd.io.volumes.format import StoredArray, VolumeFormat, as_array, record_of, volume_of
from sinograd.io.volumes.orientation import TurnedSource, orientation_of, tell

PACKAGE = "SimpleITK"
FIELD = "sinograd"


class ItkFormat(VolumeFormat):
    """What the formats that SimpleITK reads and writes have in common."""

    def fields(self, record: Mapping[str, Any]) -> dict[str, str]:
        """The fields of a file that hold what is not in the image."""
        return {FIELD: to_json({name: record[name] for name in ("unit", "dtype", "provenance") if name in record})}

    def record(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """What the fields of a file tell."""
        try:
            record = load_json(fields.get(FIELD, "{}"))
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    def write(self, volume: Volume, path: Path) -> None:
        """The image and its fields."""
        sitk: Any = extra(PACKAGE, path)
        array = as_array(volume)
        stored = {"bool": "uint8", "float16": "float32"}.get(array.dtype.name, array.dtype.name)
        image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=stored))
        image.SetSpacing(volume.grid.spacing[::-1])
        image.SetOrigin([float(axis[0]) for axis in reversed(volume.grid.axes())])
        for name, text in self.fields(record_of(volume)).items():
            image.SetMetaData(name, text)
        try:
            sitk.WriteImage(image, str(path))
        except RuntimeError as error:
            raise OSError(f"SimpleITK could not write it: {last_line(error)}") from error


@dataclass(frozen=True)
class Placed:
    """Voxel sizes (x, y, z), place of the first voxel's centre, and directions of the axes, row by row; mm."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]


def placed_volume(path: Path, voxels: Voxels, placed: Placed, record: Mapping[str, Any]) -> Volume:
    """The volume of an image's voxels; raw ones are read when they are needed. As `turned_volume`."""
    shape = voxels.shape
    if voxels.packing == "raw":
        images = RawImages(voxels.path, voxels.extents, (shape[-2], shape[-1]), voxels.dtype)
        values: Any = StoredArray(images, shape, is_bool=record.get("dtype") == "bool")
    else:
        values = voxels.read()
    return turned_volume(path, values, placed, record)


def turned_volume(path: Path, values: Any, placed: Placed, record: Mapping[str, Any]) -> Volume:
    """A volume of an array or a source [z, y, x] or [y, x], its axes in the world's order and directions.

    FormatError for oblique axes, a ScanWarning where axes are reversed or exchanged.
    """
    shape, stored = tuple(int(n) for n in values.shape), len(placed.spacing)
    ndim = len(shape)
    direction = np.reshape(placed.direction, (stored, stored))[:ndim, :ndim]
    orientation = orientation_of(direction, path)
    tell(orientation, path)
    counts, steps = np.array(shape[::-1]), np.array(placed.spacing[:ndim])
    middle = np.array(placed.origin[:ndim]) + direction @ ((counts - 1) / 2 * steps)
    middle[np.abs(middle) <= np.finfo(np.float32).eps * np.abs(placed.origin[:ndim])] = 0.0  # of float32 origins
    spacing = orientation.shape(range(ndim))
    where = {"spacing_mm": [float(steps[ndim - 1 - axis]) for axis in spacing], "center_mm": middle.tolist()}
    if not orientation.is_identity:
        turned = isinstance(values, np.ndarray)
        values = orientation.turned(values) if turned else TurnedSource(values, orientation)
    return volume_of(values, {**record, **where}, path)


def last_line(error: Exception) -> str:
    """What SimpleITK says in the end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
