"""DXchange HDF5 files (De Carlo et al., J. Synchrotron Rad. 21, 1224, 2014), as tomography beamlines write them.

    /exchange/data          [views, rows, columns], raw counts (real numbers without data_white: transmission)
    /exchange/data_white    [n, rows, columns] or one image [rows, columns], may be missing; when they were taken is not
                            known
    /exchange/data_dark     the same
    /exchange/theta         [views], degrees unless its units say radians
    pixel size              the first of PIXELS that is there, else lengths are in pixels, with a ScanWarning

A parallel beam. theta is the angle of the sample stage, counter-clockwise seen from +z, so gantry angle =
-theta; `reverse=True` for a stage that turned clockwise. Rows and columns as stored, along +v and +u.

Written files also have
    /                       text implements = "exchange:measurement:provenance"
    /exchange/data          units "counts"; integers of up to 16 bits as they are, else float32
    /exchange/theta         float64, units "deg"
    /measurement/instrument/detector/x_pixel_size, y_pixel_size, actual_pixel_size_x, ..._y     units "mm"
    /measurement/sample/name, /provenance         texts
What the format has no place for is left out with a ScanWarning: where the axis lies, shifts, exposures, when the
references were taken.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.data.calibration import Calibration
from sinograd.data.lengths import PIXEL
from sinograd.data.projections import Projections, shape_of
from sinograd.data.provenance import make_provenance, to_json
from sinograd.data.scan import Scan
from sinograd.errors import InputError, ScanWarning
from sinograd.geometry import FlatDetector, Geometry, ParallelBeam
from sinograd.io.scans.format import Progress, ScanFormat, stored_block, stored_dtype, with_progress
from sinograd.io.scans.view_counts import count_advice
from sinograd.io.storage.atomic import replacing
from sinograd.io.storage.hdf5.datasets import image_stack
from sinograd.io.storage.hdf5.layout import ArrayLayout, is_hdf5, opened, write_hdf5
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.storage.hdf5.values import Values
from sinograd.io.storage.outside import LinkError

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
_LIMITS = {  # of readings: counts, and bits of the camera
    "saturation": (f"{_DETECTOR}/saturation_value",),
    "bit_depth": (f"{_DETECTOR}/bit_depth", f"{_DETECTOR}/bit_depth_readout"),
}


class DXchange(ScanFormat):
    """DXchange HDF5; it holds counts or transmission of an area detector in a parallel beam."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether a file is HDF5 with /exchange/data."""
        if not is_hdf5(head):
            return False
        try:
            with opened(path) as file:
                return Values(file, path).has("exchange/data")
        except ValueError as error:
            return isinstance(error, LinkError)

    def read(self, path: Path, *, geometry: Geometry | None = None, reverse: bool = False) -> Scan:
        """Read a DXchange file, in `geometry` where one is given; the images stay in the file.

        reverse: the sample stage turned clockwise seen from +z.

        Raises ValueError naming the file and the dataset for one that is missing, of another shape or not finite.
        """
        length_unit = "mm"
        with opened(path) as file:
            values = Values(file, path)
            data = values.images("exchange/data")
            white, dark = (_calibration_images(values, f"exchange/data_{name}", data) for name in ("white", "dark"))
            metadata: dict[str, Any] = {name: values.text(stream) for name, stream in _TEXTS.items()}
            metadata |= {name: values.first_positive(streams) for name, streams in _LIMITS.items()}
            if geometry is None:
                pixel_mm = _pixel(values)
                length_unit = PIXEL if pixel_mm is None else "mm"
                geometry = _geometry(values, data.shape, pixel_mm or 1.0, reverse)
            kind = "counts" if white is not None or data.dtype.kind in "iu" else "transmission"
            if kind == "transmission":
                values.warn(f"/exchange/data is {data.dtype} and there is no data_white: read as transmission")
        calibration = None if white is None and dark is None else Calibration(reference=white, dark=dark)
        found: dict[str, Any] = {"format": "DXchange HDF5"} | {name: text for name, text in metadata.items() if text}
        return Scan(data, geometry, found, kind=kind, file=path, calibration=calibration, length_unit=length_unit)

    def check(self, scan: Scan) -> None:
        """InputError unless the scan holds counts or transmission of an area detector in a parallel beam."""
        super().check(scan)
        if scan.kind == "line integrals":
            raise InputError(f"{scan.name}: DXchange holds counts or transmission, this scan holds line integrals")
        geometry = scan.geometry
        if not isinstance(geometry, ParallelBeam) or geometry.angles is None or geometry.ndim != 3:
            raise InputError(
                f"{scan.name}: DXchange holds parallel beams on an area detector, each view with an angle; "
                f"this scan was measured in {geometry!r:.120}"
            )

    def write(self, scan: Scan, path: Path, *, force: bool = False, progress: Progress | None = None) -> None:
        """Write a new file view by view."""
        self.check(scan)
        _warn_of_what_is_left(scan)
        arrays = _arrays(with_progress(scan, progress))
        texts = {
            "implements": "exchange:measurement:provenance",
            "measurement/sample/name": str(scan.metadata.get("sample", "")),
            "provenance": to_json(dict(scan.provenance) or make_provenance("write_dxchange")),
        }
        with replacing(path, force=force, needed=sum(array.nbytes for array in arrays.values())) as temporary:
            write_hdf5(temporary, {}, arrays, texts)


def _calibration_images(values: Values, name: str, data: Hdf5Projections) -> Projections | None:
    if not values.has(name):
        return None
    dataset = values.item(name)
    if dataset.shape is None or 0 in dataset.shape:
        return None
    images: Projections = image_stack(values, name)
    if images.shape[1:] != data.shape[1:]:
        raise values.error(f"/{name} {list(images.shape)} does not match /exchange/data {list(data.shape)}")
    return images


def _pixel(values: Values) -> float | None:
    """Pixel size in mm; None where the file has none."""
    pixel_mm = values.pixel(PIXELS)
    if pixel_mm is not None and not 0 < pixel_mm < math.inf:
        raise values.error(f"the pixel size is {pixel_mm:g} mm; give `geometry`")
    return pixel_mm


def _geometry(values: Values, shape: tuple[int, ...], pixel_mm: float, reverse: bool) -> ParallelBeam:
    if not values.has("exchange/theta"):
        raise values.error("there is no /exchange/theta: give the geometry (geometry=, a Geometry or YAML file)")
    units = values.item("exchange/theta").attrs
    theta = values.degrees("exchange/theta") if "units" in units else values.array("exchange/theta")
    if "units" not in units:
        values.warn_of_radians("exchange/theta", theta)
    if len(theta) != shape[0]:
        advice = count_advice(shape[0], theta)
        raise values.error(f"{len(theta)} angles (/exchange/theta) for {shape[0]} images (/exchange/data){advice}")
    angles = torch.deg2rad(torch.from_numpy(theta if reverse else -theta))
    return ParallelBeam(angles, FlatDetector((shape[1], shape[2]), pixel_mm))


def _arrays(scan: Scan) -> dict[str, ArrayLayout]:
    """The arrays of a file that is written, by their names."""
    arrays = {"exchange/data": _images(scan.projections)}
    for name, stored in (("reference", "exchange/data_white"), ("dark", "exchange/data_dark")):
        images = getattr(scan.calibration, name, None)
        if images is not None:
            arrays[stored] = _images(images)
    assert scan.geometry.angles is not None
    arrays["exchange/theta"] = _numbers(np.degrees(-scan.geometry.angles.numpy()), "deg")
    detector = scan.geometry.detector
    if scan.length_unit == PIXEL:
        return arrays
    for axis, spacing in (("x", detector.column_spacing), ("y", detector.row_spacing)):
        for key in (f"{axis}_pixel_size", f"actual_pixel_size_{axis}"):
            arrays[f"{_DETECTOR}/{key}"] = _numbers(np.array([spacing]), "mm")
    return arrays


def _warn_of_what_is_left(scan: Scan) -> None:
    vectors = scan.geometry.vectors
    left = []
    if bool((vectors[:, 1].abs() > 1e-9).any()):
        left.append("where the detector's middle and the axis lie")
    if scan.geometry.detector.column_spacing != scan.geometry.detector.row_spacing:
        left.append("pixels that are not square (readers take their width)")
    calibration = scan.calibration
    if calibration is not None:
        names = {"reference_views": "when the references were taken", "shifts": "shifts", "exposure": "exposures"}
        left += [words for name, words in names.items() if getattr(calibration, name) is not None]
    if left:
        warnings.warn(f"{scan.name}: DXchange has no place for {', '.join(left)}", ScanWarning, stacklevel=4)


def _images(images: Projections) -> ArrayLayout:
    read, dtype = partial(stored_block, images), stored_dtype(images, largest=2)
    return ArrayLayout(shape_of(images), dtype, read, chunked=True, attributes={"units": "counts"})


def _numbers(values: np.ndarray, units: str) -> ArrayLayout:
    return ArrayLayout(values.shape, np.dtype("<f8"), partial(stored_block, values), attributes={"units": units})
