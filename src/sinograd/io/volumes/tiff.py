"""Volumes in one TIFF file: ImageJ's, or OME BigTIFF beyond 4 GB."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.provenance import to_json
from sinograd.errors import InputError
from sinograd.io.storage.tiff import MAX_RATIO, TiffImages, opened_tiff

if TYPE_CHECKING:
    import tifffile

IMAGEJ_BYTES = (1 << 32) - (1 << 20)  # offsets in an ImageJ TIFF have 32 bits


def write(array: np.ndarray, path: Path, record: dict[str, Any]) -> None:
    """Write [z, y, x] or [y, x] as float32 with the record's spacing_mm, center_mm and provenance."""
    import tifffile

    array = array.astype(np.float32, copy=False)
    spacing = record["spacing_mm"]
    axes = "ZYX" if array.ndim == 3 else "YX"
    resolution = (1 / spacing[-1], 1 / spacing[-2])  # pixels a mm, x then y
    if array.nbytes <= IMAGEJ_BYTES:
        description = {"axes": axes, "unit": "mm", "Info": to_json(record)}
        if array.ndim == 3:
            description["spacing"] = spacing[0]
        options: dict[str, Any] = {"imagej": True, "resolution": resolution, "metadata": description}
    else:
        description = {"axes": axes, "Description": to_json(record)}
        for axis, value in zip("XYZ", reversed(spacing), strict=False):
            description |= {f"PhysicalSize{axis}": value, f"PhysicalSize{axis}Unit": "mm"}
        options = {"ome": True, "bigtiff": True, "metadata": description}
    tifffile.imwrite(path, array, photometric="minisblack", **options)


def read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The array and its record, which is empty in files of other software; ValueError for a damaged file."""
    with opened_tiff(path) as file:
        record = _record(file)
        size = sum(series.nbytes for series in file.series)
        if size > MAX_RATIO * path.stat().st_size:
            raise InputError(f"{size:,} bytes of pixels do not fit into it")
        array = file.asarray()
    shape = record.get("shape", list(array.shape)) if isinstance(record, dict) else []
    if not isinstance(shape, list) or array.size != math.prod(shape):
        raise InputError(f"{path} is a truncated or damaged TIFF file: {list(array.shape)}, expected {shape}")
    return array.reshape(shape), record  # TIFF has no volume of one slice


def images(path: Path) -> tuple[TiffImages, dict[str, Any]]:
    """As `read`, of slices that are read when they are asked for."""
    with opened_tiff(path) as file:
        record = _record(file)
    found = TiffImages([path])
    shape = record.get("shape", list(found.shape)) if isinstance(record, dict) else []
    if not isinstance(shape, list) or [1, *shape][-3:] != list(found.shape):
        raise InputError(f"{path} is a truncated or damaged TIFF file: {list(found.shape)}, expected {shape}")
    return found, record


def _record(file: tifffile.TiffFile) -> Any:
    if file.imagej_metadata is not None:
        content = file.imagej_metadata.get("Info")
    else:
        content = _ome_description(file.ome_metadata)
    return json.loads(content) if content else {}


def is_volume(path: Path) -> bool:
    """Whether a TIFF file holds the record of a volume; ValueError for a damaged file."""
    with opened_tiff(path) as file:
        content = (file.imagej_metadata or {}).get("Info") or _ome_description(file.ome_metadata)
    return isinstance(content, str) and '"spacing_mm"' in content


def _ome_description(content: str | None) -> str | None:
    """The text of the first Description in an OME-XML document."""
    from xml.etree import ElementTree

    if content is None:
        return None
    return next((e.text for e in ElementTree.fromstring(content).iter() if e.tag.endswith("}Description")), None)
