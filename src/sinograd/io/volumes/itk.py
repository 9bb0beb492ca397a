"""What MetaImage, NRRD and NIfTI have in common: SimpleITK writes them.

The image's axes are the world's: direction is the identity, spacing is (x, y, z) mm, and the origin is the world
position of the first voxel's centre. ITK's world is LPS, and it stores NIfTI in RAS with the signs of x and y turned,
so programs that follow either standard see the axes as they are. Booleans are stored as uint8, float16 as float32.

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
from sinograd.errors import FormatError
from sinograd.io.storage.optional import extra
from sinograd.io.storage.raw_images import RawImages
from sinograd.io.storage.voxels import Voxels
from sinograd.io.volumes.format import StoredArray, VolumeFormat, as_array, record_of, volume_of

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
    """The volume of an image's voxels; raw ones are read when they are needed. FormatError for turned axes."""
    shape = voxels.shape
    if voxels.packing == "raw":
        images = RawImages(voxels.path, voxels.extents, (shape[-2], shape[-1]), voxels.dtype)
        values: Any = StoredArray(images, shape, is_bool=record.get("dtype") == "bool")
    else:
        values = voxels.read()
    return volume_of(values, {**record, **placement(path, shape, placed)}, path)


def placement(path: Path, shape: tuple[int, ...], placed: Placed) -> dict[str, Any]:
    """spacing_mm and center_mm of an image [z, y, x] or [y, x]; FormatError for turned axes."""
    stored = len(placed.spacing)
    direction = placed.direction
    if not np.allclose(np.reshape(direction, (stored, stored)), np.eye(stored), atol=1e-6):
        raise FormatError(f"{path} has turned or reversed axes (direction {direction}), which a grid cannot have")
    axes = zip(placed.origin, shape[::-1], placed.spacing, strict=False)
    return {
        "spacing_mm": list(reversed(placed.spacing[: len(shape)])),
        "center_mm": [first + (n - 1) / 2 * step for first, n, step in axes],
    }


def last_line(error: Exception) -> str:
    """What SimpleITK says in the end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
