"""Volumes and images in and out, with spacing, position and provenance.

.h5      attributes format = "sinograd-volume", version = 1; /volume [z, y, x] (or [y, x]) with the attributes
         axes, spacing_mm (array order), center_mm (x, y, z) and unit = "1/mm"; /provenance, JSON text
.tif     float32; ImageJ TIFF with spacing in mm up to 4 GB, OME BigTIFF beyond; spacing, centre and provenance
         also as JSON in ImageJ's Info or OME's Description
.npy     the array, and beside it a .yaml of the same name with shape, spacing_mm, center_mm and provenance
.mha     MetaImage; .nii, .nii.gz NIfTI, which holds no provenance (`sinograd.io.volumes.itk`; extra `io`)
.zarr    a folder, OME-Zarr with a pyramid (`sinograd.io.volumes.ome_zarr`; extra `io`)
no suffix   a folder of TIFF slices, float32 (`sinograd.io.volumes.slices`)
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.data.provenance import make_provenance, to_json
from sinograd.data.scan import check_grid
from sinograd.errors import InputError, InputTypeError, MissingFileError
from sinograd.geometry import Grid
from sinograd.io.storage.atomic import check_destination, check_folder, replacing, replacing_folder
from sinograd.io.storage.hdf5.layout import ArrayLayout, check_version, is_hdf5, mapping, numbers, opened, write_hdf5
from sinograd.io.storage.optional import check_extra
from sinograd.io.volumes import itk as itk_volumes
from sinograd.io.volumes import ome_zarr
from sinograd.io.volumes import slices as slice_stack
from sinograd.io.volumes import tiff as tiff_volumes
from sinograd.io.volumes import txm as txm

if TYPE_CHECKING:
    import h5py

SUFFIXES = (".h5", ".hdf5", ".tif", ".tiff", ".npy", ".mha", ".nii", ".nii.gz", ".zarr")
FORMAT = "sinograd-volume"
VERSION = 1
_FOLDERS = {".zarr": (ome_zarr, ome_zarr.is_only_ome_zarr), "": (slice_stack, slice_stack.is_only_stack)}
_FILES = {
    ".tif": tiff_volumes,
    ".tiff": tiff_volumes,
    ".mha": itk_volumes,
    ".nii": itk_volumes,
    ".nii.gz": itk_volumes,
}


def check_volume_path(path: str | os.PathLike[str], grid: Grid, *, force: bool = False) -> Path:
    """Check, before a long computation, that a float32 volume on `grid` can be written to `path`.

    Raises TypeError when `grid` is no Grid, ValueError for an unknown suffix or one whose extra is not installed,
    FileExistsError when the file exists and `force` is not set (a folder: also when it holds other files), and
    OSError when the folder is missing or the disk has too little room.
    """
    check_grid(grid)
    path = Path(path)
    suffix = _suffix(path, "write")
    needed = 4 * math.prod(grid.shape)
    if suffix in _FOLDERS:
        check_folder(path, ours=_FOLDERS[suffix][1], force=force, needed=needed)
    else:
        check_destination(path, force=force, needed=needed)
    if suffix == ".npy":
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

    TIFF is float32, the others keep the dtype. Raises ValueError when the shapes differ, the suffix is unknown or
    its extra is not installed, FileExistsError when the file exists and `force` is not set, OSError when the disk is
    full. File or folder appear when they are whole, or not at all.
    """
    path = check_volume_path(path, grid, force=force)
    array = volume.detach().cpu().numpy() if isinstance(volume, torch.Tensor) else np.asarray(volume)
    if array.shape != tuple(grid.shape):
        raise InputError(f"volume {list(array.shape)} does not match grid.shape {tuple(grid.shape)}")
    if array.dtype.kind not in "fiu":
        raise InputTypeError(f"volume must hold real numbers, got {array.dtype}")
    record = {
        "shape": list(array.shape),
        "spacing_mm": [float(s) for s in grid.spacing],
        "center_mm": [float(c) for c in grid.center],
        "provenance": dict(provenance) if provenance is not None else make_provenance("write_volume"),
    }
    suffix = _suffix(path, "write")
    if suffix in _FOLDERS:
        module, ours = _FOLDERS[suffix]
        with replacing_folder(path, ours=ours, force=force, needed=array.nbytes) as folder:
            module.write(array, folder, record)
    elif suffix == ".npy":
        _write_npy(array, path, record, force)
    else:
        write = _FILES[suffix].write if suffix in _FILES else _write_hdf5
        with replacing(path, force=force, needed=array.nbytes) as temporary:
            write(array, temporary, record)


def read_volume(path: str | os.PathLike[str]) -> tuple[torch.Tensor, Grid, dict[str, Any]]:
    """Read what `write_volume` wrote, .mha, NIfTI and OME-Zarr volumes of other software, and Zeiss .txm volumes: the
    volume, its grid and its provenance ({} where the file holds none).

    Raises FileNotFoundError for a missing file (or the .yaml beside an .npy) and ValueError for a file that
    is not such a volume, is damaged, or whose extra is not installed.
    """
    path = Path(path)
    suffix = check_readable(path)
    if suffix in txm.SUFFIXES:
        return txm.read_volume(path)
    if suffix in _FOLDERS:
        array, record = _FOLDERS[suffix][0].read(path)
    elif suffix in _FILES:
        array, record = _FILES[suffix].read(path)
    else:
        array, record = _read_npy(path) if suffix == ".npy" else _read_hdf5(path)
    grid = grid_of(path, array.shape, record)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    held = record.get("provenance")
    return torch.from_numpy(array), grid, dict(held) if isinstance(held, dict) else {}


def check_readable(path: Path) -> str:
    """The suffix of a file or folder that is there and may be a volume; raises as `read_volume`."""
    suffix = _suffix(path, "read")
    if not path.exists():
        raise MissingFileError(f"{path} does not exist")
    if path.is_dir() != (suffix in _FOLDERS):
        kind = "folder" if path.is_dir() else "file"
        raise InputError(f"cannot read the volume {path}: it is a {kind}, which its name does not tell")
    return suffix


def grid_of(path: Path, shape: tuple[int, ...], record: Mapping[str, Any]) -> Grid:
    """The grid that a file's record tells; ValueError naming the file where it does not."""
    try:
        return Grid(shape, tuple(record["spacing_mm"]), tuple(record["center_mm"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} has no usable spacing_mm and center_mm for shape {shape}: {error}") from error


def is_volume(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder that exists is a volume by its name and beginning, and no scan."""
    path = Path(path)
    suffix = _known_suffix(path)
    if path.is_dir():
        return slice_stack.is_stack(path) if suffix == "" else suffix == ".zarr" and ome_zarr.is_ome_zarr(path)
    if _FILES.get(suffix or "") is itk_volumes or suffix in txm.SUFFIXES:
        return True
    try:
        if suffix in (".h5", ".hdf5"):
            with opened(path) as file:
                return file.attrs.get("format") == FORMAT
        if suffix == ".npy" and path.with_suffix(".yaml").is_file():
            return "spacing_mm" in (_sidecar(path.with_suffix(".yaml")) or {})
        return suffix in (".tif", ".tiff") and tiff_volumes.is_volume(path)
    except ValueError:
        return False


def _known_suffix(path: Path) -> str | None:
    """The suffix that tells the format, "" for a name without one, None for an unknown one."""
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        return ".nii.gz"
    suffix = path.suffix.lower()
    return suffix if suffix in (*SUFFIXES, *txm.SUFFIXES, "") else None


def _suffix(path: Path, verb: str) -> str:
    suffix = _known_suffix(path)
    known = (*SUFFIXES, *txm.SUFFIXES) if verb == "read" else SUFFIXES
    if suffix is None or suffix not in (*known, ""):
        raise InputError(
            f"cannot {verb} the volume {path}: its name must end in {', '.join(known)}, or have no suffix "
            "(a folder of TIFF slices)"
        )
    if _FILES.get(suffix) is itk_volumes:
        check_extra(itk_volumes.PACKAGE, path)
    if suffix == ".zarr":
        check_extra(ome_zarr.PACKAGE, path)
    return suffix


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
            raise InputError(f"{path} is not an HDF5 file")
    with opened(path) as file:
        record = hdf5_record(file, path)
        return np.asarray(numbers(file, "volume", path)), record


def hdf5_record(file: h5py.File, path: Path) -> dict[str, Any]:
    """Spacing, centre and provenance of an open volume file; ValueError when it is none."""
    found = file.attrs.get("format")
    if found != FORMAT:
        more = " (read it with sinograd.read)" if found == "sinograd-scan" else ""
        raise InputError(f"{path} is not a volume: its format is {found!r}, expected {FORMAT!r}{more}")
    check_version(file, VERSION, path)
    dataset = numbers(file, "volume", path)
    names = [name for name in ("spacing_mm", "center_mm") if name in dataset.attrs]
    record: dict[str, Any] = {name: np.asarray(dataset.attrs[name]).tolist() for name in names}
    record["provenance"] = mapping(file, "provenance", path)
    return record


def _write_npy(array: np.ndarray, path: Path, record: dict[str, Any], force: bool) -> None:
    sidecar = dump_yaml(json.loads(to_json(record)))
    # The array takes its name first and so is never without its sidecar for longer than a rename.
    with replacing(path.with_suffix(".yaml"), force=force) as beside:
        beside.write_text(sidecar, encoding="utf-8")
        with replacing(path, force=force, needed=array.nbytes) as temporary, open(temporary, "wb") as file:
            np.save(file, array, allow_pickle=False)


def _read_npy(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    return open_npy(path, mapped=False)


def open_npy(path: Path, *, mapped: bool = True) -> tuple[np.ndarray, dict[str, Any]]:
    """The array of an .npy file, mapped from the disk or read, and what the .yaml beside it tells."""
    sidecar = path.with_suffix(".yaml")
    if not sidecar.exists():
        raise MissingFileError(f"{path} has no {sidecar.name} beside it, which holds spacing and centre")
    try:
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        record = _sidecar(sidecar)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} or {sidecar.name} is truncated or damaged: {error}") from error
    if record is None or record.get("shape") != list(array.shape):
        raise InputError(f"{sidecar} does not describe {path.name}, whose shape is {list(array.shape)}")
    return array, record


def _sidecar(path: Path) -> dict[str, Any] | None:
    """What a YAML file holds, None for no mapping; ValueError for no YAML."""
    record = load_yaml(path)
    return record if isinstance(record, dict) else None
