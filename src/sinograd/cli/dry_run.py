"""`sinograd reconstruct --dry-run`: what would be done."""

from __future__ import annotations

from typing import Any

from sinograd.cli.describe import Lines, coverage_lines, geometry_lines, grid_text, scan_lines, size
from sinograd.data.lengths import lengths_in
from sinograd.workflows.reconstruction import Request


def planned(request: Request) -> tuple[Lines, dict[str, Any]]:
    """Lines, and the record of `--json`: scan, geometry, coverage, grid, preparation, memory and time."""
    from sinograd.cli import records
    from sinograd.geometry import detector_region
    from sinograd.io.formats import folders_written
    from sinograd.recon.directions import check_directions
    from sinograd.workflows.devices import chosen_device
    from sinograd.workflows.estimate import estimate
    from sinograd.workflows.grids import choose_grid
    from sinograd.workflows.outputs import is_folder
    from sinograd.workflows.pipeline import check_outputs, opened_scan, warn_of_outside
    from sinograd.workflows.report import Silent, recorded_warnings

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
    measured = "measured on a part of the work" + ("" if request.device == "cpu" else ", on the CPU")
    record = {
        "dry_run": True,
        "scan": records.scan_record(scan),
        "geometry": records.geometry_record(geometry, scan.length_unit),
        "coverage": records.coverage_record(geometry, scan.length_unit),
        "preparation": options.to_dict(),
        "center": str(request.center),
        "algorithm": request.algorithm,
        "grid": records.grid_record(grid, scan.length_unit),
        "file": None if request.output is None else str(request.output),
        "file_bytes": needs.file,
        "memory_bytes": needs.memory,
        "duration_s": needs.seconds,
    }
    with lengths_in(scan.length_unit):
        extent = grid_text(grid)
    return [
        *lines,
        ("preparation", changed or "defaults"),
        ("centre", "to be found" if request.center == "auto" else str(request.center)),
        ("grid", extent),
        ("memory", f"about {size(needs.memory)}"),
        ("volume", f"{request.output}, {size(needs.file)}"),
        ("time", f"about {needs.seconds:.1f} seconds ({measured})"),
    ], record
