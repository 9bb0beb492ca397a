"""`write_scan`: a scan out, in the format that its name or the caller chooses (`sinograd.choices.SCAN_FORMATS`)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from sinograd.choices import SCAN_FORMATS
from sinograd.config.paths import checked_path
from sinograd.data.scan import Scan
from sinograd.errors import InputTypeError
from sinograd.files.inputs import inputs, note_again, noted
from sinograd.io.formats import writing_format
from sinograd.io.scans.format import Progress


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
        format: the name of a format that writes ("dxchange" is an .h5 file too) instead of what the path says.
        progress: called with (views done, views).

    Raises InputError for an unknown name or format, or a scan that the format cannot hold, FileExistsError when the
    file exists and `force` is not set, OSError when the disk is full. Files appear when they are whole, or not at all.
    """
    path = checked_path(path)
    if not isinstance(scan, Scan):
        raise InputTypeError(f"scan must be a Scan, got {type(scan).__name__}")
    choice = writing_format(SCAN_FORMATS, path, format)
    choice.format.check(scan)
    with inputs():
        note_parts(scan)
        choice.format.write(scan, path, force=force, progress=progress)


def note_parts(scan: Scan) -> None:
    """Note the files that the values of a scan still lie in (`sinograd.files.inputs`)."""
    parts = [scan.projections, *(getattr(scan.calibration, name, None) for name in ("reference", "dark"))]
    lazy = [part for part in parts if part is not None and not isinstance(part, np.ndarray | torch.Tensor)]
    if lazy:
        note_again(scan.file)
    for part in lazy:
        for file in getattr(part, "files", [getattr(part, "path", None)]):
            if isinstance(file, Path):
                noted(file)


def scan_format(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format that a name means, or the given one where the name fits it; InputError otherwise."""
    return writing_format(SCAN_FORMATS, Path(path), format).entry.name


def written_paths(scan: Scan, path: str | os.PathLike[str], format: str | None = None) -> list[Path]:
    """The files, or the folder, that `write_scan` would write; InputError as there."""
    path = Path(path)
    choice = writing_format(SCAN_FORMATS, path, format)
    choice.format.check(scan)
    return choice.format.written_paths(scan, path)
