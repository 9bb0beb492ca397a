"""`sinograd bone`: a calibrated volume in, measures of bone and their maps out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sinograd.cli.command import Option, command
from sinograd.cli.options import OUTPUT_GROUP, SHARED
from sinograd.workflows import bone as workflow

_CALIBRATION = "Calibration"
_MAPS = "Local maps"

OPTIONS = {
    **SHARED,
    "volume": Option(str, "Volume file or folder of slices, in mg/cm3.", metavar="VOLUME", argument=True),
    "output": Option(
        Path,
        "Folder for bone.csv, bone.json, report.html and the maps. Default: only print.",
        ("-o", "--output"),
        metavar="FOLDER",
        panel=OUTPUT_GROUP,
    ),
    "threshold": Option(float, "What is at least this is bone.", metavar="MG/CM3", required=True),
    "diameter": Option(
        float, "Diameter of the spheres of the local maps. Default: no local maps.", metavar="MM", panel=_MAPS
    ),
    "mask": Option(Path, "Volume that is 1 in the region to measure. Default: all.", metavar="FILE"),
    "unit": Option(
        str, "Unit of a volume whose file does not say it: 1/mm, HU or mg/cm3.", metavar="UNIT", panel=_CALIBRATION
    ),
    "density": Option(
        str,
        "Calibrates other units: mg/cm3 = SLOPE * value + INTERCEPT.",
        metavar="SLOPE,INTERCEPT",
        panel=_CALIBRATION,
    ),
    "softness": Option(float, "Softness of the threshold of the maps.", metavar="MG/CM3", panel=_MAPS),
    "largest_mm": Option(float, "Structures thicker than this count as this thick.", metavar="MM", panel=_MAPS),
}


@command(OPTIONS, job=workflow.measure_bone)
def bone(arguments: dict[str, Any], quiet: bool = False, json: bool = False) -> None:
    """Measure bone: BMD, BV/TV, TMD, thickness, surface, connectivity, anisotropy, and maps."""
    request = workflow.BoneRequest.of(arguments)
    result = workflow.run_bone(request, None if quiet or json else "bar")
    if json:
        from sinograd.cli.records import print_record
        from sinograd.morphometry.report import as_record

        found = {"name": request.name, **as_record(result.analysis), "remarks": list(result.remarks)}
        report = None if request.output is None else str(request.output)
        print_record("bone", {**found, "folder": report, "duration_s": result.seconds})
    elif not quiet:
        from sinograd.cli.describe import show
        from sinograd.morphometry.report import rows

        show(
            [
                ("volume", request.name),
                *((symbol, f"{text:<16}  {name}") for symbol, text, name in rows(result.analysis)),
            ]
        )
        show([("note", remark) for remark in result.remarks])
        if request.output is not None:
            show([("report", str(request.output)), ("seconds", f"{result.seconds:.2f}")])
