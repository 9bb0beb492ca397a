"""`sinograd reconstruct --dry-run`: what would be done."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from sinograd.cli.describe import Lines, coverage_lines, geometry_lines, grid_text, scan_lines, size
from sinograd.data.lengths import lengths_in
from sinograd.workflows.reconstruction import Request


def planned(request: Request) -> tuple[Lines, dict[str, Any]]:
    """Lines, and the record of `--json`: scan, geometry, coverage, grid, preparation, memory and time."""
    from sinograd.cli import records
    from sinograd.data.memory import available_memory
    from sinograd.geometry import detector_region
    from sinograd.io.formats import folders_written
    from sinograd.recon.directions import check_directions
    from sinograd.workflows.devices import chosen_device
    from sinograd.workflows.estimate import IDLE_BYTES, estimate
    from sinograd.workflows.grids import choose_grid
    from sinograd.workflows.outputs import is_folder
    from sinograd.workflows.pipeline import check_outputs, opened_scan, warn_of_outside
    from sinograd.workflows.report import Silent, recorded_warnings
    from sinograd.workflows.streamed import first_schedule
    from sinograd.workflows.streaming_choice import is_streamed

    warnings: list[str] = []
    chosen_device(request.device)
    options = request.preparation
    with recorded_warnings(warnings, Silent()):
        scan = opened_scan(request)
    geometry = detector_region(scan.geometry, options.rows, options.columns, options.binning)
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    check_directions(scan.geometry, grid, scan.name)
    with folders_written(is_folder(request.file)):
        check_outputs(request, grid)
    with recorded_warnings(warnings, Silent()):
        warn_of_outside(geometry, grid)
        lines = [*scan_lines(scan), *geometry_lines(scan, geometry), *coverage_lines(scan, geometry)]
    changed = ", ".join(f"{name} {value}" for name, value in options.to_dict().items())
    needs = estimate(scan, geometry, grid, request.algorithm, request.iterations)
    plan = None
    if is_streamed(request, scan, grid):
        plan = first_schedule(request, scan, grid)
        needs = dataclasses.replace(needs, memory=IDLE_BYTES + plan.needed)
    measured = "measured on a part of the work" + ("" if request.device == "cpu" else ", on the CPU")
    record = {
        "dry_run": True,
        "scan": records.scan_record(scan),
        "geometry": records.geometry_record(geometry, scan.length_unit),
        "coverage": records.coverage_record(geometry, scan.length_unit),
        "preparation": options.to_dict(),
        "center": str(request.center),
        "tilt": str(request.tilt),
        "algorithm": request.algorithm,
        "grid": records.grid_record(grid, scan.length_unit),
        "file": None if request.output is None else str(request.output),
        "file_bytes": needs.file,
        "memory_bytes": needs.memory,
        "memory_free_bytes": free if math.isfinite(free := available_memory()) else None,
        "duration_s": needs.seconds,
    }
    record["parts"] = None
    if plan is not None:
        record["parts"] = {
            "slices": [list(part) for part in plan.slices],
            "prepared": plan.source,
            "amplification": round(plan.amplification, 4),
        }
    with lengths_in(scan.length_unit):
        extent = grid_text(grid)
    return [
        *lines,
        ("preparation", changed or "defaults"),
        ("centre", _sought(request.center)),
        *([] if request.tilt == "file" else [("turns", _sought(request.tilt))]),
        ("grid", extent),
        ("memory", f"about {size(needs.memory)} of {size(free) if math.isfinite(free) else 'an unknown amount'} free"),
        *([] if plan is None else [("parts", plan.text)]),
        ("volume", f"{request.output}, {size(needs.file)}"),
        ("time", f"about {needs.seconds:.1f} seconds ({measured})"),
    ], record


def _sought(choice: object) -> str:
    return "to be found" if choice == "auto" else str(choice)
