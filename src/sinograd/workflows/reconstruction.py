"""From a scan file to a volume file: what `sinograd reconstruct` and the demo both run."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import GridWarning, InputError
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.grids import choose_grid, outside_text
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.report import Report, recorded_warnings

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.preparation import Center


@dataclass(frozen=True)
class Request:
    """What to reconstruct and where to write it; lengths in mm. None leaves the choice to the scan.

    preparation: fields of `sinograd.preparation.Preparation`. center: "file", "auto" or detector pixels along +u.
    device: where to compute.
    options: what the volume keeps of the command line, so that it can be repeated.
    """

    scan: Path
    output: Path
    geometry: str | None = None
    views: slice | None = None
    preparation: Mapping[str, Any] = field(default_factory=dict)
    center: str | float = "file"
    center_picture: Path | None = None
    algorithm: str = "auto"
    iterations: int | None = None
    tv_strength: float | None = None
    non_negative: bool = True
    window: str = "ram-lak"
    cutoff: float = 1.0
    truncation: str = "none"
    voxel_mm: float | None = None
    shape: tuple[int, ...] | None = None
    center_mm: tuple[float, ...] | None = None
    mask: bool = False
    preview: Path | None = None
    page: Path | None = None
    device: str = "cpu"
    resume: bool = False
    force: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconstruction:
    """What came of a request: the volume on its grid, the prepared scan, seconds by stage, and what was warned of."""

    scan: Scan
    grid: Grid
    volume: torch.Tensor
    algorithm: str
    details: str
    center: Center | None
    seconds: Mapping[str, float]
    warnings: list[str]


def reconstruct_file(request: Request, progress: Report) -> Reconstruction:
    """Read, prepare, reconstruct, write. Nothing is written unless everything before succeeded.

    An interrupt is raised again with the words for how far the work came.
    """
    with job(progress, no_partial(request.output.name)) as position:
        return _reconstruct_file(request, position)


def opened_scan(request: Request, told: list[str], progress: Report) -> Scan:
    """The scan of a request, of its views; nothing but what its header tells is read."""
    from sinograd.io import read

    with recorded_warnings(told, progress):
        scan = read(request.scan, geometry=request.geometry)
        if request.views is None:
            return scan
        chosen = range(scan.shape[0])[request.views]
        if not chosen:
            raise InputError(f"`views`: no view of {scan.name}'s {scan.shape[0]} is chosen")
        return scan[request.views]


def _reconstruct_file(request: Request, progress: Report) -> Reconstruction:
    import sinograd  # noqa: F401  (so that the clock below does not count it)
    from sinograd.recon.algorithms import iterative_algorithms
    from sinograd.workflows.analytic import filtered_backprojection
    from sinograd.workflows.iterative import check_options, iterate

    told: list[str] = []
    check_options(request)
    chosen_device(request.device)
    _check_the_scan_stays(request)
    clock = _Clock()
    scan = opened_scan(request, told, progress)
    check_outputs(request, _grid(request, scan))
    prepared = _prepare(request, scan, progress, told)
    clock.stage("read")

    prepared, center = _centered(request, prepared, progress, told)
    if center is not None:
        clock.stage("centre")
    grid = _grid(request, prepared)
    with recorded_warnings(told, progress):
        outside = outside_text(prepared.geometry, grid)
        if outside is not None:
            warnings.warn(outside, GridWarning, stacklevel=2)
        run = iterate if request.algorithm in iterative_algorithms() else filtered_backprojection
        volume, algorithm, details, partial = run(request, prepared, grid, progress)
    if request.mask:
        from sinograd.preparation import mask_field_of_view_

        mask_field_of_view_(volume, prepared.geometry, grid)
    clock.stage("reconstruct")

    progress.stage("writing", 0)
    result = Reconstruction(prepared, grid, volume, algorithm, details, center, clock.seconds, told)
    _write(request, result)
    partial.remove()
    clock.stage("write")
    return result


def _grid(request: Request, scan: Scan) -> Grid:
    return choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)


def check_outputs(request: Request, grid: Grid) -> None:
    """Whether everything can be written, before the work starts."""
    from sinograd.io import check_volume_path
    from sinograd.view import check_page_path, check_picture_path

    check_volume_path(request.output, grid, force=request.force)
    for picture in (request.preview, request.center_picture):
        if picture is not None:
            check_picture_path(picture, force=request.force)
    if request.page is not None:
        check_page_path(request.page, force=request.force)
    if request.center_picture is not None and request.center != "auto":
        raise InputError("`center_picture` shows the search of `center='auto'`, which was not asked for")


def _check_the_scan_stays(request: Request) -> None:
    """ValueError when writing would replace the scan itself."""
    outputs = {
        "`output`": request.output,
        "`preview`": request.preview,
        "`page`": request.page,
        "`center_picture`": request.center_picture,
    }
    if request.output.suffix.lower() == ".npy":
        outputs["the .yaml beside `output`"] = request.output.with_suffix(".yaml")
    for name, path in outputs.items():
        if path is not None and path.exists() and request.scan.exists() and path.samefile(request.scan):
            raise InputError(f"cannot write {path}: {name} is the scan itself")


def _prepare(request: Request, scan: Scan, progress: Report, told: list[str]) -> Scan:
    """The scan in memory, as line integrals, with finite values."""
    from sinograd.preparation import Preparation, prepare

    advance = progress.stage("reading", len(scan.geometry))
    with recorded_warnings(told, progress):
        prepared = prepare(scan, Preparation.from_dict(request.preparation), progress=advance)
    return prepared.validate()


def _centered(request: Request, scan: Scan, progress: Report, told: list[str]) -> tuple[Scan, Center | None]:
    """The scan with its detector where the centre of rotation says."""
    from sinograd.geometry import shift_detector

    if request.center == "file":
        return scan, None
    if isinstance(request.center, float):
        moved = shift_detector(scan.geometry, column=request.center * scan.geometry.detector.spacing[-1])
        return dataclasses.replace(scan, geometry=moved), None
    from sinograd.preparation import find_center
    from sinograd.view import save_center_picture

    advance = progress.stage("finding centre", len(scan.geometry))
    with recorded_warnings(told, progress):
        center = find_center(scan.projections, scan.geometry, progress=advance)
    if request.center_picture is not None:
        save_center_picture(center, request.center_picture, force=request.force)
    return dataclasses.replace(scan, geometry=center.correct(scan.geometry)), center


def _write(request: Request, result: Reconstruction) -> None:
    from sinograd.data import make_provenance
    from sinograd.io import write_volume
    from sinograd.view import save_page, save_preview

    scan, grid = result.scan, result.grid
    metadata = {name: value for name, value in scan.metadata.items() if name != "preparation"}
    made = {
        "algorithm": result.algorithm,
        "details": result.details,
        "scan": {"file": str(request.scan.resolve()), "metadata": metadata, "provenance": scan.provenance},
        "preparation": scan.metadata.get("preparation", {}),
        "geometry": repr(scan.geometry),
        "warnings": result.warnings,
    }
    if result.center is not None:
        made["center"] = center_text(result.center)
    provenance = make_provenance("sinograd reconstruct", request.options, **made)
    write_volume(result.volume, request.output, grid, unit="1/mm", force=request.force, provenance=provenance)
    title = f"{request.scan.name}: {result.algorithm}, {result.details}"
    if request.preview is not None:
        save_preview(result.volume, grid, request.preview, unit="1/mm", title=title, force=request.force)
    if request.page is not None:
        details = {name: str(value) for name, value in made.items() if name in ("algorithm", "geometry", "center")}
        details["scan"] = str(request.scan)
        details["options"] = ", ".join(f"{name} {value}" for name, value in request.options.items())
        details["made by"] = f"{provenance['software']}, {provenance['time']}"
        save_page(result.volume, grid, request.page, unit="1/mm", title=title, details=details, force=request.force)


def center_text(center: Center) -> str:
    """The centre of rotation in words."""
    return (
        f"{center.offset_pixels:+.3f} pixels, standard error {center.certainty:.3f} "
        f"({center.offset_mm:+.6g} mm, {center.method})"
    )


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now
