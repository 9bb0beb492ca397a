"""DXchange HDF5 files, written: what `sinograd.io.scans.dxchange` reads and its page describes.

/                    text implements = "exchange:measurement:provenance"
/exchange/data       [views, rows, columns], units "counts"; integers of up to 16 bits as they are, else float32
/exchange/data_white, /exchange/data_dark     [n, rows, columns], where the scan has them
/exchange/theta      float64 [views], units "deg": the angle of the sample stage, minus the gantry's
/measurement/instrument/detector/x_pixel_size, y_pixel_size, actual_pixel_size_x, ..._y     units "mm"
/measurement/sample/name, /provenance         texts
"""

from __future__ import annotations

import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sinograd.data.projections import Projections, shape_of
from sinograd.data.provenance import make_provenance, to_json
from sinograd.data.scan import Scan
from sinograd.errors import InputError, ScanWarning
from sinograd.geometry import ParallelBeam
from sinograd.io.storage.atomic import replacing
from sinograd.io.storage.hdf5.layout import ArrayLayout, write_hdf5

SUFFIXES = (".h5", ".hdf5", ".hdf")
_DETECTOR = "measurement/instrument/detector"


def check_dxchange(scan: Scan) -> None:
    """ValueError unless DXchange can hold the scan: counts or transmission of an area detector in a parallel beam."""
    if scan.kind == "line integrals":
        raise InputError(f"{scan.name}: DXchange holds counts or transmission, this scan holds line integrals")
    geometry = scan.geometry
    if not isinstance(geometry, ParallelBeam) or geometry.angles is None or geometry.ndim != 3:
        raise InputError(
            f"{scan.name}: DXchange holds parallel beams on an area detector, each view with an angle; "
            f"this scan was measured in {geometry!r:.120}"
        )


def write_dxchange(scan: Scan, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a scan to a new DXchange file, view by view.

    Raises ValueError for another suffix, a scan whose shapes do not fit and what DXchange cannot hold
    (`check_dxchange`), FileExistsError when the file exists and `force` is not set, OSError when the disk is full.
    What the format has no place for is left out with a ScanWarning: where the axis lies, shifts, exposures, when
    the references were taken. The file appears when it is whole, or not at all.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write the scan {path}: its name must end in {' or '.join(SUFFIXES)}")
    scan.check_shape()
    check_dxchange(scan)
    _warn_of_what_is_left(scan)
    arrays = {"exchange/data": _layout(scan.projections)}
    for name, stored in (("reference", "exchange/data_white"), ("dark", "exchange/data_dark")):
        images = getattr(scan.calibration, name, None)
        if images is not None:
            arrays[stored] = _layout(images)
    assert scan.geometry.angles is not None
    arrays["exchange/theta"] = _numbers(np.degrees(-scan.geometry.angles.numpy()), "deg")
    detector = scan.geometry.detector
    for axis, spacing in (("x", detector.column_spacing), ("y", detector.row_spacing)):
        for key in (f"{axis}_pixel_size", f"actual_pixel_size_{axis}"):
            arrays[f"{_DETECTOR}/{key}"] = _numbers(np.array([spacing]), "mm")
    texts = {
        "implements": "exchange:measurement:provenance",
        "measurement/sample/name": str(scan.metadata.get("sample", "")),
        "provenance": to_json(dict(scan.provenance) or make_provenance("write_dxchange")),
    }
    with replacing(path, force=force, needed=sum(array.nbytes for array in arrays.values())) as temporary:
        write_hdf5(temporary, {}, arrays, texts)


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
        warnings.warn(f"{scan.name}: DXchange has no place for {', '.join(left)}", ScanWarning, stacklevel=3)


def _layout(images: Projections) -> ArrayLayout:
    stored = np.dtype(str(images.dtype).removeprefix("torch."))
    dtype = stored.newbyteorder("<") if stored.kind in "iu" and stored.itemsize <= 2 else np.dtype("<f4")
    return ArrayLayout(shape_of(images), dtype, partial(_block, images), chunked=True, attributes={"units": "counts"})


def _numbers(values: np.ndarray, units: str) -> ArrayLayout:
    return ArrayLayout(values.shape, np.dtype("<f8"), partial(_block, values), attributes={"units": units})


def _block(images: Any, start: int, stop: int) -> np.ndarray:
    found = images[start:stop]
    return np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)
