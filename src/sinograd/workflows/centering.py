"""Where a reconstruction takes the centre of rotation from, and a hint where another one fits better."""

from __future__ import annotations

import dataclasses
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from sinograd.data.lengths import length_text
from sinograd.errors import CenterWarning, InputError, ScanWarning
from sinograd.workflows.searching import search
from sinograd.workflows.values import CenterColumn

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.preparation import Center
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report


def centered(request: Request, whole: Geometry, scan: Scan, report: Report) -> tuple[Scan, Center | None]:
    """The prepared scan with its detector where the centre of rotation says, and the centre if it was searched for.

    whole: the geometry of the full, unbinned detector.

    Warns:
        CenterWarning: another centre than the scan's own fits clearly better, or the one that was found is uncertain.
        ScanWarning: the views fit a scan that turns the other way better.
    """
    from sinograd.geometry import shift_detector

    if request.center == "auto":
        return _searched(request, scan, report)
    turned = _is_turned(scan)
    if request.center == "file":
        if not turned:
            warn_of_other_center(scan)
        return scan, None
    if isinstance(request.center, CenterColumn):
        moved = shift_detector(scan.geometry, column=column_shift(whole, request.center.column))
    else:
        moved = shift_detector(scan.geometry, column=float(request.center) * scan.geometry.detector.column_spacing)
    return dataclasses.replace(scan, geometry=moved), None


def column_shift(geometry: Geometry, column: float) -> float:
    """Mm to move the detector along +u for the rotation axis to fall on `column` of it, counted from 0.

    The axis falls on (n - 1) / 2 where nothing is displaced; so the shift is then ((n - 1) / 2 - column) x spacing.
    """
    from sinograd.geometry.vectors import central_hit

    detector = geometry.detector
    if not 0 <= column <= detector.columns - 1:
        raise InputError(f"`center`: expected a column from 0 to {detector.columns - 1}, got {column:g}")
    _, _, hit = central_hit(geometry.vectors, geometry.divergent)
    now = float(hit.median()) + (detector.columns - 1) / 2
    return (now - column) * detector.column_spacing


def warn_of_other_center(scan: Scan) -> None:
    """A CenterWarning where a few rows of a prepared scan fit clearly better at another centre of rotation."""
    from sinograd.geometry.vectors import central_hit
    from sinograd.preparation.center.nominal import check_center

    check = check_center(scan.projections, scan.geometry)
    if check is None or not check.is_clearly_better:
        return
    _, _, hit = central_hit(scan.geometry.vectors, scan.geometry.divergent)
    column = float(hit.median()) + (scan.geometry.detector.columns - 1) / 2 - check.offset_pixels
    warnings.warn(
        f"another centre of rotation fits clearly better than the scan's own: {check.offset_pixels:+.2f} pixels, which "
        f"puts the axis at column {column:.2f} of the {scan.geometry.detector.columns} that are used (mismatch of rays "
        f"measured twice {check.criterion:.2g} instead of {check.nominal_criterion:.2g}); "
        f"`center={check.offset_pixels:.2f}` takes it, `center='auto'` searches for it",
        CenterWarning,
        stacklevel=2,
    )


def center_text(center: Center) -> str:
    """The centre of rotation in words; the lengths as `lengths_in` says."""
    return (
        f"{round(center.offset_pixels, 3) + 0.0:+.3f} pixels, standard error {center.standard_error:.3f} "
        f"({length_text(center.offset_mm, 6, sign='+')}, {center.method})"
    )


def _searched(request: Request, scan: Scan, report: Report) -> tuple[Scan, Center]:
    from sinograd.view import save_center_picture

    center = search(request, report, partial(_find, scan.projections, scan.geometry))
    if request.center_picture is not None:
        save_center_picture(center, request.center_picture, force=request.force)
    return dataclasses.replace(scan, geometry=center.correct(scan.geometry)), center


def _find(projections: Any, geometry: Geometry, report: Report) -> Center:
    from sinograd.preparation import find_center

    return find_center(projections, geometry, progress=report.stage("finding centre", len(geometry)))


def _is_turned(scan: Scan) -> bool:
    """Whether the views fit the other sense of rotation, which is warned of."""
    from sinograd.preparation.center.rotation import warn_of_rotation

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ScanWarning)
        warn_of_rotation(scan.projections, scan.geometry)
    for warning in caught:
        warnings.warn(warning.message, warning.category, stacklevel=3)
    return bool(caught)
