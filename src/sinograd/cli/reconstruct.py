"""`sinograd reconstruct`: a scan file in, a volume file out."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import typer

from sinograd.cli import options as o
from sinograd.cli.config import stored_options
from sinograd.cli.describe import Lines, geometry_lines, grid_text, scan_lines, show, size
from sinograd.cli.dry_run import planned
from sinograd.cli.errors import reported
from sinograd.cli.progress import Progress
from sinograd.workflows.reconstruction import Reconstruction, Request, center_text, reconstruct_file


@reported
def reconstruct(
    context: typer.Context,
    scan: o.ScanPath,
    output: o.Output,
    config: o.Config = None,
    geometry: o.GeometryFile = None,
    views: o.Views = None,
    rows: o.Rows = None,
    columns: o.Columns = None,
    binning: o.Binning = "1",
    unattenuated: o.Unattenuated = None,
    repair: o.Repair = True,
    dead: o.Dead = 0.3,
    hot: o.Hot = 2.0,
    saturation: o.Saturation = None,
    smallest: o.Smallest = 1e-5,
    air: o.Air = None,
    beam_hardening: o.BeamHardening = None,
    rings: o.Rings = False,
    ring_width: o.RingWidth = 4.0,
    ring_limit: o.RingLimit = 0.1,
    shifts: o.ShiftsOption = o.Shifts.interpolate,
    edges: o.EdgesOption = o.Edges.nearest,
    center: o.Center = "file",
    algorithm: o.AlgorithmOption = o.Algorithm.auto,
    iterations: o.Iterations = None,
    tv_strength: o.TvStrength = None,
    non_negative: o.NonNegative = True,
    window: o.WindowOption = o.Window.ram_lak,
    cutoff: o.Cutoff = 1.0,
    truncation: o.TruncationOption = o.Truncation.none,
    voxel_mm: o.VoxelMm = None,
    shape: o.Shape = None,
    center_mm: o.CenterMm = None,
    mask: o.Mask = False,
    device: o.Device = "cpu",
    preview: o.Preview = None,
    page: o.Page = None,
    center_picture: o.CenterPicture = None,
    dry_run: o.DryRun = False,
    resume: o.Resume = False,
    force: o.Force = False,
    quiet: o.Quiet = False,
    json_: o.Json = False,
) -> None:
    """Reconstruct a scan: FDK for cone beams, filtered backprojection for fan and parallel beams, or iterations.

    Raw counts become line integrals first: references, dark images, shifts and the rest of the preparation follow
    from the file and the options.
    """
    given = {name: getattr(value, "value", value) for name, value in context.params.items()}
    request = _request(given)
    if dry_run:
        told, lines = planned(request)
    else:
        with Progress(quiet=quiet or json_) as progress:
            result = reconstruct_file(request, progress)
        told, lines = result.warnings, summary(request, result)
    if json_:
        typer.echo(json.dumps({**dict(lines), "warnings": told}, ensure_ascii=False, indent=1))
    elif not quiet or dry_run:
        show(lines)


def _request(given: dict[str, Any]) -> Request:
    """The request of a command line, checked as far as that goes without the scan."""
    from sinograd.preparation import Preparation

    preparation = {field.name: given[field.name] for field in fields(Preparation)}
    for name in ("rows", "columns", "air"):
        preparation[name] = o.span(given[name], f"--{name}")
    joined = o.numbers(given["binning"], int, "--binning") or (1,)
    if len(joined) > 2:
        raise typer.BadParameter(f"expected N or ROWS,COLUMNS, got {given['binning']!r}", param_hint="--binning")
    preparation["binning"] = joined[0] if len(joined) == 1 else joined
    preparation["beam_hardening"] = o.numbers(given["beam_hardening"], float, "--beam-hardening") or ()
    changed = {
        "views": o.view_slice(given["views"]),
        "preparation": preparation,
        "center": o.center_choice(given["center"]),
        "shape": o.numbers(given["shape"], int, "--shape"),
        "center_mm": o.numbers(given["center_mm"], float, "--center-mm"),
        "options": stored_options(given),
    }
    return Request(**{f.name: changed[f.name] if f.name in changed else given[f.name] for f in fields(Request)})


def summary(request: Request, result: Reconstruction) -> Lines:
    """What was done, for the terminal."""
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result.seconds.items())
    lines = [*scan_lines(result.scan), *geometry_lines(result.scan.geometry)]
    prepared = result.scan.metadata.get("preparation", {})
    repaired = ", ".join(f"{count} {name}" for name, count in prepared.get("repaired", {}).items() if count)
    if repaired:
        lines.append(("repaired", repaired))
    if result.center is not None:
        lines.append(("centre", center_text(result.center)))
    lines += [
        ("grid", grid_text(result.grid)),
        ("algorithm", f"{result.algorithm}, {result.details}"),
        ("seconds", f"{sum(result.seconds.values()):.2f} ({stages})"),
        ("volume", f"{request.output} ({size(request.output.stat().st_size)})"),
    ]
    made = {"preview": request.preview, "page": request.page, "centre picture": request.center_picture}
    return lines + [(name, str(path)) for name, path in made.items() if path is not None]
