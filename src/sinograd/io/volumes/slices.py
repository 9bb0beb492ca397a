"""Volumes as folders of TIFF slices: slice_00000.tif ... from z = low to high, and volume.yaml.

Slices [y, x] have pixels a mm in their tags; whole numbers stay, booleans are stored as uint8, the rest is float32.
volume.yaml holds shape, spacing_mm, center_mm, unit and provenance. Row 0 is the lowest y.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.data.provenance import to_json
from sinograd.data.volume import Volume
from sinograd.errors import FormatError
from sinograd.files.folders import flush_file, flush_folder
from sinograd.io.storage.tiff import TiffImages, natural_order
from sinograd.io.storage.write_errors import writing
from sinograd.io.volumes.format import StoredArray, VolumeFormat, record_of, volume_of
from sinograd.io.volumes.sink import VolumeSink, unit_of

RECORD = "volume.yaml"


class Slices(VolumeFormat):
    """A folder of TIFF slices that sinograd wrote."""

    folder = True
    keeps = frozenset({"unit", "provenance"})
    unit_place = "`unit` in volume.yaml"
    streams = True

    def sink(self, header: Volume, path: Path) -> VolumeSink:
        """A file for every slice."""
        return SliceSink(path, header)

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
        for index in range(volume.slices):
            image = volume.read(index, index + 1, None)[0].detach().cpu()
            image = image.to(torch.uint8) if image.dtype == torch.bool else image
            image = image.float() if image.is_floating_point() else image
            _write_slice(path / _name(index), image.numpy(), volume)
        _write_record(path, volume)


@dataclass(frozen=True)
class SliceSink:
    """A folder that takes slices in any order; each appears when it is whole."""

    folder: Path
    header: Volume

    @property
    def unit(self) -> int:
        """Slices that are written together."""
        return unit_of(self.header.grid)

    def create(self) -> None:
        """The folder."""
        self.folder.mkdir()

    def write(self, first: int, values: np.ndarray) -> None:
        """Slices `first` and following."""
        with writing(self.folder):
            for index, image in enumerate(values, first):
                unfinished = self.folder / f"{_name(index)}.part"
                _write_slice(unfinished, image, self.header)
                os.replace(unfinished, self.folder / _name(index))
            for index in range(first, first + len(values)):
                flush_file(self.folder / _name(index))
            flush_folder(self.folder)

    def finish(self, header: Volume) -> None:
        """The record; what an interrupted writing left is removed."""
        with writing(self.folder):
            for left in self.folder.glob("*.part"):
                left.unlink()
            _write_record(self.folder, header)


def _name(index: int) -> str:
    return f"slice_{index:05d}.tif"


def _write_slice(path: Path, image: np.ndarray, volume: Volume) -> None:
    import tifffile

    spacing = volume.spacing
    tifffile.imwrite(
        path,
        np.ascontiguousarray(image),
        photometric="minisblack",
        resolution=(10 / spacing[-1], 10 / spacing[-2]),
        resolutionunit="CENTIMETER",
        metadata=None,
    )


def _write_record(folder: Path, volume: Volume) -> None:
    text = dump_yaml(json.loads(to_json(record_of(volume))))
    (folder / RECORD).write_text(text, encoding="utf-8")
