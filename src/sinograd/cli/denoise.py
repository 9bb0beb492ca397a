"""`sinograd denoise`: a volume or a scan and a trained model in, a volume out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from sinograd.cli.describe import Lines, geometry_lines, grid_text, scan_lines, show, size
from sinograd.cli.errors import reported
from sinograd.cli.progress import Progress
from sinograd.workflows.denoising import Denoised, DenoiseRequest, denoise_file

T = TypeVar("T", int, float)


@reported
def denoise(
    input_: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="Volume file (.h5, .tif, .npy) or folder of DICOM slices for models of the image, scan file for "
            "dual-domain ones.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="A model that comes along, a model file or a run's folder.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|FOLDER",
            help="Volume to write: .h5, .tif or .npy; of DICOM slices a folder of such.",
            show_default=False,
        ),
    ],
    preview: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a PNG of the middle slices here.", show_default=False),
    ] = None,
    voxel_mm: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Scans: voxel size. Default: as `sinograd reconstruct`."),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Scans: number of voxels. Default: as `sinograd reconstruct`."),
    ] = None,
    center_mm: Annotated[
        str | None,
        typer.Option(metavar="X,Y,Z", help="Scans: centre of the volume. Default: as `sinograd reconstruct`."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where networks compute: cpu, cuda, cuda:1 ...")] = "cpu",
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace files that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print warnings and errors only.")] = False,
) -> None:
    """Denoise a volume with trained filters or a network, or reconstruct a scan with filters before and after."""
    request = DenoiseRequest(
        input=input_,
        model=model,
        output=output,
        preview=preview,
        voxel_mm=voxel_mm,
        shape=_numbers(shape, int, "--shape"),
        center_mm=_numbers(center_mm, float, "--center-mm"),
        device=device,
        force=force,
    )
    with Progress(quiet=quiet) as progress:
        result = denoise_file(request, progress)
    if not quiet:
        show(summary(request, result))


def summary(request: DenoiseRequest, result: Denoised) -> Lines:
    """What was done, for the terminal."""
    lines: Lines = [("input", str(request.input))]
    if result.scan is not None:
        lines = [*scan_lines(result.scan), *geometry_lines(result.scan.geometry)]
    lines += [
        ("model", f"{request.model}: {result.model}"),
        ("grid", grid_text(result.grid)),
        ("seconds", f"{result.seconds:.2f}"),
        ("volume", f"{request.output} ({size(_bytes(request.output))})"),
    ]
    return lines if request.preview is None else [*lines, ("preview", str(request.preview))]


def _bytes(path: Path) -> int:
    """Of a file, or of all in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")))


def _numbers(text: str | None, kind: type[T], option: str) -> tuple[T, ...] | None:
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas between them, got {text!r}", param_hint=option
        ) from None
