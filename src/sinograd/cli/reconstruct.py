"""`sinograd reconstruct`: a scan file in, a volume file out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sinograd.cli.describe import geometry_lines, grid_text, scan_lines, show, size
from sinograd.cli.errors import reported
from sinograd.cli.pipeline import Reconstruction, Request, reconstruct_file
from sinograd.cli.progress import Progress

T = TypeVar("T", int, float)


class Window(StrEnum):
    """Windows of the ramp filter, from sharp to smooth."""

    ram_lak = "ram-lak"
    shepp_logan = "shepp-logan"
    cosine = "cosine"
    hamming = "hamming"
    hann = "hann"


@reported
def reconstruct(
    scan: Annotated[
        Path,
        typer.Argument(metavar="SCAN", help="Scan file: sinograd .h5, FIPS / Helsinki .mat.", show_default=False),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="Volume to write: .h5, .tif or .npy.", show_default=False),
    ],
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a PNG of the middle slices here.", show_default=False),
    ] = None,
    window: Annotated[Window, typer.Option(help="Window of the ramp filter, from sharp to smooth.")] = Window.ram_lak,
    cutoff: Annotated[
        float,
        typer.Option(
            metavar="FRACTION", min=0.0, max=1.0, help="Cut-off of the filter, as a fraction of the Nyquist frequency."
        ),
    ] = 1.0,
    voxel_mm: Annotated[
        float | None,
        typer.Option(
            metavar="MM", help="Voxel size. Default: detector pixel over magnification, or what the scan suggests."
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Number of voxels (Y,X in 2-D). Default: covers the field of view."),
    ] = None,
    center_mm: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,Z", help="Centre of the volume (X,Y in 2-D). Default: what the scan suggests or sees."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print warnings and errors only.")] = False,
) -> None:
    """Reconstruct a scan: FDK for cone beams, filtered backprojection for fan and parallel beams."""
    request = Request(
        scan=scan,
        output=output,
        preview=preview,
        window=window.value,
        cutoff=cutoff,
        voxel_mm=voxel_mm,
        shape=_numbers(shape, int, "--shape"),
        center_mm=_numbers(center_mm, float, "--center-mm"),
        force=force,
    )
    with Progress(quiet=quiet) as progress:
        result = reconstruct_file(request, progress)
    if not quiet:
        show(summary(request, result))


def summary(request: Request, result: Reconstruction) -> list[tuple[str, str]]:
    """What was done, for the terminal."""
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result.seconds.items())
    lines = [
        *scan_lines(result.scan),
        *geometry_lines(result.scan.geometry),
        ("grid", grid_text(result.grid)),
        ("algorithm", f"{result.algorithm}, window {request.window}, cut-off {request.cutoff:g}"),
        ("seconds", f"{sum(result.seconds.values()):.2f} ({stages})"),
        ("volume", f"{request.output} ({size(request.output.stat().st_size)})"),
    ]
    if request.preview is not None:
        lines.append(("preview", str(request.preview)))
    return lines


def _numbers(text: str | None, kind: type[T], option: str) -> tuple[T, ...] | None:
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas between them, got {text!r}", param_hint=option
        ) from None
