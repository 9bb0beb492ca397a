"""The geometry of prepared projections, which follows from a scan and the options before anything is read."""

from __future__ import annotations

import numpy as np
import torch

from sinograd.data import Scan
from sinograd.errors import InputError
from sinograd.geometry import Geometry, detector_region, shift_detector
from sinograd.geometry.regions import check_binning, check_span
from sinograd.preparation.options import Preparation
from sinograd.preparation.shifts import check_shifts


def prepared_geometry(scan: Scan, options: Preparation) -> tuple[Geometry, np.ndarray | None]:
    """The geometry of all views, and the shifts [views, 2] that projections are to be moved by, in elements of it.

    With `shifts="geometry"` the detector moves instead. Views that preparation leaves out are still in the geometry.
    """
    geometry = scan.geometry
    columns = check_span(options.columns, "columns", geometry.columns)
    binning = check_binning(options.binning, geometry.detector.ndim)
    prepared = detector_region(geometry, options.rows if geometry.ndim == 3 else None, columns, binning)
    shifts = None if scan.calibration is None else scan.calibration.shifts
    if shifts is None or options.shifts == "ignore":
        return prepared, None
    moves = check_shifts(shifts, torch.empty(geometry.views, 1, 1)).detach().double().numpy()
    if geometry.ndim == 2 and moves[:, 0].any():
        raise InputError(f"{scan.name}: shifts along the rows of a 2-D scan, up to {abs(moves[:, 0]).max():g} pixels")
    if options.shifts == "interpolate":
        return prepared, moves / np.array(binning)
    detector = geometry.detector
    column = torch.from_numpy(moves[:, 1]) * detector.column_spacing
    row = 0.0 if geometry.ndim == 2 else torch.from_numpy(moves[:, 0]) * detector.row_spacing
    return shift_detector(prepared, column, row), None
