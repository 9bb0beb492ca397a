"""Turns of the detector that a reconstruction takes from the projections."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sinograd.data.lengths import length_text
from sinograd.errors import CalibrationError, CalibrationWarning, InputError
from sinograd.workflows.searching import search

if TYPE_CHECKING:
    from torch import Tensor

    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.recon import Calibrated
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

TURNS = {"in_plane_rotation": "in-plane rotation", "tilt": "tilt"}  # arguments of geometries, in words
_COLUMNS = 128  # of the binned projections that are looked at
_SURE = 2.0  # standard errors from what the scan says


@dataclass(frozen=True)
class Turns:
    """Arguments of a geometry that were found, in mm and radians, and their standard errors."""

    values: Mapping[str, float]
    standard_errors: Mapping[str, float]

    def correct(self, geometry: Geometry) -> Geometry:
        """The geometry with these values."""
        import torch

        from sinograd.geometry.learned import changed

        return changed(geometry, {name: torch.tensor(v, dtype=torch.float64) for name, v in self.values.items()})

    @property
    def text(self) -> str:
        """In words; the lengths as `lengths_in` says."""
        parts = []
        for name, value in self.values.items():
            error = self.standard_errors[name]
            if name in TURNS:
                value, error = math.degrees(value), math.degrees(error)
                parts.append(f"{TURNS[name]} {value:+.3f} degrees, standard error {error:.3f}")
            else:
                axis = f"{length_text(value, 6, sign='+')}, standard error {length_text(error, 2)}"
                parts.append(f"axis {axis}")
        return "; ".join(parts)


def turned(request: Request, scan: Scan, report: Report) -> tuple[Scan, Turns | None]:
    """The prepared and centred scan with its detector turned as the request says, and what was searched for.

    A search with a centre that was found looks for the axis together with the turns. Turns within two standard errors
    of what the scan says stay as they are.

    Raises:
        InputError: the detector of this geometry cannot be turned.

    Warns:
        CalibrationWarning: the search found nothing that can be used.
    """
    if request.tilt == "file":
        return scan, None
    check_turns(request, scan.geometry)
    if request.tilt != "auto":
        moved = turned_further(scan.geometry, {"in_plane_rotation": float(request.tilt)})
        return dataclasses.replace(scan, geometry=moved), None
    try:
        others = ("axis_offset",) if request.center == "auto" else ()
        found = search(request, report, partial(_find, scan, others))
    except CalibrationError as error:
        text = f"no turns of the detector were found: {error}; those of the scan are used"
        warnings.warn(text, CalibrationWarning, stacklevel=2)
        found = None
    return (scan, None) if found is None else (dataclasses.replace(scan, geometry=found.correct(scan.geometry)), found)


def check_turns(request: Request, geometry: Geometry) -> None:
    """InputError where the request turns the detector of a geometry that cannot be turned."""
    if request.tilt != "file" and not can_turn(geometry):
        raise InputError(
            "`tilt`: expected a scan with detector rows and a geometry that is not given by vectors, got "
            f"{geometry!r:.80}"
        )


def can_turn(geometry: Geometry) -> bool:
    """Whether the detector of a geometry has a tilt and an in-plane rotation to change."""
    return geometry.ndim == 3 and hasattr(geometry.recipe, "in_plane_rotation")


def turned_further(geometry: Geometry, degrees: Mapping[str, float]) -> Geometry:
    """A geometry that `can_turn`, whose turns are larger by so many degrees, by their names in `TURNS`."""
    recipe: Any = geometry.recipe
    turns = {name: float(getattr(recipe, name)) + math.radians(turn) for name, turn in degrees.items() if turn}
    return dataclasses.replace(recipe, **turns).geometry()


def _find(scan: Scan, others: tuple[str, ...], report: Report) -> Turns | None:
    """None where no turn is sure. Raises CalibrationError."""
    from sinograd.recon import calibrate

    projections, geometry = _binned(scan, report)
    options: dict[str, Any] = {"columns": _COLUMNS, "progress": report.stage("finding turns", 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)  # what the scan cannot determine stays as it is
        result = calibrate(projections, geometry, learn=(*others, *TURNS), **options)
        sure = [name for name in TURNS if _is_sure(result, geometry, name)]
        if not sure:
            return None
        if {*sure, *others} != set(result.standard_errors):
            result = calibrate(projections, geometry, learn=(*others, *sure), **options)
    names = result.standard_errors
    return Turns({name: result.values[name] for name in names}, dict(names))


def _is_sure(result: Calibrated, geometry: Geometry, name: str) -> bool:
    from sinograd.geometry.learned import start_value

    change = result.values[name] - float(start_value(geometry, name))
    return name in result.standard_errors and abs(change) > _SURE * result.standard_errors[name]


def _binned(scan: Scan, report: Report) -> tuple[Tensor, Geometry]:
    """Some views of a scan in few columns, read one after the other."""
    import torch

    from sinograd.recon.calibration.level import binned_geometry, binned_values, binning, view_step

    factor, step = binning(scan.geometry, _COLUMNS), view_step(scan.geometry, _COLUMNS)
    small = binned_geometry(scan.geometry[::step], factor)
    views = range(0, scan.geometry.views, step)
    advance = report.stage("reading", len(views))
    parts = []
    for done, view in enumerate(views, 1):
        parts.append(binned_values(scan.load(slice(view, view + 1)), factor))
        advance(done, len(views))
    return torch.cat(parts), small
