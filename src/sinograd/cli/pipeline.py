"""From a scan file to a volume file: what `sinograd reconstruct` and the demo both run."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sinograd.cli.grids import choose_grid, outside_text

if TYPE_CHECKING:
    import torch

    from sinograd.cli.progress import Progress
    from sinograd.geometry import Grid
    from sinograd.io import Scan


@dataclass(frozen=True)
class Request:
    """What to reconstruct and where to write it; lengths in mm. None leaves the choice to the scan."""

    scan: Path
    output: Path
    preview: Path | None = None
    window: str = "ram-lak"
    cutoff: float = 1.0
    voxel_mm: float | None = None
    shape: tuple[int, ...] | None = None
    center_mm: tuple[float, ...] | None = None
    force: bool = False


@dataclass(frozen=True)
class Reconstruction:
    """What came of a request: the volume on its grid, the scan it came from, and seconds by stage."""

    scan: Scan
    grid: Grid
    volume: torch.Tensor
    algorithm: str
    seconds: Mapping[str, float]


def reconstruct_file(request: Request, progress: Progress) -> Reconstruction:
    """Read, check, reconstruct, write. Nothing is written unless everything before succeeded.

    Warnings of the reconstruction are printed as lines on stderr. An interrupt is raised again with the words
    for how far the work came.
    """
    try:
        return _reconstruct_file(request, progress)
    except KeyboardInterrupt:
        where = progress.position()
        raise KeyboardInterrupt(f"{where}; no partial {request.output.name} was left") from None


def _reconstruct_file(request: Request, progress: Progress) -> Reconstruction:
    import sinograd  # noqa: F401  (so that the clock below does not count it)
    from sinograd.io import (
        check_picture_path,
        check_volume_path,
        make_provenance,
        read,
        save_preview,
        write_volume,
    )

    _check_the_scan_stays(request)
    clock = _Clock()
    scan = read(request.scan)
    scan.check_shape()
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    check_volume_path(request.output, grid, force=request.force)
    if request.preview is not None:
        check_picture_path(request.preview, force=request.force)
    outside = outside_text(scan.geometry, grid)
    if outside is not None:
        _warn(outside)
    projections = _load(scan, progress)
    clock.stage("read")

    volume, algorithm = _reconstruct(projections, scan, grid, request, progress)
    del projections
    clock.stage("reconstruct")

    progress.stage("writing", 0)
    options = dataclasses.asdict(request)
    provenance = make_provenance(
        "sinograd reconstruct",
        options,
        algorithm=algorithm,
        scan={"file": str(request.scan.resolve()), "metadata": scan.metadata, "provenance": scan.provenance},
    )
    write_volume(volume, request.output, grid, force=request.force, provenance=provenance)
    if request.preview is not None:
        title = f"{request.scan.name}: {algorithm}, {request.window}"
        save_preview(volume, grid, request.preview, title=title, force=request.force)
    clock.stage("write")
    return Reconstruction(scan, grid, volume, algorithm, clock.seconds)


def _check_the_scan_stays(request: Request) -> None:
    """ValueError when writing would replace the scan itself."""
    outputs = {"-o": request.output, "--preview": request.preview}
    if request.output.suffix.lower() == ".npy":
        outputs["the .yaml beside -o"] = request.output.with_suffix(".yaml")
    for name, path in outputs.items():
        if path is not None and path.exists() and request.scan.exists() and path.samefile(request.scan):
            raise ValueError(f"cannot write {path}: {name} is the scan itself")


def _load(scan: Scan, progress: Progress) -> torch.Tensor:
    """All projections as float32, checked; read block by block so that progress can be told."""
    import torch

    views = scan.shape[0]
    advance = progress.stage("reading", views)
    projections = torch.empty(scan.shape, dtype=torch.float32)
    step = max(1, (64 << 20) * views // max(scan.nbytes, 1))
    for start in range(0, views, step):
        stop = min(start + step, views)
        projections[start:stop] = scan.load(slice(start, stop))
        advance(stop, views)
    dataclasses.replace(scan, projections=projections).validate()
    return projections


def _reconstruct(
    projections: torch.Tensor, scan: Scan, grid: Grid, request: Request, progress: Progress
) -> tuple[torch.Tensor, str]:
    import sinograd as sg

    geometry = scan.geometry
    cone = isinstance(geometry, sg.ConeBeam)
    algorithm: Any = sg.fdk if cone else sg.fbp
    advance = progress.stage("reconstructing", len(geometry))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", sg.CoverageWarning)
        try:
            volume = algorithm(
                projections, geometry, grid, window=request.window, cutoff=request.cutoff, progress=advance
            )
        except ValueError as error:
            if not str(error).startswith("geometry: "):
                raise
            raise ValueError(f"{scan.name}: {str(error).removeprefix('geometry: ')}") from error
    for warning in caught:
        if issubclass(warning.category, sg.CoverageWarning):
            _warn(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return volume, "FDK" if cone else "FBP"


def _warn(text: str) -> None:
    typer.secho(f"warning: {text}", fg="yellow", err=True)


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
