"""`read`: a scan in, a Scan out, whatever the format. The formats are `sinograd.choices.SCAN_FORMATS`."""

from __future__ import annotations

import inspect
import os
import warnings
from pathlib import Path
from typing import Any

from sinograd.choices import SCAN_FORMATS, VOLUME_FORMATS
from sinograd.config.near_keys import did_you_mean
from sinograd.config.paths import checked_path
from sinograd.config.yaml import load_yaml
from sinograd.data.lengths import PIXEL
from sinograd.data.memory import reading
from sinograd.data.scan import Scan
from sinograd.errors import FormatError, InputError, InputTypeError, IsAFolderError, ScanWarning
from sinograd.files.inputs import read_as
from sinograd.geometry import Geometry, load_geometry
from sinograd.geometry.checks import positive
from sinograd.io import formats
from sinograd.io.formats import Choice, file_head, first_match, loaded, matching_format
from sinograd.io.scans.beam_images import Paths, with_beam_images
from sinograd.io.scans.sidecar import find_sidecar
from sinograd.io.scans.unknown_files import unknown_text
from sinograd.io.storage.outside import is_outside_allowed, outside_allowed
from sinograd.io.volumes.dicom.bounds import MAGIC, MAGIC_START


def read(
    path: str | os.PathLike[str],
    geometry: Geometry | str | os.PathLike[str] | None = None,
    *,
    flat: Paths | None = None,
    dark: Paths | None = None,
    pixel_mm: float | None = None,
    allow_outside: bool | None = None,
    **options: Any,
) -> Scan:
    """Read a scan; the format is recognised by content.

    Projections may stay in the file until they are used (`Scan.load`). `known_formats` lists the formats; the class of
    each tells its conventions and options.

    Args:
        path: the file, or the folder for formats that are folders.
        geometry: taken instead of what the file says: a Geometry, the path of a YAML file or the name of a
            scanner (`load_geometry`). Files that say nothing usable need one.
        flat, dark: files or folders with the flat fields and the images without beam, in the place of the scan's own:
            TIFF, EDF, .npy, HDF5 (FILE::/data/set), MRC or .xrm. Several images are averaged; of two paths, before and
            after the scan, references are interpolated.
        pixel_mm: distance of the columns at the sample, mm, whatever the file says; of parallel beams. A file that does
            not say it gives a scan whose lengths are in pixels (`Scan.length_unit`).
        allow_outside: follow names in the scan's files to files outside their folder, as to images elsewhere; by
            default they are refused, unless `outside_allowed` says otherwise. What the scan names is chosen by whoever
            made it.
        options: those of the format; an unknown one is an error that lists them.

    Raises FileNotFoundError for a missing file, IsADirectoryError for a folder that is not a scan, TypeError
    for an unknown option, and InputError for an unknown format, a truncated or contradictory file or one that
    does not fit the geometry; the message names the file and what was expected.
    """
    path = checked_path(path)
    if pixel_mm is not None:
        pixel_mm = positive(pixel_mm, "pixel_mm")
        if geometry is not None:
            raise InputError("`pixel_mm`: the pixel size is that of `geometry`; give one of them")
    with read_as(path):
        scan = _read(path, geometry, (flat, dark), allow_outside, options)
        return _with_pixel(scan, pixel_mm)


def _read(
    path: Path,
    geometry: Geometry | str | os.PathLike[str] | None,
    beam: tuple[Paths | None, Paths | None],
    allow_outside: bool | None,
    options: dict[str, Any],
) -> Scan:
    if geometry is not None and not isinstance(geometry, Geometry):
        geometry = load_geometry(geometry)
    allow = is_outside_allowed() if allow_outside is None else allow_outside
    with outside_allowed(allow):
        choice = _choice(path)
    _check_options(choice, options)
    try:
        with outside_allowed(allow), reading(str(path)):
            scan: Scan = choice.format.read(path, geometry=geometry, **options)
    except ValueError as error:  # of a geometry that cannot be, say
        if isinstance(error, FormatError) or str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error
    if beam != (None, None):
        stated, turned = _stated(choice, path)
        scan = with_beam_images(scan, *beam, stated=stated or "kind" in options, turned=turned)
    scan.check_shape()
    return scan


def _with_pixel(scan: Scan, pixel_mm: float | None) -> Scan:
    """The scan with the stated pixel size; a ScanWarning where none is known."""
    if pixel_mm is not None:
        return scan.with_pixel(pixel_mm)
    if scan.length_unit == PIXEL:
        warnings.warn(
            f"{scan.name} does not say how large its pixels are: lengths are in pixels, and attenuation is per pixel; "
            "`pixel_mm` states it",
            ScanWarning,
            stacklevel=4,
        )
    return scan


def known_formats() -> str:
    """The formats `read` knows, for messages: name and suffixes."""
    return formats.known_formats(SCAN_FORMATS)


def _stated(choice: Choice, path: Path) -> tuple[bool, tuple[bool, bool] | None]:
    """Whether a scan's file says what its numbers are, and whether a YAML file says that rows or columns turn."""
    if choice.entry.name in ("dxchange", "mrc", "hdf5-layout"):
        return False, None
    found = find_sidecar(path) if choice.entry.name in ("tiff", "edf", "npy") else None
    if found is None:
        return choice.entry.name not in ("tiff", "edf", "npy"), None
    data = load_yaml(found)
    return "kind" in data, (data.get("flip_rows") is True, data.get("flip_columns") is True)


def _choice(path: Path) -> Choice:
    formats.check_exists(path)
    head = file_head(path)
    slice_alone = head[MAGIC_START:].startswith(MAGIC)  # of DICOM; some are TIFF files as well
    entry = None if slice_alone else first_match(SCAN_FORMATS, path, head)
    if entry is not None:
        return loaded(entry, path)
    if matching_format(VOLUME_FORMATS, path) is not None:
        raise FormatError(f"{path} is a volume, not a scan: read it with sinograd.read_volume")
    if path.is_dir():
        raise IsAFolderError(f"{path} is a folder, and no known scan format is one. Known: {known_formats()}")
    if slice_alone:
        raise FormatError(f"{path} is one DICOM file; a volume is the folder with all slices of a series: give that")
    raise FormatError(unknown_text(path, head))


def _check_options(choice: Choice, options: dict[str, Any]) -> None:
    known = [name for name in inspect.signature(choice.format.read).parameters if name not in ("path", "geometry")]
    unknown = [name for name in options if name not in known]
    if unknown:
        allowed = f"its options are {', '.join(known)}" if known else "it has none"
        raise InputTypeError(
            f"{choice.name} has no option {', '.join(unknown)}; {allowed}{did_you_mean(unknown, known)}"
        )
