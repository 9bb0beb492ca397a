"""`sinograd calibrate`: a scan in, its geometry out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sinograd.cli.command import Choices, Option, command
from sinograd.cli.options import OUTPUT_GROUP, SCAN, SHARED
from sinograd.recon.calibration.criteria import CRITERIA
from sinograd.workflows import calibration

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
        import json as text

        import typer

        typer.echo(text.dumps(result.to_dict(), indent=2))
    elif not quiet:
        from sinograd.cli.describe import show

        show([("scan", str(request.scan)), *result.lines()])
        if request.output is not None:
            show([("geometry", str(request.output))])
