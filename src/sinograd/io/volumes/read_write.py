"""`read_volume`, `write_volume` and `open_volume`: volumes in and out, in whatever format.

The formats are `sinograd.choices.VOLUME_FORMATS`, one class each. A file or folder is recognised by its content; the
suffix of its name chooses the format in which a volume is written.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.choices import VOLUME_FORMATS
from sinograd.config.paths import checked_path
from sinograd.data.memory import reading
from sinograd.data.provenance import make_provenance
from sinograd.data.scan import check_grid
from sinograd.data.units import unit_name
from sinograd.data.volume import Volume
from sinograd.errors import InputError, InputTypeError, UnitWarning
from sinograd.files.inputs import inputs, note_again, read_as
from sinograd.geometry import Grid
from sinograd.io.formats import find_format, matching_format, writing_format
from sinograd.io.storage.outside import is_outside_allowed, outside_allowed
from sinograd.io.volumes.format import VolumeFormat, float32_bytes


def read_volume(path: str | os.PathLike[str], *, unit: str | None = None, allow_outside: bool | None = None) -> Volume:
    """Read a volume or an image into memory; the format is recognised by content.

    Formats: sinograd's HDF5 (.h5), TIFF that sinograd wrote, .npy or .raw with a YAML file, MetaImage (.mha), NIfTI,
    OME-Zarr, folders of TIFF slices that sinograd wrote, folders of DICOM slices (in HU), Zeiss .txm, and those of
    plugins.

    Args:
        path: the file or folder.
        unit: what the values are, where the file does not say, or says so wrongly: "1/mm", "HU", "mg/cm3" or "1".
            Nothing is converted (`Volume.to` does).
        allow_outside: follow names in the file to files outside its folder, as `sinograd.read` does.

    Returns:
        The volume with its grid, its unit (None where the file does not say) and its provenance. Integers stay
        integers, of a type that torch computes with.

    Raises:
        FileNotFoundError: there is no such file, or not the YAML file beside an .npy.
        InputError: a file that is no volume, is damaged, or needs a package that is not installed; an unknown unit.

    Warns:
        UnitWarning: the file's unit is not trusted (some files of sinograd 0.1.0), or `unit` contradicts it.
    """
    return _opened(path, "read", unit, allow_outside)


def open_volume(path: str | os.PathLike[str], *, unit: str | None = None, allow_outside: bool | None = None) -> Volume:
    """A volume whose values stay in its file and are read when they are needed; arguments and errors as `read_volume`.

    Only headers are read, but of files that can only be read whole, which is done anew for every block of slices
    (NIfTI, packed MetaImage and NRRD). It holds no open file, so it can be pickled and used in DataLoader workers.
    """
    return _opened(path, "open", unit, allow_outside)


def open_levels(path: str | os.PathLike[str], *, allow_outside: bool | None = None) -> list[Volume]:
    """A volume as `open_volume` gives it, and the coarser copies that its file holds, each of half the one before."""
    path = checked_path(path)
    allow = is_outside_allowed() if allow_outside is None else allow_outside
    with outside_allowed(allow), reading(str(path)), read_as(path):
        return _found(path, None).levels(path)


def write_volume(
    volume: Volume | torch.Tensor | np.ndarray,
    path: str | os.PathLike[str],
    grid: Grid | None = None,
    *,
    unit: str | None = None,
    force: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a volume or an image; the suffix of `path` chooses the format.

    A `Volume` is written with its grid, unit and provenance: `write_volume(volume, "volume.h5")`. Of a tensor or an
    array [Z, Y, X] or [Y, X] they are arguments: `write_volume(values, "volume.h5", grid, unit="1/mm")`.

    Args:
        volume: what to write. A lazy one is read block by block where the format allows it.
        path: NAME.h5, .tif, .npy, .raw, .mha, .nii, .nii.gz, .zarr, or a name without suffix for a folder of TIFF
            slices.
        grid: of a tensor or an array.
        unit: of a tensor or an array; None: not known. Of a `Volume`: only to state a unit that it does not have.
        force: replace a file that exists; a folder only when it holds such a volume and nothing else.
        provenance: how the values were made, instead of the volume's own.

    Raises:
        InputError: shapes differ, an unknown suffix or unit, a package that is not installed.
        FileExistsError: the file exists and `force` is not set.
        OSError: the disk is full. File or folder appear when they are whole, or not at all.
    """
    path = checked_path(path)
    if not isinstance(volume, Volume | torch.Tensor | np.ndarray):
        raise InputTypeError(f"volume must be a Volume, a tensor or an array, got {type(volume).__name__}")
    made = _volume(volume, grid, unit)
    format: VolumeFormat = writing_format(VOLUME_FORMATS, path).format
    with inputs():
        if made.is_lazy:
            note_again(made.file)
        format.check(path, force=force, needed=made.nbytes)
        record = dict(provenance) if provenance is not None else made.provenance or make_provenance("write_volume")
        format.save(made.with_provenance(record), path, force=force)


def check_volume_path(path: str | os.PathLike[str], grid: Grid, *, force: bool = False) -> Path:
    """Check, before a long computation, that a float32 volume on `grid` can be written to `path`.

    Raises InputTypeError when `grid` is no Grid, InputError for an unknown suffix or a package that is not installed,
    FileExistsError when the file exists and `force` is not set (a folder: also when it holds other files), and
    OSError when the folder is missing or the disk has too little room.
    """
    check_grid(grid)
    path = Path(path)
    writing_format(VOLUME_FORMATS, path).format.check(path, force=force, needed=float32_bytes(grid))
    return path


def is_volume(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder that exists is a volume, by its content."""
    return matching_format(VOLUME_FORMATS, Path(path)) is not None


def written_volume_paths(path: str | os.PathLike[str]) -> list[Path]:
    """The files, or the folder, that `write_volume` writes; InputError for an unknown suffix."""
    return writing_format(VOLUME_FORMATS, Path(path)).format.written_paths(Path(path))


def _opened(path: str | os.PathLike[str], action: str, unit: str | None, allow_outside: bool | None) -> Volume:
    path = checked_path(path)
    allow = is_outside_allowed() if allow_outside is None else allow_outside
    with outside_allowed(allow), reading(str(path)), read_as(path):
        return _with_unit(_found(path, unit), path, action, unit)


def _found(path: str | os.PathLike[str], unit: str | None) -> VolumeFormat:
    unit_name(unit, "unit")
    return find_format(VOLUME_FORMATS, Path(path)).format


def _with_unit(format: VolumeFormat, path: str | os.PathLike[str], action: str, unit: str | None) -> Volume:
    """The volume, with the unit that the caller states; where one is stated, a doubt about the file's is no news."""
    stated = unit_name(unit, "unit")
    if stated is None:
        return getattr(format, action)(Path(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitWarning)
        volume: Volume = getattr(format, action)(Path(path))
    if volume.unit not in (None, stated):
        warnings.warn(
            f"{path}: the file says that its values are in {volume.unit}; they are taken as {stated}, as `unit` says",
            UnitWarning,
            stacklevel=3,
        )
    return volume.with_unit(stated)


def _volume(volume: Volume | torch.Tensor | np.ndarray, grid: Grid | None, unit: str | None) -> Volume:
    if not isinstance(volume, Volume):
        check_grid(grid)
        return Volume(volume, grid, unit)  # pyright: ignore[reportArgumentType]
    if grid is not None and not grid.equals(volume.grid):
        raise InputError("grid is another one than the volume's")
    return volume.stated(unit)


__all__ = [
    "check_volume_path",
    "is_volume",
    "open_volume",
    "read_volume",
    "write_volume",
    "written_volume_paths",
]
