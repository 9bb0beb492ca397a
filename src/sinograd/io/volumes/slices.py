"""Volumes as folders of TIFF slices: slice_00000.tif ... from z = low to high, and volume.yaml.

Slices [y, x] have pixels a mm in their tags; whole numbers stay, booleans are stored as uint8, the rest is float32.
volume.yaml holds shape, spacing_mm, center_mm, unit and provenance. Row 0 is the lowest y.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch

from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.io.storage.tiff import TiffImages, natural_order
from sinograd.io.volumes.format import StoredArray, VolumeFormat, record_of, volume_of

RECORD = "volume.yaml"


class Slices(VolumeFormat):
    """A folder of TIFF slices that sinograd wrote."""

    folder = True
    keeps = frozenset({"unit", "provenance"})
    unit_place = "`unit` in volume.yaml"

    def matches(self, path: Path, head: bytes) -> bool:
        """A folder with a volume.yaml."""
        return (path / RECORD).is_file()

    def is_own(self, folder: Path) -> bool:
        """Slices, their record, and nothing else."""
        names = [path.name for path in folder.iterdir()]
        return RECORD in names and all(name == RECORD or re.fullmatch(r"slice_\d+\.tif", name) for name in names)

    def open(self, path: Path) -> Volume:
        """The volume; FormatError when slices are missing, damaged or of different sizes."""
        if not (path / RECORD).is_file():
            raise FormatError(f"{path} is not a volume: it has no {RECORD}, and no DICOM slices lie in it")
        record = load_yaml(path / RECORD)
        shape = record.get("shape") if isinstance(record, dict) else None
        if not isinstance(shape, list) or len(shape) not in (2, 3) or not all(isinstance(n, int) for n in shape):
            raise FormatError(f"{path / RECORD} must hold shape, spacing_mm and center_mm")
        files = natural_order([file for file in path.iterdir() if re.fullmatch(r"slice_\d+\.tiff?", file.name)])
        expected = [1, *shape][-3:]
        if len(files) != expected[0]:
            raise FormatError(f"{path} holds {len(files)} slices, {RECORD} tells of {expected[0]}")
        images = TiffImages(files)
        if list(images.shape) != expected:
            raise FormatError(f"{path} holds slices {list(images.shape)}, {RECORD} tells of {expected}")
        return volume_of(StoredArray(images, tuple(shape), is_bool=record.get("dtype") == "bool"), record, path)

    def write(self, volume: Volume, path: Path) -> None:
        """The slices, one by one, and the record."""
        import tifffile

        record = record_of(volume)
        spacing = record["spacing_mm"]
        for index in range(volume.slices):
            image = volume.read(index, index + 1, None)[0].detach().cpu()
            image = image.to(torch.uint8) if image.dtype == torch.bool else image
            image = image.float() if image.is_floating_point() else image
            tifffile.imwrite(
                path / f"slice_{index:05d}.tif",
                np.ascontiguousarray(image.numpy()),
                photometric="minisblack",
                resolution=(10 / spacing[-1], 10 / spacing[-2]),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
        text = dump_yaml(json.loads(to_json(record)))
        (path / RECORD).write_text(text, encoding="utf-8")
