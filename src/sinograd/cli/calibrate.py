"""`sinograd calibrate`: a scan in, its geometry out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.cli.command import Choices, Option, command
from sinograd.cli.options import OUTPUT_GROUP, SCAN, SHARED
from sinograd.recon.calibration.criteria import CRITERIA
from sinograd.workflows import calibration

if TYPE_CHECKING:
    from sinograd.cli.records import Record
    from sinograd.recon import Calibrated

OPTIONS = {
    **SHARED,
    "scan": SCAN,
    "output": Option(
        Path, "Geometry file, .yaml. Default: only print.", ("-o", "--output"), metavar="FILE", panel=OUTPUT_GROUP
    ),
    "learn": Option(
        str,
        "What to find, with commas between: axis_offset, in_plane_rotation, tilt, yaw, source_to_detector, "
        "row_offset, column_offset.",
        metavar="NAMES",
    ),
    "criterion": Option(Choices(CRITERIA), "What is least where the geometry is right."),
    "columns": Option(int, "Columns of the binned projections that are used at last.", metavar="N"),
    "picture": Option(
        Path, "PNG with the middle slice before and after.", ("--picture",), metavar="FILE", panel=OUTPUT_GROUP
    ),
}


@command(OPTIONS, job=calibration.calibrate_scan)
def calibrate(arguments: dict[str, Any], quiet: bool = False, json: bool = False) -> None:
    """Find the geometry of a scan from its own projections: axis, tilt, turns, distances."""
    request = calibration.CalibrationRequest.of(arguments)
    result = calibration.run_calibration(request, None if quiet or json else "bar")
    if json:
        from sinograd.cli.records import print_record

        print_record("calibrate", _record(request, result))
    elif not quiet:
        from sinograd.cli.describe import show

        show([("scan", str(request.scan)), *result.lines()])
        if request.output is not None:
            show([("geometry", str(request.output))])


def _record(request: calibration.CalibrationRequest, result: Calibrated) -> Record:
    """What `--json` prints: angles in degrees, the geometry in short and as its file has it."""
    from sinograd.cli.records import files_record, geometry_record
    from sinograd.recon.calibration.result import ANGLES

    def named(values: Mapping[str, float]) -> Record:
        return {
            f"{name}_deg" if name in ANGLES else f"{name}_mm": math.degrees(value) if name in ANGLES else value
            for name, value in values.items()
        }

    return {
        "scan": str(request.scan),
        "values": named(result.values),
        "standard_errors": named(result.standard_errors),
        "held": dict(result.held),
        "criterion": {"name": result.criterion, "before": result.before, "after": result.after},
        "converged": result.converged,
        "geometry": geometry_record(result.geometry),
        "geometry_file": result.geometry.to_dict(),
        "files": files_record(geometry=request.output, picture=request.picture),
    }
