"""`read`: a scan in, a Scan out, whatever the format.

A format is one module, listed in FORMATS, with

    NAME, SUFFIXES                        for messages
    matches(path, head) -> bool           by content; `head` is how the file starts (HEAD_BYTES, or all of it)
    read(path, *, geometry=None, ...)     -> Scan; a given geometry is the one the scan gets. Further keyword
                                          arguments are options of this format
    FOLDERS = True                        only where a scan can be a folder: `matches` is then asked for
                                          folders too, with head = b"" (other modules never see one)

The first that matches reads the scan, so special formats stand before general ones. Something odd that can be
read all the same is a ScanWarning that holds the counts.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from sinograd.data.scan import Scan
from sinograd.errors import InputError, InputTypeError, IsAFolderError, MissingFileError
from sinograd.geometry import Geometry, load_geometry
from sinograd.io.scans import dxchange, fips, nikon, npy, nxtomo, skyscan, tiff_stack, txrm
from sinograd.io.scans import sinograd_hdf5 as hdf5

FORMATS: tuple[ModuleType, ...] = (
    hdf5,
    dxchange,
    nxtomo,
    fips,
    txrm,
    nikon,
    skyscan,
    npy,
    tiff_stack,
)
HEAD_BYTES = 1024


def read(
    path: str | os.PathLike[str], geometry: Geometry | str | os.PathLike[str] | None = None, **options: Any
) -> Scan:
    """Read a scan; the format is recognised by content.

    Projections may stay in the file until they are used (`Scan.load`). Formats: sinograd's own HDF5 (`.h5`),
    FIPS / Helsinki `.mat`, Zeiss / Xradia `.txrm` and `.xrm`, DXchange HDF5, NeXus NXtomo, Nikon `.xtekct`, Bruker
    SkyScan `.log`, and TIFF stacks, `.npy` and `.npz` with a YAML file. The module of each tells its conventions.

    Args:
        path: the file, or the folder for formats that are folders.
        geometry: taken instead of what the file says: a Geometry, the path of a YAML file or the name of a
            scanner (`load_geometry`). Files that say nothing usable need one.
        options: those of the format; an unknown one is an error that lists them.

    Raises FileNotFoundError for a missing file, IsADirectoryError for a folder that is not a scan, TypeError
    for an unknown option, and ValueError for an unknown format, a truncated or contradictory file or one that
    does not fit the geometry; the message names the file and what was expected.
    """
    path = Path(path)
    if geometry is not None and not isinstance(geometry, Geometry):
        geometry = load_geometry(geometry)
    module = _format_of(path)
    _check_options(module, options)
    try:
        scan: Scan = module.read(path, geometry=geometry, **options)
    except ValueError as error:  # of a geometry that cannot be, say
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error
    scan.check_shape()
    return scan


def known_formats() -> str:
    """The formats `read` knows, for messages: name and suffixes."""
    return "; ".join(f"{module.NAME} ({', '.join(module.SUFFIXES)})" for module in FORMATS)


def _format_of(path: Path) -> ModuleType:
    if not path.exists():
        raise MissingFileError(f"{path} does not exist")
    if path.is_dir():
        for module in FORMATS:
            if getattr(module, "FOLDERS", False) and module.matches(path, b""):
                return module
        raise IsAFolderError(f"{path} is a folder, and no known scan format is one. Known: {known_formats()}")
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputError(f"{path} is empty (0 bytes)")
    for module in FORMATS:
        if module.matches(path, head):
            return module
    raise InputError(_unknown(path, head))


def _check_options(module: ModuleType, options: dict[str, Any]) -> None:
    known = [name for name in inspect.signature(module.read).parameters if name not in ("path", "geometry")]
    unknown = [name for name in options if name not in known]
    if unknown:
        allowed = f"its options are {', '.join(known)}" if known else "it has none"
        raise InputTypeError(f"{module.NAME} has no option {', '.join(unknown)}; {allowed}")


def _unknown(path: Path, head: bytes) -> str:
    named = [module.NAME for module in FORMATS if path.suffix.lower() in module.SUFFIXES]
    if named:
        return (
            f"{path} is not a {named[0]} file, or is damaged: it starts with {head[:16]!r}. "
            f"Known formats: {known_formats()}"
        )
    return f"{path} is in no known scan format (it starts with {head[:16]!r}). Known formats: {known_formats()}"
