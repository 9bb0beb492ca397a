"""Volumes as folders of TIFF slices: slice_00000.tif ... from z = low to high, and volume.yaml.

Slices are float32 [y, x] with pixels a mm in their tags; volume.yaml holds shape, spacing_mm, center_mm and
provenance. Row 0 is the lowest y.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.data.provenance import to_json
from sinograd.errors import InputError
from sinograd.io.storage.tiff import TiffImages, natural_order
from sinograd.io.volumes.dicom.series import is_dicom_folder

RECORD = "volume.yaml"

Progress = Callable[[int, int], None]


def write(array: np.ndarray, folder: Path, record: dict[str, Any]) -> None:
    """Fill an empty folder with the slices of [z, y, x] (or the one of [y, x]) and the record."""
    import tifffile

    spacing = record["spacing_mm"]
    slices = array if array.ndim == 3 else array[None]
    for index, image in enumerate(slices):
        tifffile.imwrite(
            folder / f"slice_{index:05d}.tif",
            np.ascontiguousarray(image, dtype=np.float32),
            photometric="minisblack",
            resolution=(10 / spacing[-1], 10 / spacing[-2]),
            resolutionunit="CENTIMETER",
            metadata=None,
        )
    text = dump_yaml(json.loads(to_json(record)))
    (folder / RECORD).write_text(text, encoding="utf-8")


def read(folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The array and its record; ValueError when slices are missing, damaged or of different sizes."""
    found, record = images(folder)
    return found[:].reshape(record["shape"]), record


def images(folder: Path) -> tuple[TiffImages, dict[str, Any]]:
    """As `read`, of slices that are read when they are asked for."""
    if not (folder / RECORD).is_file():
        if is_dicom_folder(folder):
            raise InputError(f"{folder} holds DICOM slices: sinograd.io.read_series reads them")
        raise InputError(f"{folder} is not a volume: it has no {RECORD}, and no DICOM slices lie in it")
    record = load_yaml(folder / RECORD)
    shape = record.get("shape") if isinstance(record, dict) else None
    if not isinstance(shape, list) or len(shape) not in (2, 3) or not all(isinstance(n, int) for n in shape):
        raise InputError(f"{folder / RECORD} must hold shape, spacing_mm and center_mm")
    files = natural_order([path for path in folder.iterdir() if re.fullmatch(r"slice_\d+\.tiff?", path.name)])
    expected = [1, *shape][-3:]
    if len(files) != expected[0]:
        raise InputError(f"{folder} holds {len(files)} slices, {RECORD} tells of {expected[0]}")
    found = TiffImages(files)
    if list(found.shape) != expected:
        raise InputError(f"{folder} holds slices {list(found.shape)}, {RECORD} tells of {expected}")
    return found, record


def is_stack(folder: Path) -> bool:
    """Whether a folder holds such a volume."""
    return (folder / RECORD).is_file()


def is_only_stack(folder: Path) -> bool:
    """Whether a folder holds what `write` writes and nothing else."""
    names = [path.name for path in folder.iterdir()]
    return RECORD in names and all(name == RECORD or re.fullmatch(r"slice_\d+\.tif", name) for name in names)
