"""The global steps of a volume that is written slab by slab: made once and kept in the plan, or taken from it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sinograd.choices import VOLUME_FORMATS
from sinograd.errors import ExistingFileError, InputError
from sinograd.workflows import prepared_source
from sinograd.workflows.analytic import of_scan
from sinograd.workflows.centering import center_text, centered
from sinograd.workflows.grids import choose_grid
from sinograd.workflows.hounsfield import water_of
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_budget import size_text
from sinograd.workflows.output_range import scaling_of
from sinograd.workflows.pipeline import warn_of_outside
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.schedule import IN_SCRATCH, Schedule, prepared_bytes
from sinograd.workflows.slab_job import Scaling, SlabOutput
from sinograd.workflows.stored_schedule import StoredSchedule
from sinograd.workflows.streaming_choice import stored_bytes
from sinograd.workflows.turning import Turns, turned

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.geometry import Grid
    from sinograd.io.volumes.format import VolumeFormat
    from sinograd.io.volumes.sink import VolumeSink
    from sinograd.preparation import Center
    from sinograd.workflows.reconstruction import Request


@dataclass(frozen=True)
class Planned:
    """What the global steps give.

    Attributes:
        scan: as it is reconstructed.
        grid: of the volume.
        source: where its projections are read from; see `schedule`.
        scaling: of stored values; None: float32, or not known before an iterative algorithm ends.
        center: of the search, if there was one now.
        center_words: the same in words, also of an earlier run.
        turns: of the search, also of an earlier run.
    """

    scan: Scan
    grid: Grid
    source: str
    scaling: Scaling | None
    center: Center | None
    center_words: str | None
    turns: Turns | None = None


Found = Schedule | StoredSchedule


def plan_of(
    request: Request,
    report: Report,
    scan: Scan,
    texts: list[str],
    manifest: Manifest,
    first_schedule: Callable[[Grid], Found],
) -> Planned:
    """The global steps, from the plan where there is one.

    first_schedule: of a grid, before anything is prepared.
    """
    work = _work(request, scan)
    if (
        manifest.has_plan
        and (request.resume or request.part is not None)
        and not (request.force and request.part is None)
    ):
        return _restored(request, report, scan, texts, manifest.plan(work, request.part is not None))
    if manifest.has_plan and not request.force:
        raise ExistingFileError(
            f"{manifest.folder} holds an interrupted run: `resume=True` goes on with it, `force=True` starts again"
        )
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    found = first_schedule(grid)
    manifest.begin()
    for folder in scratch_folders(request, manifest):
        shutil.rmtree(folder, ignore_errors=True)
    scratch, _ = scratch_folders(request, manifest)
    _check_room(request, scan, grid, found, scratch)
    with recorded_warnings(texts, report):
        advance = report.stage("reading", len(scan.geometry))
        made, source = prepared_source.prepared(
            scan, request.preparation, found.source, scratch, advance, request.truncation != "none"
        )
        made, center = centered(request, scan.geometry, made, report)
        made, turns = turned(request, made, report)
        grid = choose_grid(made, request.voxel_mm, request.shape, request.center_mm)
        warn_of_outside(made.geometry, grid)
        if not request.iterative:
            of_scan(request, made, grid)  # warns of rays that are missing
    later = request.iterative and request.range is None  # the range is that of the volume
    scaling = None if later else scaling_of(request, made, grid, water_of(request, scan))
    words = None if center is None else center_text(center)
    planned = Planned(made, grid, source, scaling, center, words, turns)
    if not request.iterative:
        sink_of(request, made, grid, scaling, manifest.volume).create()
    manifest.write_plan(
        work,
        source=source,
        scratch=str(scratch),
        views=prepared_source.kept_views(made),
        preparation=made.metadata.get("preparation", {}),
        center=None if center is None else center.offset_mm,
        center_words=words,
        turns=None if turns is None else dataclasses.asdict(turns),
        scaling=None if scaling is None else dataclasses.asdict(scaling),
        warnings=texts,
    )
    return planned


def _restored(request: Request, report: Report, scan: Scan, texts: list[str], plan: dict[str, Any]) -> Planned:
    """As `plan_of`, of an earlier run."""
    from sinograd.geometry import shift_detector

    report.stage("reading", 0)
    made = prepared_source.restored(scan, request.preparation, plan)
    if plan["center"] is not None:
        made = dataclasses.replace(made, geometry=shift_detector(made.geometry, plan["center"]))
    elif request.center not in ("file", "auto"):
        made, _ = centered(request, scan.geometry, made, report)
    turns = None if plan["turns"] is None else Turns(**plan["turns"])
    if turns is not None:
        made = dataclasses.replace(made, geometry=turns.correct(made.geometry))
    elif request.tilt != "auto":
        made, _ = turned(request, made, report)
    texts[:] = plan["warnings"]
    grid = choose_grid(made, request.voxel_mm, request.shape, request.center_mm)
    scaling = None if plan["scaling"] is None else Scaling(**plan["scaling"])
    return Planned(made, grid, plan["source"], scaling, None, plan["center_words"], turns)


def _work(request: Request, scan: Scan) -> dict[str, Any]:
    """All that the volume depends on, by its part in words."""
    from sinograd.data import software_version

    options = dict(request.options)
    return {"scan": prepared_source.fingerprint(scan), "options": options, "version": software_version()}


def scratch_folders(request: Request, manifest: Manifest) -> tuple[Path, Path]:
    """Of prepared projections, and of what iterative algorithms work on."""
    if request.scratch is None:
        return manifest.folder / "prepared.zarr", manifest.folder / "iterations"
    place, name = request.scratch.absolute(), manifest.output.name
    return place / f"{name}.prepared.zarr", place / f"{name}.iterations"


def _check_room(request: Request, scan: Scan, grid: Grid, found: Found, scratch: Path) -> None:
    """InputError where a disk has too little room for the output or the prepared projections."""
    from sinograd.preparation.prepared_geometry import prepared_geometry

    output = output_of(request).absolute().parent
    needed = {output: stored_bytes(request, grid)}
    if found.source == IN_SCRATCH:
        place = scratch.parent if request.scratch is not None else output
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = os.strerror(error.errno or 0)
            raise InputError(f"`scratch`: expected a folder that is there or can be made, {place}: {text}") from error
        prepared = prepared_bytes(prepared_geometry(scan, request.preparation)[0]) + found.scratch
        same = place.stat().st_dev == output.stat().st_dev
        needed[output if same else place] = prepared + (needed[output] if same else 0)
    for folder, count in needed.items():
        free = shutil.disk_usage(folder).free
        if count > free:
            name = "output" if folder == output else "scratch"
            raise InputError(
                f"`{name}`: not enough free disk space in {folder}: {size_text(count)} needed, {size_text(free)} free"
            )


def output_header(request: Request, scan: Scan, grid: Grid, scaling: Scaling | None) -> Volume:
    """The volume that is written, without values."""
    from sinograd.io.volumes.sink import Unwritten, header_of

    dtype = torch.float32 if scaling is None else getattr(torch, scaling.dtype)
    unit = "HU" if request.unit == "HU" else scan.volume_unit
    return header_of(grid, Unwritten(grid.shape, dtype, None if scaling is None else scaling.scale), unit, {})


def sink_of(request: Request, scan: Scan, grid: Grid, scaling: Scaling | None, path: Path) -> VolumeSink:
    """What takes the volume's slices."""
    return format_of(request).sink(output_header(request, scan, grid, scaling), path)


def slab_output(request: Request, planned: Planned, manifest: Manifest) -> SlabOutput:
    """Where slices go, and in which form."""
    from sinograd.data.units import Conversion
    from sinograd.preparation.field_of_view import field_of_view_radii

    scan, grid = planned.scan, planned.grid
    water = water_of(request, scan)
    return SlabOutput(
        grid,
        sink_of(request, scan, grid, planned.scaling, manifest.volume),
        manifest,
        field_of_view_radii(scan.geometry, grid) if request.mask else None,
        None if water is None else Conversion(scan.volume_unit, "HU", water, 0.0, None),
        planned.scaling,
    )


def format_of(request: Request) -> VolumeFormat:
    """Of the output."""
    from sinograd.io.formats import writing_format

    return writing_format(VOLUME_FORMATS, output_of(request)).format


def output_of(request: Request) -> Path:
    """Of a request that has one."""
    assert request.output is not None
    return request.output
