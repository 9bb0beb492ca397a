"""FIPS / Helsinki fan-beam scans (.mat): the open X-ray tomographic data sets of the University of Helsinki.

A MATLAB struct, `CtDataFull` or `CtDataLimited` or `CtData`, with `sinogram` [views, columns], already -log,
`type` "2D" and `parameters`: distanceSourceOrigin, distanceSourceDetector, distanceUnit, angles (degrees),
pixelSizePost (after binning), numDetectorsPost, geometryType, detector, tube, voltage ... (version 1 files:
numDetectors and effectivePixelSize). The geometry is a circular fan beam in sinograd's convention, without
flips and with a centred detector, checked on the Helsinki Tomography Challenge 2022 (Zenodo
10.5281/zenodo.6984868).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.config.shown import shown
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.geometry import FanBeam, FlatDetector, Geometry, Grid
from sinograd.io.scans.format import ScanFormat
from sinograd.io.storage.matlab import is_matlab, load_matlab, variable_names

STRUCTS = ("CtDataFull", "CtDataLimited", "CtData")
HTC_ORIENTATION = "row 0 of volumes lies at -y; the images that HTC2022 publishes have row 0 at +y: flip them along y"
_MM = {"mm": 1.0, "cm": 10.0}


class Fips(ScanFormat):
    """FIPS / Helsinki MATLAB files of one fan-beam slice."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is MATLAB 5 or 7.3; whether it holds a scan shows when it is read."""
        return is_matlab(head)

    def read(self, path: Path, *, geometry: Geometry | None = None) -> Scan:
        """Read a FIPS / Helsinki scan, in `geometry` where one is given.

        Errors: ValueError naming the file, the field, what was expected and what was found.
        """
        content = load_matlab(path, STRUCTS)
        if not content:
            raise InputError(
                f"{path} holds no FIPS scan: expected a struct {' or '.join(STRUCTS)}, "
                f"found {', '.join(variable_names(path)) or 'no variables'}"
            )
        data = next(iter(content.values()))
        parameters = data.get("parameters") if isinstance(data, dict) else None
        if not isinstance(parameters, dict):
            raise InputError(f"{path}: the struct {next(iter(content))} has no struct `parameters`")
        _check_kind(path, data, parameters)
        angles = _angles(path, parameters)
        sinogram = _sinogram(path, data, parameters, len(angles))
        metadata = _metadata(parameters)
        published = str(parameters.get("projectName", "")).lower().startswith("htc2022")
        if published:
            metadata["orientation"] = HTC_ORIENTATION
        if geometry is not None:
            return Scan(sinogram, geometry, metadata, file=path)
        geometry, pixel = _geometry(path, parameters, angles, sinogram.shape[1])
        # Segmentations of this data set are published on 512^2 pixels.
        grid = Grid((512, 512), pixel) if published else None
        return Scan(sinogram, geometry, metadata, grid, file=path)


def _check_kind(path: Path, data: dict[str, Any], parameters: dict[str, Any]) -> None:
    if str(data.get("type", "2D")).upper() != "2D":
        raise InputError(f"{path}: type {shown(data['type'])} is not supported, expected '2D' (one fan-beam slice)")
    beam = str(parameters.get("geometryType", "cone")).lower()
    if beam not in ("cone", "fan"):
        raise InputError(f"{path}: parameters.geometryType {shown(beam)} is not supported, expected 'Cone' or 'Fan'")
    if "sinogram" not in data:
        found = ", ".join(sorted(data))
        raise InputError(f"{path}: the struct has no field `sinogram`, found {found}")


def _angles(path: Path, parameters: dict[str, Any]) -> np.ndarray:
    """Degrees [views]."""
    value = _field(path, parameters, "angles")
    try:
        angles = np.asarray(value)
    except ValueError:  # lists of different lengths
        angles = np.empty(0, object)
    if angles.dtype.kind not in "fiu":
        raise InputError(f"{path}: parameters.angles must be real numbers, got {shown(value)}")
    return np.atleast_1d(angles.astype(np.float64)).ravel()


def _sinogram(path: Path, data: dict[str, Any], parameters: dict[str, Any], views: int) -> np.ndarray:
    sinogram = np.asarray(data["sinogram"])
    if sinogram.dtype.kind not in "fiu":
        raise InputError(f"{path}: sinogram must hold real numbers, got {sinogram.dtype}")
    if sinogram.ndim < 2 and views:
        sinogram = sinogram.reshape(views, -1) if sinogram.size % views == 0 else np.atleast_2d(sinogram)
    if sinogram.ndim != 2 or sinogram.size == 0:
        raise InputError(f"{path}: sinogram must be [views, columns] and not empty, got {list(sinogram.shape)}")
    if sinogram.shape[0] != views:
        raise InputError(
            f"{path}: sinogram {list(sinogram.shape)} has {sinogram.shape[0]} views, parameters.angles has {views}"
        )
    for name in ("numDetectorsPost", "numDetectors"):
        if name in parameters and int(_number(path, parameters, name)) != sinogram.shape[1]:
            raise InputError(
                f"{path}: sinogram {list(sinogram.shape)} has {sinogram.shape[1]} columns, "
                f"parameters.{name} is {int(_number(path, parameters, name))}"
            )
    return sinogram


def _geometry(path: Path, parameters: dict[str, Any], angles: np.ndarray, columns: int) -> tuple[FanBeam, float]:
    """The fan beam, and the pixel size at the axis in mm."""
    unit = str(_field(path, parameters, "distanceUnit")).strip().lower()
    if unit not in _MM:
        raise InputError(f"{path}: parameters.distanceUnit {shown(unit)} is unknown, expected {' or '.join(_MM)}")
    source_to_origin = _MM[unit] * _number(path, parameters, "distanceSourceOrigin")
    source_to_detector = _MM[unit] * _number(path, parameters, "distanceSourceDetector")
    if source_to_detector < source_to_origin:
        raise InputError(
            f"{path}: parameters.distanceSourceDetector {source_to_detector:g} mm is less than distanceSourceOrigin "
            f"{source_to_origin:g} mm; are the two swapped?"
        )
    magnification = source_to_detector / source_to_origin
    if "pixelSizePost" in parameters:
        spacing = _MM[unit] * _number(path, parameters, "pixelSizePost")
    else:
        spacing = _MM[unit] * _number(path, parameters, "effectivePixelSize") * magnification
    if not np.isfinite(angles).all():
        raise InputError(f"{path}: parameters.angles holds NaN or infinite values")
    geometry = FanBeam.circular(
        source_to_origin=source_to_origin,
        source_to_detector=source_to_detector,
        angles=torch.deg2rad(torch.from_numpy(angles)),
        detector=FlatDetector(columns, spacing),
    )
    return geometry, spacing / magnification


def _metadata(parameters: dict[str, Any]) -> dict[str, Any]:
    """The entries that people look for, values with their units."""

    def joined(value: str, unit: str) -> str:
        return f"{parameters.get(value, '')} {parameters.get(unit, '')}".strip()

    found = {
        "vendor": parameters.get("scanner", ""),
        "sample": parameters.get("projectName", ""),
        "operator": parameters.get("measurers", ""),
        "date": parameters.get("date", ""),
        "detector": parameters.get("detector", ""),
        "tube": joined("tube", "target"),
        "voltage": joined("voltage", "voltageUnit"),
        "current": joined("current", "currentUnit"),
        "exposure": joined("exposureTime", "exposureTimeUnit"),
        "filter": joined("xRayFilter", "xRayFilterThickness"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str | int | float) and value != ""}


def _field(path: Path, parameters: dict[str, Any], name: str) -> Any:
    if name not in parameters:
        raise InputError(f"{path}: parameters.{name} is missing, found {', '.join(sorted(parameters))}")
    return parameters[name]


def _number(path: Path, parameters: dict[str, Any], name: str) -> float:
    """One finite positive number."""
    value = _field(path, parameters, name)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{path}: parameters.{name} must be one positive number, got {shown(value)}")
    return number
