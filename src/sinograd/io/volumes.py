"""Volumes and images in and out, with spacing, position and provenance.

.h5    attributes format = "sinograd-volume", version = 1; /volume [z, y, x] (or [y, x]) with the attributes
       axes, spacing_mm (array order), center_mm (x, y, z) and unit = "1/mm"; /provenance, JSON text
.tif   float32; ImageJ TIFF with spacing in mm up to 4 GB, OME BigTIFF beyond; spacing, centre and provenance
       also as JSON in ImageJ's Info or OME's Description
.npy   the array, and beside it a .yaml of the same name with shape, spacing_mm, center_mm and provenance
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from sinograd.geometry import Grid
from sinograd.io.files import check_destination, replacing
from sinograd.io.hdf5_heaps import check_heaps
from sinograd.io.layout import ArrayLayout, check_version, is_hdf5, mapping, numbers, opened, write_hdf5
from sinograd.io.provenance import make_provenance, to_json
from sinograd.io.scan import check_grid
from sinograd.io.txrm import volume as txm

SUFFIXES = (".h5", ".hdf5", ".tif", ".tiff", ".npy")
FORMAT = "sinograd-volume"
VERSION = 1
IMAGEJ_BYTES = (1 << 32) - (1 << 20)  # offsets in an ImageJ TIFF have 32 bits


def check_volume_path(path: str | os.PathLike[str], grid: Grid, *, force: bool = False) -> Path:
    """Check, before a long computation, that a float32 volume on `grid` can be written to `path`.

    Raises TypeError when `grid` is no Grid, ValueError for an unknown suffix, FileExistsError when the file
    exists and `force` is not set, and OSError when the folder is missing or the disk has too little room.
    """
    check_grid(grid)
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"cannot write the volume {path}: its name must end in {', '.join(SUFFIXES)}")
    check_destination(path, force=force, needed=4 * math.prod(grid.shape))
    if path.suffix.lower() == ".npy":
        check_destination(path.with_suffix(".yaml"), force=force)
    return path


def write_volume(
    volume: torch.Tensor | np.ndarray,
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    force: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a volume [Z, Y, X] or image [Y, X] on `grid`; the suffix chooses the format (see the module).

    `.h5` and `.npy` keep the dtype, `.tif` is float32. Raises ValueError when the shapes differ or the suffix
    is unknown, FileExistsError when the file exists and `force` is not set, OSError when the disk is full.
    The file appears when it is whole, or not at all.
    """
    path = check_volume_path(path, grid, force=force)
    array = volume.detach().cpu().numpy() if isinstance(volume, torch.Tensor) else np.asarray(volume)
    if array.shape != tuple(grid.shape):
        raise ValueError(f"volume {list(array.shape)} does not match grid.shape {tuple(grid.shape)}")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"volume must hold real numbers, got {array.dtype}")
    record = {
        "shape": list(array.shape),
        "spacing_mm": [float(s) for s in grid.spacing],
        "center_mm": [float(c) for c in grid.center],
        "provenance": dict(provenance) if provenance is not None else make_provenance("write_volume"),
    }
    suffix = path.suffix.lower()
    if suffix == ".npy":
        _write_npy(array, path, record, force)
        return
    if suffix in (".tif", ".tiff"):
        array = array.astype(np.float32, copy=False)
    with replacing(path, force=force, needed=array.nbytes) as temporary:
        if suffix in (".h5", ".hdf5"):
            _write_hdf5(array, temporary, record)
        else:
            _write_tiff(array, temporary, record)


def read_volume(path: str | os.PathLike[str]) -> tuple[torch.Tensor, Grid, dict[str, Any]]:
    """Read what `write_volume` wrote: the volume, its grid and its provenance. Also Zeiss .txm volumes.

    Raises FileNotFoundError for a missing file (or the .yaml beside an .npy) and ValueError for a file that
    is not such a volume or is damaged.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    known = (*SUFFIXES, *txm.SUFFIXES)
    if suffix not in known:
        raise ValueError(f"cannot read the volume {path}: its name must end in {', '.join(known)}")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if suffix in txm.SUFFIXES:
        return txm.read_volume(path)
    readers = {
        ".h5": _read_hdf5,
        ".hdf5": _read_hdf5,
        ".npy": _read_npy,
        ".tif": _read_tiff,
        ".tiff": _read_tiff,
    }
    array, record = readers[suffix](path)
    try:
        grid = Grid(array.shape, tuple(record["spacing_mm"]), tuple(record["center_mm"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} has no usable spacing_mm and center_mm for shape {array.shape}: {error}") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(array), grid, dict(record.get("provenance") or {})


def _write_hdf5(array: np.ndarray, path: Path, record: dict[str, Any]) -> None:
    attributes = {
        "axes": "z y x" if array.ndim == 3 else "y x",
        "spacing_mm": record["spacing_mm"],
        "center_mm": record["center_mm"],
        "unit": "1/mm",
    }
    dtype = array.dtype.newbyteorder("<")
    layout = ArrayLayout(array.shape, dtype, lambda start, stop: array[start:stop], attributes=attributes)
    texts = {"provenance": to_json(record["provenance"])}
    write_hdf5(path, {"format": FORMAT, "version": VERSION}, {"volume": layout}, texts)


def _read_hdf5(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    with open(path, "rb") as file:
        if not is_hdf5(file.read(8)):
            raise ValueError(f"{path} is not an HDF5 file")
    check_heaps(path)
    with opened(path) as file:
        found = file.attrs.get("format")
        if found != FORMAT:
            more = " (read it with sinograd.read)" if found == "sinograd-scan" else ""
            raise ValueError(f"{path} is not a volume: its format is {found!r}, expected {FORMAT!r}{more}")
        check_version(file, VERSION, path)
        dataset = numbers(file, "volume", path)
        names = [name for name in ("spacing_mm", "center_mm") if name in dataset.attrs]
        record: dict[str, Any] = {name: np.asarray(dataset.attrs[name]).tolist() for name in names}
        record["provenance"] = mapping(file, "provenance", path)
        return np.asarray(dataset), record


def _write_npy(array: np.ndarray, path: Path, record: dict[str, Any], force: bool) -> None:
    sidecar = yaml.safe_dump(json.loads(to_json(record)), sort_keys=False)
    # The array takes its name first and so is never without its sidecar for longer than a rename.
    with replacing(path.with_suffix(".yaml"), force=force) as beside:
        beside.write_text(sidecar, encoding="utf-8")
        with replacing(path, force=force, needed=array.nbytes) as temporary, open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)


def _read_npy(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    sidecar = path.with_suffix(".yaml")
    if not sidecar.exists():
        raise FileNotFoundError(f"{path} has no {sidecar.name} beside it, which holds spacing and centre")
    try:
        array = np.load(path, allow_pickle=False)
        record = yaml.safe_load(sidecar.read_text(encoding="utf-8"))
    except (ValueError, EOFError, yaml.YAMLError) as error:
        raise ValueError(f"{path} or {sidecar.name} is truncated or damaged: {error}") from error
    if not isinstance(record, dict) or record.get("shape") != list(array.shape):
        raise ValueError(f"{sidecar} does not describe {path.name}, whose shape is {list(array.shape)}")
    return array, record


def _write_tiff(array: np.ndarray, path: Path, record: dict[str, Any]) -> None:
    import tifffile

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


def _read_tiff(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    import tifffile

    # tifffile meets damaged bytes with whatever they lead to: TiffFileError, struct.error, IndexError,
    # log lines, or fewer pages than were written.
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with tifffile.TiffFile(path) as file:
            if file.imagej_metadata is not None:
                content = file.imagej_metadata.get("Info")
            else:
                content = _ome_description(file.ome_metadata)
            array = file.asarray()
            record = json.loads(content) if content else {}
    except Exception as error:
        raise ValueError(f"{path} is a truncated or damaged TIFF file: {type(error).__name__}: {error}") from error
    finally:
        log.setLevel(level)
    shape = record.get("shape", list(array.shape))
    if array.size != math.prod(shape):
        raise ValueError(f"{path} is a truncated or damaged TIFF file: {list(array.shape)}, expected {shape}")
    return array.reshape(shape), record  # TIFF has no volume of one slice


def _ome_description(content: str | None) -> str | None:
    """The text of the first Description in an OME-XML document."""
    from xml.etree import ElementTree

    if content is None:
        return None
    return next((e.text for e in ElementTree.fromstring(content).iter() if e.tag.endswith("}Description")), None)
