"""From a scan file to a volume file: what `sinograd reconstruct` and the demo both run."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import torch

    from sinograd.cli.progress import Progress
    from sinograd.geometry import Geometry, Grid
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

    clock = _Clock()
    scan = read(request.scan)
    scan.check_shape()
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    check_volume_path(request.output, grid, force=request.force)
    if request.preview is not None:
        check_picture_path(request.preview, force=request.force)
    projections = _load(scan, progress)
    clock.stage("read")

    volume, algorithm = _reconstruct(projections, scan.geometry, grid, request, progress)
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


def choose_grid(
    scan: Scan,
    voxel_mm: float | None = None,
    shape: tuple[int, ...] | None = None,
    center_mm: tuple[float, ...] | None = None,
) -> Grid:
    """The scan's suggested grid or the one that covers its field of view, changed as the user asked.

    Given a voxel size but no shape, the number of voxels changes so that the same region is covered.
    """
    from sinograd.geometry import Grid

    base = scan.grid if scan.grid is not None else scan.geometry.default_grid()
    spacing = base.spacing
    if voxel_mm is not None:
        if not (math.isfinite(voxel_mm) and voxel_mm > 0):
            raise ValueError(f"--voxel-mm must be positive, got {voxel_mm}")
        spacing = (voxel_mm,) * base.ndim
        covered = tuple(max(1, math.ceil(s / voxel_mm - 1e-9)) for s in base.size)
        shape = covered if shape is None else shape
    for name, values in (("--shape", shape), ("--center-mm", center_mm)):
        if values is not None and len(values) != base.ndim:
            raise ValueError(f"{name} must have {base.ndim} numbers for this scan, got {len(values)}")
    return Grid(shape or base.shape, spacing, base.center if center_mm is None else center_mm)


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
    projections: torch.Tensor, geometry: Geometry, grid: Grid, request: Request, progress: Progress
) -> tuple[torch.Tensor, str]:
    import sinograd as sg

    cone = isinstance(geometry, sg.ConeBeam)
    algorithm: Any = sg.fdk if cone else sg.fbp
    advance = progress.stage("reconstructing", len(geometry))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", sg.CoverageWarning)
        volume = algorithm(projections, geometry, grid, window=request.window, cutoff=request.cutoff, progress=advance)
    for warning in caught:
        if issubclass(warning.category, sg.CoverageWarning):
            typer.secho(f"warning: {warning.message}", fg="yellow", err=True)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return volume, "FDK" if cone else "FBP"


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
