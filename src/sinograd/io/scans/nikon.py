"""Nikon (X-Tek) cone-beam scans: an .xtekct file and TIFF files NAME_0001.tif, NAME_0002.tif ...

[XTekCT] holds Name, InputFolderName, Projections, InitialAngle and AngularStep (degrees), SrcToObject and
SrcToDetector (mm), DetectorPixelsX, DetectorPixelsY, DetectorPixelSizeX, DetectorPixelSizeY (mm), WhiteLevel
(the counts of the open beam) and where the rotation axis lies: ObjectOffsetX (mm at the axis), ObjectRoll and
ObjectTilt (degrees), or in older files CentreOfRotationTop and CentreOfRotationBottom (mm at the detector's
upper and lower edge).

There is no published specification. Directions and signs are those of CIL's NikonDataReader (Core Imaging
Library, version 22 and later), whose authors tried them on scans of older and newer files:

- the gantry angle of view i is InitialAngle + i AngularStep - 180 degrees
- images are as seen from behind the detector: row 0 is the upper one (+v), columns run against +u. They are
  reversed both ways as they are read
- a positive ObjectOffsetX or CentreOfRotation puts the shadow of the axis at larger columns of the stored image
- a positive ObjectRoll turns the axis, seen from the source, clockwise: its upper end towards +u;
  a positive ObjectTilt leans its upper end away from the source

DetectorOffsetX and Y are not used, as in CIL (a warning says so where they are not 0). Measured angles, where
NAME.ang or NAME_ctdata.txt has one for each view, are used relative to the first when they follow the nominal
ones within half a step, whichever way they count.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from sinograd.data.calibration import Calibration
from sinograd.data.scan import Scan
from sinograd.errors import InputError, ScanWarning
from sinograd.files.inputs import noted
from sinograd.geometry import ConeBeam, FlatDetector, Geometry
from sinograd.io.scans.format import ScanFormat
from sinograd.io.scans.numbered_images import base_name, check_size, choose_views, numbered_files
from sinograd.io.storage.decimals import number_rows
from sinograd.io.storage.ini import MAX_BYTES, Ini
from sinograd.io.storage.outside import check_inside, is_inside
from sinograd.io.storage.tiff import TiffImages, constant_image

_SECTION = "XTekCT"


class Nikon(ScanFormat):
    """Nikon (X-Tek): an .xtekct file beside its images, or their folder."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file has Nikon's section; a folder, whether an .xtekct file is in it."""
        if path.is_dir():
            return bool(_descriptions(path))
        return b"[xtekct]" in head.lower()

    def read(self, path: Path, *, geometry: Geometry | None = None, measured_angles: bool = True) -> Scan:
        """Read a Nikon scan, .xtekct file or its folder; the images stay in their files.

        measured_angles: use those of an .ang or _ctdata.txt file where they fit.
        Raises ValueError naming file and key for missing, damaged or contradictory entries and images.
        """
        path = _only(path) if path.is_dir() else path
        ini = Ini(path)
        views = ini.count(_SECTION, "Projections")
        name = base_name(ini.text(_SECTION, "Name") or path.stem)
        inside = (ini.text(_SECTION, "InputFolderName") or "").replace("\\", "/")
        beside = path.parent
        folders = [beside / inside, beside / base_name(inside), beside]
        found = numbered_files([folder for folder in folders if is_inside(folder, beside)], name)
        if not found:
            if not is_inside(folders[0], beside) and numbered_files(folders[:1], name):
                check_inside(folders[0], path, "InputFolderName")
            raise InputError(f"{path}: no image {name}_0001.tif was found (Name={name}, InputFolderName={inside})")
        numbers = choose_views(found, 0 if 0 in found and len(found) <= views else 1, views, path)
        images = TiffImages([found[number] for number in numbers], flip_rows=True, flip_columns=True)
        if len(images) != len(numbers):
            raise InputError(f"{path}: one image a file is expected, got {len(images)} in {len(numbers)} files")
        if geometry is None:
            rows, columns = ini.count(_SECTION, "DetectorPixelsY"), ini.count(_SECTION, "DetectorPixelsX")
            check_size(images.shape, rows, columns, path, images.files[0])
            steps = np.array(numbers) - min(1, numbers[0])
            angles = ini.number(_SECTION, "InitialAngle", 0.0) + ini.number(_SECTION, "AngularStep") * steps - 180
            if measured_angles:
                angles = _measured(path, name, steps, angles)
            geometry = _geometry(ini, np.radians(angles), rows, columns)
        white = ini.number(_SECTION, "WhiteLevel", 0.0)
        if white <= 0:
            warnings.warn(
                f"{path} has no WhiteLevel: the counts of the open beam are unknown", ScanWarning, stacklevel=3
            )
        calibration = Calibration(reference=constant_image(white, images.shape[1:])) if white > 0 else None
        return Scan(images, geometry, _metadata(ini, name) | images.tags, None, "counts", path, {}, calibration)


def _descriptions(folder: Path) -> list[Path]:
    return sorted(found for found in folder.iterdir() if found.suffix.lower() == ".xtekct" and found.is_file())


def _only(folder: Path) -> Path:
    found = _descriptions(folder)
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} scans, name one: {', '.join(path.name for path in found[:8])}")
    return found[0]


def _geometry(ini: Ini, angles: np.ndarray, rows: int, columns: int) -> ConeBeam:
    """The turned world of CIL brought back to one with the axis along z: source and detector turn instead."""
    to_object, to_detector = ini.positive(_SECTION, "SrcToObject"), ini.positive(_SECTION, "SrcToDetector")
    if to_detector < to_object:
        raise InputError(f"{ini.path}: SrcToDetector {to_detector:g} is less than SrcToObject {to_object:g}")
    spacing = (ini.positive(_SECTION, "DetectorPixelSizeY"), ini.positive(_SECTION, "DetectorPixelSizeX"))
    offset, roll = _axis(ini, to_object / to_detector, rows * spacing[0])
    tilt = math.radians(ini.number(_SECTION, "ObjectTilt", 0.0))
    if max(abs(roll), abs(tilt)) > math.radians(85):
        raise InputError(f"{ini.path}: ObjectRoll and ObjectTilt must be less than 85 degrees")
    shifted = [ini.number(_SECTION, key, 0.0) for key in ("DetectorOffsetX", "DetectorOffsetY")]
    if any(shifted):
        warnings.warn(
            f"{ini.path}: DetectorOffsetX {shifted[0]:g} and DetectorOffsetY {shifted[1]:g} are not used, "
            "their signs are not known",
            ScanWarning,
            stacklevel=4,
        )
    behind = to_detector - to_object
    return ConeBeam.circular(
        source_to_origin=to_object * math.cos(tilt),
        source_to_detector=to_object * math.cos(tilt) + behind / math.cos(tilt),
        angles=angles,
        detector=FlatDetector((rows, columns), spacing, (behind * math.tan(tilt), 0.0)),
        axis_offset=-offset * math.cos(roll),
        source_offset=(
            -to_object * math.sin(tilt) * math.cos(roll),
            to_object * math.sin(tilt) * math.sin(roll),
        ),
        tilt=tilt,
        in_plane_rotation=roll,
    )


def _axis(ini: Ini, demagnification: float, height: float) -> tuple[float, float]:
    """ObjectOffsetX in mm at the axis and ObjectRoll in radians, or what older files tell instead."""
    top, bottom = (ini.number(_SECTION, f"CentreOfRotation{end}", 0.0) for end in ("Top", "Bottom"))
    offset = ini.number(_SECTION, "ObjectOffsetX", 0.5 * (top + bottom) * demagnification)
    if ini.text(_SECTION, "ObjectRoll") is None:
        return offset, -math.atan2(top - bottom, height)
    return offset, math.radians(ini.number(_SECTION, "ObjectRoll"))


def _measured(path: Path, name: str, steps: np.ndarray, nominal: np.ndarray) -> np.ndarray:
    """The angles of an .ang or _ctdata.txt file in degrees where they fit the nominal ones, else those."""
    known = {f"{name}.ang", f"{path.stem}.ang", "_ctdata.txt", f"{name}_ctdata.txt"}
    names = {candidate.casefold() for candidate in known}
    there = (found for found in sorted(path.parent.iterdir()) if found.name.casefold() in names)
    for beside in (found for found in there if found.is_file()):
        by_number = _angles(beside)
        found = np.array([by_number.get(int(step) + 1, math.nan) for step in steps])
        limit = 0.5 * np.median(np.abs(np.diff(nominal))) if len(nominal) > 1 else 0.0
        for sign in (1, -1):
            angles = nominal[0] + sign * (found - found[0])
            if np.abs(angles - nominal).max() <= limit:
                return angles
        warnings.warn(
            f"{beside}: its {len(by_number)} angles do not follow the {len(nominal)} nominal ones of {path.name} "
            f"within half a step ({limit:g} degrees), which are used instead",
            ScanWarning,
            stacklevel=4,
        )
    return nominal


def _angles(path: Path) -> dict[int, float]:
    """Degrees by number, from lines "1: 0.000", "1;0,000" or "1 <tab> 0.000 <tab> time" after the line of headings."""
    if path.stat().st_size > MAX_BYTES:
        return {}
    lines = noted(path).read_text(encoding="latin-1").splitlines()
    header = next((i + 1 for i, line in enumerate(lines) if "angle" in line.casefold()), 0)
    return {int(number): degrees for number, degrees in number_rows(lines[header:], 2) if number == int(number)}


def _metadata(ini: Ini, name: str) -> dict[str, str | float]:
    filters = [ini.text("CTPro", key) for key in ("Filter_ThicknessMM", "Filter_Material")]
    found = {
        "vendor": "Nikon",
        "sample": name,
        "voltage": ini.text("Xrays", "XraykV", ""),
        "current": ini.text("Xrays", "XrayuA", ""),
        "filter": " ".join(text for text in filters if text),
        "white_level": ini.text(_SECTION, "WhiteLevel", ""),
    }
    units = {"voltage": "kV", "current": "uA"}
    return {key: f"{value} {units.get(key, '')}".strip() for key, value in found.items() if value}
