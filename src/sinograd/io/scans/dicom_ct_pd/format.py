"""The format as a class, and what it tells of a scan beside projections and geometry."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.data.calibration import Calibration
from sinograd.data.scan import Scan
from sinograd.errors import ScanWarning
from sinograd.files.inputs import noted
from sinograd.geometry import Geometry
from sinograd.io.scans.dicom_ct_pd.geometry import geometry_of
from sinograd.io.scans.dicom_ct_pd.header import ViewHeader, read_headers
from sinograd.io.scans.dicom_ct_pd.images import CtPdImages
from sinograd.io.scans.dicom_ct_pd.sequence import ordered
from sinograd.io.scans.dicom_ct_pd.tags import TAGS, is_projection, text_of, values_of
from sinograd.io.scans.format import ScanFormat
from sinograd.io.volumes.dicom.file import is_dicom

if TYPE_CHECKING:
    from pydicom import Dataset

_TEXTS = {
    "Manufacturer": "vendor",
    "ManufacturerModelName": "scanner",
    "BodyPartExamined": "body_part",
    "SeriesDescription": "series",
    "PatientPosition": "patient_position",
}
_NUMBERS = {"KVP": "voltage_kv", "XRayTubeCurrent": "current_ma", "CTDIvol": "ctdi_vol_mgy"}
_CORRECTIONS = {
    "BeamHardeningCorrectionFlag": "beam hardening",
    "GainCorrectionFlag": "gain",
    "DarkFieldCorrectionFlag": "dark field",
    "FlatFieldCorrectionFlag": "flat field",
    "BadPixelCorrectionFlag": "bad pixels",
    "ScatterCorrectionFlag": "scatter",
    "LogFlag": "logarithm",
}
_LEVELS = (("low dose", "low"), ("quarter", "low"), ("full dose", "full"), ("normal", "full"))


class DicomCtPd(ScanFormat):
    """A folder of DICOM-CT-PD files; `help(sinograd.io.scans.dicom_ct_pd)`."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a folder's first DICOM file has the private tags of a projection; CT slices have not."""
        return is_projection_folder(path)

    def read(self, path: Path, *, geometry: Geometry | None = None, flip_center: bool = False) -> Scan:
        """Read the headers of all files; the pixels stay in them.

        flip_center: the central column of the detector counts from the other end.
        Raises FormatError naming file and tag: missing tags, mixed series, repeated views, truncated files.
        Warns ScanWarning: gaps in the sequence of views, steps of the gantry that differ.
        """
        headers, tags = read_headers([noted(file) for file in projection_files(path)])
        views = ordered(headers, path)
        if geometry is None:
            geometry = geometry_of(views, path, flip_center=flip_center)
            _warn_of_center(views[0], tags, path, flip_center)
        metadata = _metadata(views, tags)
        return Scan(CtPdImages(views), geometry, metadata, None, _kind(tags), path, {}, _calibration(views, path))


def is_projection_folder(path: Path) -> bool:
    """Whether a path is a folder with projections of DICOM-CT-PD; of its DICOM files the first is looked at."""
    first = next(iter(projection_files(path)), None) if path.is_dir() else None
    return first is not None and is_projection(first)


def projection_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, by name."""
    from sinograd.io.storage.tiff import natural_order

    files = [file for file in folder.iterdir() if file.is_file() and file.name.upper() != "DICOMDIR"]
    return natural_order([file for file in files if is_dicom(file)])


def _kind(tags: Dataset) -> str:
    if text_of(tags, "LogFlag") != "NO":
        return "line integrals"
    return "transmission" if text_of(tags, "FlatFieldCorrectionFlag") == "YES" else "counts"


def _calibration(views: Sequence[ViewHeader], folder: Path) -> Calibration | None:
    """Photons of each view and column, columns along +u."""
    missing = [view.path.name for view in views if view.photons is None]
    if missing:
        if len(missing) < len(views):
            warnings.warn(
                f"{folder}: {len(missing)} of {len(views)} files have no PhotonStatistics "
                f"{TAGS['PhotonStatistics'].text} ({missing[0]} ...); those of the others are not used",
                ScanWarning,
                stacklevel=4,
            )
        return None
    photons = np.stack([view.photons[::-1] for view in views if view.photons is not None])
    return Calibration(photons=photons[:, None])


def _metadata(views: Sequence[ViewHeader], tags: Dataset) -> dict[str, Any]:
    """Scanner and exposure; nothing that tells who the patient is."""
    found: dict[str, Any] = {}
    for tag, name in _TEXTS.items():
        if tags.get(tag) not in (None, ""):
            found[name] = str(tags.get(tag))[:64]
    for tag, name in _NUMBERS.items():
        try:
            found[name] = float(tags.get(tag))  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError):
            continue
    currents = [view.current for view in views if view.current is not None]
    if currents:
        found["current_ma"] = round(float(np.mean(currents)), 3)
    level = next((level for words, level in _LEVELS if words in found.get("series", "").lower()), None)
    if level is not None:
        found["dose_level"] = level
    water = [values_of(tags, name, views[0].path) for name in TAGS if name.endswith("WaterAttenuationCoefficient")]
    positive = [float(value) for values in water for value in values[:1] if value > 0]
    if positive:
        found["water_per_mm"] = positive[0]
    mode = text_of(tags, "FlyingFocalSpotMode")
    if mode:
        found["flying_focal_spot"] = mode
    done = [name for flag, name in _CORRECTIONS.items() if text_of(tags, flag) == "YES"]
    if done:
        found["corrections"] = ", ".join(done)
    return found


def _warn_of_center(first: ViewHeader, tags: Dataset, folder: Path, flip_center: bool) -> None:
    column, columns = first.center[0], first.shape[1]
    vendor = str(tags.get("Manufacturer") or "").upper()
    if not flip_center and vendor.startswith("GE") and abs(column - (columns + 1) / 2) > 0.01:
        warnings.warn(
            f"{folder}: the central column is {column:g} of {columns}, counted as the format has it; in files of GE it "
            f"has been found to count from the other end ({columns + 1 - column:g}): `flip_center=True`",
            ScanWarning,
            stacklevel=5,
        )
