"""`sinograd info`: what a scan file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sinograd.cli.describe import Lines, geometry_lines, grid_text, scan_lines, show
from sinograd.cli.errors import reported
from sinograd.cli.model_info import is_model, model_lines
from sinograd.cli.options import GeometryFile
from sinograd.workflows.grids import base_grid

if TYPE_CHECKING:
    from sinograd.data import Scan


@reported
def info(
    scan: Annotated[
        Path,
        typer.Argument(
            metavar="SCAN", help="Scan file or folder; or a model: a .pt file or a run's folder.", show_default=False
        ),
    ],
    geometry: GeometryFile = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a PNG of some projections and a sinogram.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace a picture that exists.")] = False,
) -> None:
    """Show what a scan file holds: projections (not their values), geometry, grid and metadata; or a trained model."""
    from sinograd.io import read
    from sinograd.view import check_picture_path, save_scan_preview

    if is_model(scan):
        show(model_lines(scan))
        return
    if picture is not None:
        check_picture_path(picture, force=force)
    found = read(scan, geometry=geometry)
    lines = [*scan_lines(found), *geometry_lines(found.geometry), *_grid(found), *_coverage(found)]
    lines += [(name, str(value)) for name, value in found.metadata.items()]
    provenance = {k: v for k, v in found.provenance.items() if k in ("software", "command", "time")}
    if provenance:
        lines.append(("made by", ", ".join(str(value) for value in provenance.values())))
    if picture is not None:
        save_scan_preview(found, picture, force=force)
        lines.append(("picture", str(picture)))
    show(lines)


def _grid(scan: Scan) -> Lines:
    """The grid that `sinograd reconstruct` takes."""
    try:
        grid = base_grid(scan)
    except ValueError as error:
        return [("grid", f"none: {str(error).removeprefix(f'{scan.name}: ')}")]
    source = "suggested by the file" if scan.grid is not None else "covers the field of view"
    return [("grid", f"{grid_text(grid)} ({source})")]


def _coverage(scan: Scan) -> Lines:
    """Which rays were measured, where that is defined."""
    import sinograd as sg

    try:
        return [("coverage", str(sg.coverage(scan.geometry)))]
    except ValueError as error:
        return [("coverage", f"unknown: {str(error).removeprefix('geometry: ')}")]
