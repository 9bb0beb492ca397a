"""`sinograd convert`: a scan or a volume in, the same one in another format out."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sinograd.cli.describe import Lines, geometry_lines, grid_text, scan_lines, show, size
from sinograd.cli.errors import reported
from sinograd.cli.progress import Progress
from sinograd.errors import InputError
from sinograd.workflows.job import job, no_partial

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.workflows.report import Report


class Format(StrEnum):
    """Formats that scans are written in."""

    h5 = "h5"
    npy = "npy"
    tiff = "tiff"
    dxchange = "dxchange"


@reported
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Scan or volume, file or folder.", show_default=False)],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="Scan: .h5, .npy (with a .yaml), or a name without suffix for a folder of TIFF images. "
            "Volume: .h5, .tif, .npy, .mha, .nii.gz, .zarr, or a name without suffix for a folder of TIFF slices.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Format | None,
        typer.Option(help="Format of a scan, where its name does not tell (dxchange is .h5 too).", show_default=False),
    ] = None,
    geometry: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Geometry of a scan: .yaml file or scanner's name.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print warnings and errors only.")] = False,
) -> None:
    """Convert a scan between formats (counts stay counts, with their calibration), or a volume."""
    from sinograd.io import is_volume

    _check_the_input_stays([source], [output])
    volume = source.exists() and is_volume(source)
    if volume and (to is not None or geometry is not None):
        raise InputError(f"{source} is a volume: --to and --geometry are for scans")
    with Progress(quiet=quiet) as bars, job(bars, no_partial(output.name)) as progress:
        if volume:
            lines = _convert_volume(source, output, force, progress)
        else:
            lines = _convert_scan(source, output, None if to is None else to.value, geometry, force, progress)
    if not quiet:
        show([*lines, ("written", f"{output} ({size(_bytes(output))})")])


def _convert_scan(
    source: Path, output: Path, to: str | None, geometry: str | None, force: bool, progress: Report
) -> Lines:
    from sinograd.data import make_provenance
    from sinograd.io import read, scan_format, write_scan, written_paths

    scan_format(output, to)
    scan = read(source, geometry)
    given = [] if geometry is None else [Path(geometry)]
    _check_the_input_stays([*_files_of(source, scan), *given], written_paths(scan, output, to))
    provenance = make_provenance(
        "sinograd convert",
        {"source": source, "output": output, "to": to, "geometry": geometry},
        scan={"file": str(source.resolve()), "provenance": scan.provenance},
    )
    advance = progress.stage("converting", scan.shape[0])
    write_scan(dataclasses.replace(scan, provenance=provenance), output, force=force, format=to, progress=advance)
    return [*scan_lines(scan), *geometry_lines(scan.geometry)]


def _convert_volume(source: Path, output: Path, force: bool, progress: Report) -> Lines:
    from sinograd.data.units import unit_text
    from sinograd.io import open_volume, write_volume

    progress.stage("reading", 0)
    volume = open_volume(source)
    progress.stage("writing", 0)
    write_volume(volume, output, force=force, provenance=volume.provenance)
    return [
        ("volume", str(source)),
        ("grid", grid_text(volume.grid)),
        ("values", f"{str(volume.dtype).removeprefix('torch.')}, {unit_text(volume.unit)}"),
    ]


def _check_the_input_stays(inputs: list[Path], outputs: list[Path]) -> None:
    """ValueError when writing would replace something that is read."""
    read = [path.resolve() for path in inputs if path.exists()]
    for output in outputs:
        place = output.resolve()
        if any(place == path or place in path.parents for path in read):
            raise InputError(f"cannot write {output}: it is the input, or holds it")


def _files_of(source: Path, scan: Scan) -> list[Path]:
    """The files that a scan is read from, as far as its parts tell."""
    from sinograd.io.scans.sidecar import find_sidecar

    found = [source, find_sidecar(source)]
    parts: list[Any] = [scan.projections]
    if scan.calibration is not None:
        parts += [scan.calibration.reference, scan.calibration.dark]
    for part in parts:
        found += getattr(part, "files", [getattr(part, "path", None)])
    return [path for path in found if isinstance(path, Path)]


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(found.stat().st_size for found in files if found.is_file())
