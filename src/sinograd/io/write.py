"""`write_scan`: a scan out, in the format that its name or the caller chooses."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sinograd.data.projections import Projections
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.io.scans import dxchange_writer, npy
from sinograd.io.scans import sinograd_hdf5 as hdf5
from sinograd.io.scans.dxchange_writer import check_dxchange, write_dxchange
from sinograd.io.scans.npy import write_npy
from sinograd.io.scans.tiff_stack import write_tiff_stack

FORMATS = ("h5", "npy", "tiff", "dxchange")

Progress = Callable[[int, int], None]


def write_scan(
    scan: Scan,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    format: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a scan with its geometry and calibration; counts stay counts, block by block in bounded memory.

    Args:
        scan: what to write; projections that are still in their file stay there.
        path: NAME.h5 is sinograd's own format, NAME.npy an array with a YAML file, a name without suffix a folder of
            TIFF images with a YAML file.
        force: replace files that exist (a folder only when it holds such a stack and nothing else).
        format: "h5", "npy", "tiff" or "dxchange" (an .h5 file too) instead of what the name says.
        progress: called with (views done, views).

    Raises ValueError for an unknown name or format, or a scan whose shapes do not fit, FileExistsError when the file
    exists and `force` is not set, OSError when the disk is full. Files appear when they are whole, or not at all.
    """
    path = Path(path)
    format = scan_format(path, format)
    if format == "tiff":
        write_tiff_stack(scan, path, force=force, progress=progress)
    elif format == "npy":
        write_npy(scan, path, force=force, progress=progress)
    else:
        if progress is not None:
            scan = dataclasses.replace(scan, projections=_Watched(scan.projections, progress))
        (write_dxchange if format == "dxchange" else hdf5.write_scan)(scan, path, force=force)


def scan_format(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format that a name means, or the given one where the name fits it; ValueError otherwise."""
    path = Path(path)
    suffix = path.suffix.lower()
    if format is None:
        for format, suffixes in (("h5", hdf5.SUFFIXES), ("npy", (".npy",)), ("tiff", ("",))):
            if suffix in suffixes:
                return format
        raise InputError(
            f"cannot write the scan {path}: its name must end in .h5 or .hdf5 or .npy, or have no suffix (a folder of "
            "TIFF images)"
        )
    suffixes = {"h5": hdf5.SUFFIXES, "npy": (".npy",), "tiff": ("",), "dxchange": dxchange_writer.SUFFIXES}
    if format not in suffixes:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if suffix not in suffixes[format]:
        ends = " or ".join(suffixes[format]) if format != "tiff" else "no suffix (it is a folder)"
        raise InputError(f"cannot write the scan {path} as {format}: its name must have {ends}")
    return format


def written_paths(scan: Scan, path: str | os.PathLike[str], format: str | None = None) -> list[Path]:
    """The files, or the folder, that `write_scan` would write; ValueError as there."""
    path = Path(path)
    format = scan_format(path, format)
    if format == "dxchange":
        check_dxchange(scan)
    if format != "npy":
        return [path]
    beside = npy.written_files(path).items()
    held = [place for name, place in beside if getattr(scan.calibration, name, None) is not None]
    return [path, path.with_suffix(".yaml"), *held]


class _Watched:
    """Projections that tell `progress` which view was read last."""

    def __init__(self, projections: Projections, progress: Progress) -> None:
        self.projections = projections
        self.shape = projections.shape
        self.dtype = projections.dtype
        self._progress = progress

    def __getitem__(self, views: Any) -> Any:
        block = self.projections[views]
        if isinstance(views, slice):
            total = int(self.shape[0])
            self._progress(views.indices(total)[1], total)
        return block
