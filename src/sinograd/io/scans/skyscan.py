"""Bruker SkyScan scans: a .log file and TIFF files PREFIX0000.tif, PREFIX0001.tif ...

[System] holds Scanner, Camera Pixel Size (um) and Camera X/Y Ratio; [Acquisition] Filename Prefix, Number of Files,
Number of Rows, Number of Columns, Object to Source (mm), Camera to Source (mm), Image Pixel Size (um) (of a pixel at
the axis), Optical Axis (line), Rotation Step (deg), Rotation Direction, Flat Field Correction, Depth (bits) and in
newer files Reference Intensity; [Reconstruction], where NRecon has been run, Postalignment (pixels).

There is no published specification, and public readers (the ASTRA group's SkyScanParser, TIGRE's BrukerDataLoader)
differ. This one takes:

- the detector's pixels are Image Pixel Size x Camera to Source / Object to Source (Camera Pixel Size does not count
  binning and corrections); Object to Source of 10 m or more means a parallel beam
- the gantry angle of view i is -i Rotation Step for Rotation Direction CC (the object turns counter-clockwise), and
  + for CW. Images are as seen from behind the detector: row 0 is the upper one (+v), columns run against +u (both
  as SkyScanParser). They are reversed both ways as they are read
- Optical Axis (line) is the row that the beam meets at right angles, counted from 0 at the lower edge (as
  BrukerDataLoader); `line_from_top` counts from the upper edge. The volume's z = 0 is there
- a positive Postalignment moves the detector so that the shadow of the axis falls at smaller columns of the stored
  image, that many pixels from the middle (as SkyScanParser)
- Flat Field Correction=ON: the images are corrected, and the open beam has Reference Intensity counts, or
  2^depth - 1 in older files

Image Rotation and thermal shifts (PREFIX_TS.csv) are not applied: their signs are not known, and a warning says so.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from sinograd.config.shown import shown
from sinograd.data.calibration import Calibration
from sinograd.data.scan import Scan
from sinograd.errors import InputError, ScanWarning
from sinograd.geometry import ConeBeam, FlatDetector, Geometry, ParallelBeam
from sinograd.io.formats import HEAD_BYTES
from sinograd.io.scans.format import ScanFormat
from sinograd.io.scans.numbered_images import base_name, check_size, choose_views, numbered_files
from sinograd.io.storage.ini import Ini
from sinograd.io.storage.tiff import TiffImages, constant_image

PARALLEL_MM = 10_000.0  # NRecon takes an object that is further from the source for one in a parallel beam
_SCAN = "Acquisition"


class SkyScan(ScanFormat):
    """Bruker SkyScan: a .log file beside its images, or their folder."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file begins as a SkyScan log; a folder, whether such a file is in it."""
        if path.is_dir():
            return bool(_logs(path))
        return _is_log(head)

    def read(self, path: Path, *, geometry: Geometry | None = None, line_from_top: bool = False) -> Scan:
        """Read a SkyScan scan, .log file or its folder; the images stay in their files.

        line_from_top: count Optical Axis (line) from the upper edge of the images.
        Raises ValueError naming file and key for missing, damaged or contradictory entries and images.
        """
        path = _only(path) if path.is_dir() else path
        ini = Ini(path)
        if _SCAN not in ini:
            raise InputError(f"{path} has no section [{_SCAN}]")
        views = ini.count(_SCAN, "Number of Files")
        prefix = base_name(ini.text(_SCAN, "Filename Prefix") or path.stem)
        found = numbered_files([path.parent], prefix)
        if not found:
            raise InputError(f"{path}: no image {prefix}0000.tif was found beside it (Filename Prefix={prefix})")
        numbers = choose_views(found, 0, views, path)
        images = TiffImages([found[number] for number in numbers], flip_rows=True, flip_columns=True)
        if len(images) != len(numbers):
            raise InputError(f"{path}: one image a file is expected, got {len(images)} in {len(numbers)} files")
        metadata = _metadata(ini, prefix) | images.tags
        if geometry is None:
            rows, columns = images.shape[1:]
            if ini.text(_SCAN, "Number of Rows") is not None and ini.text(_SCAN, "Number of Columns") is not None:
                rows, columns = ini.count(_SCAN, "Number of Rows"), ini.count(_SCAN, "Number of Columns")
            check_size(images.shape, rows, columns, path, images.files[0])
            _warn_of_what_is_left(ini, prefix)
            geometry = _geometry(ini, numbers, rows, columns, line_from_top)
            metadata["center_shift_pixels"] = ini.number("Reconstruction", "Postalignment", 0.0)
        calibration = _calibration(ini, images.shape[1:])
        return Scan(images, geometry, metadata, None, "counts", path, {}, calibration)


def _is_log(head: bytes) -> bool:
    return b"[system]" in head.lower() and b"scanner" in head.lower()


def _logs(folder: Path) -> list[Path]:
    """Logs of scans; those that NRecon writes lie beside its slices and have _rec in their names."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".log" and path.is_file() and not path.stem.casefold().endswith("_rec"):
            with open(path, "rb") as file:
                if _is_log(file.read(HEAD_BYTES)):
                    found.append(path)
    return found


def _only(folder: Path) -> Path:
    found = _logs(folder)
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} scans, name one: {', '.join(path.name for path in found[:8])}")
    return found[0]


def _geometry(ini: Ini, numbers: list[int], rows: int, columns: int, line_from_top: bool) -> Geometry:
    pixel = ini.positive(_SCAN, "Image Pixel Size (um)") / 1000
    to_object = ini.positive(_SCAN, "Object to Source (mm)")
    angles = _turn(ini) * np.radians(ini.number(_SCAN, "Rotation Step (deg)") * np.array(numbers))
    aside = -ini.number("Reconstruction", "Postalignment", 0.0)
    if to_object >= PARALLEL_MM:
        return ParallelBeam(angles, FlatDetector((rows, columns), pixel, (0.0, aside * pixel)))
    to_camera = ini.positive(_SCAN, "Camera to Source (mm)", to_object)
    if to_camera < to_object:
        raise InputError(
            f"{ini.path}: Camera to Source (mm) {to_camera:g} is less than Object to Source (mm) {to_object:g}"
        )
    line = ini.number(_SCAN, "Optical Axis (line)", (rows - 1) / 2)
    if not -rows <= line <= 2 * rows:
        raise InputError(f"{ini.path}: Optical Axis (line) {line:g} is far outside the {rows} rows")
    if line_from_top:
        line = rows - 1 - line
    spacing = pixel * to_camera / to_object
    return ConeBeam.circular(
        source_to_origin=to_object,
        source_to_detector=to_camera,
        angles=angles,
        detector=FlatDetector((rows, columns), spacing, (((rows - 1) / 2 - line) * spacing, aside * spacing)),
    )


def _turn(ini: Ini) -> int:
    """How the gantry turns as views go on: 1 counter-clockwise seen from +z, -1 clockwise."""
    direction = ini.text(_SCAN, "Rotation Direction") or ini.text(_SCAN, "Gantry direction") or "CC"
    if direction.upper() not in ("CC", "CCW", "CW"):
        raise InputError(f"{ini.path}: [{_SCAN}] Rotation Direction must be CC or CW, got {shown(direction)}")
    return 1 if direction.upper() == "CW" else -1


def _calibration(ini: Ini, shape: tuple[int, ...]) -> Calibration | None:
    if (ini.text(_SCAN, "Flat Field Correction") or "ON").upper() != "ON":
        warnings.warn(
            f"{ini.path}: Flat Field Correction is OFF: the images are not corrected and come without references",
            ScanWarning,
            stacklevel=4,
        )
        return None
    depth = ini.positive(_SCAN, "Depth (bits)", 16)
    if depth > 32:
        raise InputError(f"{ini.path}: Depth (bits) must be at most 32, got {depth:g}")
    white = ini.positive(_SCAN, "Reference Intensity", 2**depth - 1)
    return Calibration(reference=constant_image(white, shape))


def _warn_of_what_is_left(ini: Ini, prefix: str) -> None:
    left = []
    ratio = ini.positive("System", "Camera X/Y Ratio", ini.positive("System", "CameraXYRatio", 1.0))
    if abs(ratio - 1) > 1e-3:
        left.append(f"Camera X/Y Ratio {ratio:g} (pixels are taken for square)")
    rotation = ini.number(_SCAN, "Image Rotation", 0.0)
    if rotation:
        left.append(f"Image Rotation {rotation:g} degrees")
    stem = prefix.rstrip("_").casefold()
    shifts = [p.name for p in sorted(ini.path.parent.glob("*.[cC][sS][vV]")) if p.stem.casefold().startswith(stem)]
    if shifts:
        left.append(f"the thermal shifts in {shifts[0]}")
    if left:
        warnings.warn(
            f"{ini.path}: not applied, as their signs are not documented: {', '.join(left)}", ScanWarning, stacklevel=4
        )


def _metadata(ini: Ini, prefix: str) -> dict[str, str | float]:
    found = {
        "vendor": ini.text("System", "Scanner") or "SkyScan",
        "sample": prefix.strip("_"),
        "date": ini.text(_SCAN, "Study Date and Time"),
        "detector": ini.text("System", "Camera") or ini.text("System", "Camera Type"),
        "voltage": _with_unit(ini.text(_SCAN, "Source Voltage (kV)"), "kV"),
        "current": _with_unit(ini.text(_SCAN, "Source Current (uA)"), "uA"),
        "exposure": _with_unit(ini.text(_SCAN, "Exposure (ms)"), "ms"),
        "filter": ini.text(_SCAN, "Filter"),
        "flat_field_correction": ini.text(_SCAN, "Flat Field Correction"),
    }
    return {key: value for key, value in found.items() if value}


def _with_unit(value: str | None, unit: str) -> str | None:
    return f"{value} {unit}" if value else None
