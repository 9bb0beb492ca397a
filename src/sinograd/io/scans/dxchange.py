"""DXchange HDF5 files (De Carlo et al., J. Synchrotron Rad. 21, 1224, 2014), as tomography beamlines write them.

    /exchange/data          [views, rows, columns], raw counts (real numbers without data_white: transmission)
    /exchange/data_white    [n, rows, columns], may be missing; when they were taken is not known
    /exchange/data_dark     [n, rows, columns], may be missing
    /exchange/theta         [views], degrees unless its units say radians
    pixel size              the first of PIXELS that is there, else 1 mm with a ScanWarning

A parallel beam. theta is the angle of the sample stage, counter-clockwise seen from +z, so gantry angle =
-theta; `reverse=True` for a stage that turned clockwise. Rows and columns as stored, along +v and +u.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from sinograd.data.calibration import Calibration
from sinograd.data.scan import Scan
from sinograd.errors import InputError
from sinograd.geometry import FlatDetector, Geometry, ParallelBeam
from sinograd.io.storage.hdf5.layout import is_hdf5, opened
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.storage.hdf5.values import Values

NAME = "DXchange HDF5"
SUFFIXES = (".h5", ".hdf5", ".hdf")
_DETECTOR = "measurement/instrument/detector"
PIXELS = (  # at the sample first: optics magnify
    "measurement/instrument/detection_system/objective/resolution",
    f"{_DETECTOR}/x_actual_pixel_size",
    f"{_DETECTOR}/actual_pixel_size_x",
    f"{_DETECTOR}/x_pixel_size",
    f"{_DETECTOR}/pixel_size_x",
    f"{_DETECTOR}/pixel_size",
)
_TEXTS = {
    "sample": "measurement/sample/name",
    "operator": "measurement/sample/experimenter/name",
    "instrument": "measurement/instrument/name",
    "camera": f"{_DETECTOR}/model",
    "date": "process/acquisition/start_date",
}


def matches(path: Path, head: bytes) -> bool:
    """Whether a file is HDF5 with /exchange/data."""
    if not is_hdf5(head):
        return False
    try:
        with opened(path) as file:
            return Values(file, path).has("exchange/data")
    except ValueError:
        return False


def read(path: Path, *, geometry: Geometry | None = None, pixel_mm: float | None = None, reverse: bool = False) -> Scan:
    """Read a DXchange file, in `geometry` where one is given; the images stay in the file.

    Args:
        pixel_mm: pixel size at the sample, instead of the file's.
        reverse: the sample stage turned clockwise seen from +z.

    Raises ValueError naming the file and the dataset for one that is missing, of another shape or not finite.
    """
    if pixel_mm is not None and not 0 < pixel_mm < math.inf:
        raise InputError(f"pixel_mm must be positive, got {pixel_mm!r}")
    with opened(path) as file:
        values = Values(file, path)
        data = values.images("exchange/data")
        white, dark = (_calibration_images(values, f"exchange/data_{name}", data) for name in ("white", "dark"))
        metadata = {name: values.text(stream) for name, stream in _TEXTS.items()}
        if geometry is None:
            geometry = _geometry(values, data.shape, pixel_mm, reverse)
        kind = "counts" if white is not None or data.dtype.kind in "iu" else "transmission"
        if kind == "transmission":
            values.warn(f"/exchange/data is {data.dtype} and there is no data_white: read as transmission")
    calibration = None if white is None and dark is None else Calibration(reference=white, dark=dark)
    found: dict[str, Any] = {"format": NAME} | {name: text for name, text in metadata.items() if text}
    return Scan(data, geometry, found, kind=kind, file=path, calibration=calibration)


def _calibration_images(values: Values, name: str, data: Hdf5Projections) -> Hdf5Projections | None:
    if not values.has(name):
        return None
    dataset: Any = values.file[name]
    if dataset.shape is None or 0 in dataset.shape:
        return None
    images = values.images(name)
    if images.shape[1:] != data.shape[1:]:
        raise values.error(f"/{name} {list(images.shape)} does not match /exchange/data {list(data.shape)}")
    return images


def _geometry(values: Values, shape: tuple[int, ...], pixel_mm: float | None, reverse: bool) -> ParallelBeam:
    if not values.has("exchange/theta"):
        raise values.error("there is no /exchange/theta: give the geometry (geometry=, a Geometry or YAML file)")
    units = values.file["exchange/theta"].attrs
    theta = values.degrees("exchange/theta") if "units" in units else values.array("exchange/theta")
    if len(theta) != shape[0]:
        raise values.error(f"{len(theta)} angles (/exchange/theta) for {shape[0]} images (/exchange/data)")
    if pixel_mm is None:
        pixel_mm = values.pixel(PIXELS)
    if pixel_mm is None:
        values.warn("there is no pixel size: 1 mm is taken, so attenuation is per pixel (give pixel_mm=)")
        pixel_mm = 1.0
    if not 0 < pixel_mm < math.inf:
        raise values.error(f"the pixel size is {pixel_mm:g} mm (give pixel_mm=)")
    angles = torch.deg2rad(torch.from_numpy(theta if reverse else -theta))
    return ParallelBeam(angles, FlatDetector((shape[1], shape[2]), pixel_mm))
