"""A volume larger than memory: planned once, computed part by part, written as it is done, resumed after any end."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sinograd.choices import VOLUME_FORMATS
from sinograd.errors import ExistingFileError, InputError, Stopped
from sinograd.files.inputs import own_state
from sinograd.interrupts import Interrupts
from sinograd.workflows import prepared_source
from sinograd.workflows.analytic import of_scan, options_text
from sinograd.workflows.centering import center_text, centered
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.grids import choose_grid
from sinograd.workflows.hounsfield import water_of
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_budget import budget, size_text
from sinograd.workflows.output_range import scaling_of
from sinograd.workflows.pipeline import warn_of_outside
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.result import Clock, Reconstruction, with_record
from sinograd.workflows.schedule import (
    IN_MEMORY,
    IN_SCAN,
    IN_SCRATCH,
    Schedule,
    preparation_bytes,
    prepared_bytes,
    schedule,
    sources_of,
)
from sinograd.workflows.slab_job import Scaling, SlabJob, run_here
from sinograd.workflows.streaming_choice import stored_bytes

if TYPE_CHECKING:
    from sinograd.data import Scan, Volume
    from sinograd.geometry import Grid
    from sinograd.io.volumes.format import VolumeFormat
    from sinograd.io.volumes.sink import VolumeSink
    from sinograd.preparation import Center
    from sinograd.workflows.reconstruction import Request

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class _Planned:
    """What the global steps give: the scan as it is reconstructed, its grid, and how values are stored."""

    scan: Scan
    grid: Grid
    source: str
    scaling: Scaling | None
    center: Center | None
    center_words: str | None


def reconstruct_streamed(
    request: Request, report: Report, scan: Scan, texts: list[str], clock: Clock
) -> Reconstruction:
    """Prepare, reconstruct and write slab by slab; the scan's header is read. `texts`: warnings so far."""
    manifest = Manifest(_output(request).absolute())
    with own_state(), manifest.running(shared=request.part is not None):
        with manifest.planning():
            planned = _plan(request, report, scan, texts, manifest)
        clock.stage("read")
        job = _job(request, planned, manifest)
        found = schedule_of(request, job, planned.source, _ranges(request, job, manifest))
        _run(request, report, job, found)
        clock.stage("reconstruct")
        with manifest.planning():
            result = _finish(request, report, planned, job, found, (texts, clock))
        clock.stage("write")
        return result


def finished_before(request: Request, scan: Scan, texts: list[str]) -> Reconstruction | None:
    """The volume that runs of all parts have written before; None where they have not, or it is of other options."""
    from sinograd.data import make_provenance
    from sinograd.io import is_volume, open_volume

    output = _output(request)
    if not output.exists() or Manifest(output).folder.exists():
        return None
    with own_state():
        volume = open_volume(output) if is_volume(output) else None
    same = make_provenance("", request.options)["options"]
    if volume is None or volume.provenance.get("options") != same or "checksums" not in volume.provenance:
        return None
    record = volume.provenance
    return Reconstruction(volume, scan, str(record["algorithm"]), str(record["details"]), None, {}, texts)


def first_schedule(request: Request, scan: Scan, grid: Grid) -> Schedule:
    """The schedule of a job from the scan's header alone, before anything is prepared."""
    from sinograd.preparation.prepared_geometry import prepared_geometry

    memory = budget(request.memory)
    geometry = prepared_geometry(scan, request.preparation)[0]
    sources = sources_of(scan, request.preparation, geometry, memory, _is_local(request))
    still = dataclasses.replace(scan, geometry=geometry)
    whole, unit = of_scan(request, still, grid, warn=False), _sink(request, scan, grid, None, _output(request)).unit
    everything, where = [(0, grid.shape[0])], chosen_device(request.device)
    needed = preparation_bytes(scan, request.preparation)
    if needed > memory and sources[-1] != IN_SCAN:
        raise InputError(f"`memory`: {size_text(memory)} are too few: preparation takes {size_text(needed)}")
    if sources[0] == IN_MEMORY:
        with contextlib.suppress(InputError):  # projections leave no room for a part
            return schedule(whole, everything, unit, IN_MEMORY, memory, where)
    return schedule(whole, everything, unit, sources[-1], memory, where)


def schedule_of(request: Request, job: SlabJob, source: str, ranges: Ranges) -> Schedule:
    """The parts of the slices that are left."""
    where = chosen_device(request.device)
    return schedule(job.whole, ranges, job.sink.unit, source, budget(request.memory), where)


def _plan(request: Request, report: Report, scan: Scan, texts: list[str], manifest: Manifest) -> _Planned:
    """The global steps, from the plan where there is one."""
    work = _work(request, scan)
    if (
        manifest.has_plan
        and (request.resume or request.part is not None)
        and not (request.force and request.part is None)
    ):
        return _restored(request, report, scan, texts, manifest.plan(work))
    if manifest.has_plan and not request.force:
        raise ExistingFileError(
            f"{manifest.folder} holds an interrupted run: `resume=True` goes on with it, `force=True` starts again"
        )
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    found = first_schedule(request, scan, grid)
    manifest.begin()
    scratch = _scratch(request, manifest)
    _check_room(request, scan, grid, found.source, scratch)
    with recorded_warnings(texts, report):
        advance = report.stage("reading", len(scan.geometry))
        made, source = prepared_source.prepared(
            scan, request.preparation, found.source, scratch, advance, request.truncation != "none"
        )
        made, center = centered(request, scan.geometry, made, report)
        grid = choose_grid(made, request.voxel_mm, request.shape, request.center_mm)
        warn_of_outside(made.geometry, grid)
        of_scan(request, made, grid)  # warns of rays that are missing
    scaling = scaling_of(request, made, grid, water_of(request, scan))
    words = None if center is None else center_text(center)
    planned = _Planned(made, grid, source, scaling, center, words)
    _sink(request, made, grid, scaling, manifest.volume).create()
    manifest.write_plan(
        work,
        source=source,
        scratch=str(scratch),
        views=prepared_source.kept_views(made),
        preparation=made.metadata.get("preparation", {}),
        center=None if center is None else center.offset_mm,
        center_words=words,
        scaling=None if scaling is None else dataclasses.asdict(scaling),
        warnings=texts,
    )
    return planned


def _restored(request: Request, report: Report, scan: Scan, texts: list[str], plan: dict[str, Any]) -> _Planned:
    """As `_plan`, of an earlier run."""
    from sinograd.geometry import shift_detector

    report.stage("reading", 0)
    made = prepared_source.restored(scan, request.preparation, plan)
    if plan["center"] is not None:
        made = dataclasses.replace(made, geometry=shift_detector(made.geometry, plan["center"]))
    elif request.center not in ("file", "auto"):
        made, _ = centered(request, scan.geometry, made, report)
    texts[:] = plan["warnings"]
    grid = choose_grid(made, request.voxel_mm, request.shape, request.center_mm)
    scaling = None if plan["scaling"] is None else Scaling(**plan["scaling"])
    return _Planned(made, grid, plan["source"], scaling, None, plan["center_words"])


def _job(request: Request, planned: _Planned, manifest: Manifest) -> SlabJob:
    from sinograd.data.units import Conversion
    from sinograd.preparation.field_of_view import field_of_view_radii

    scan, grid = planned.scan, planned.grid
    water = water_of(request, scan)
    return SlabJob(
        of_scan(request, scan, grid, warn=False),
        scan.projections,
        _sink(request, scan, grid, planned.scaling, manifest.volume),
        manifest,
        request.device,
        field_of_view_radii(scan.geometry, grid) if request.mask else None,
        None if water is None else Conversion(scan.volume_unit, "HU", water, 0.0, None),
        planned.scaling,
    )


def _ranges(request: Request, job: SlabJob, manifest: Manifest) -> Ranges:
    """Slices that are to be computed: those of the part that are not written."""
    slices, unit = job.whole.grid.shape[0], job.sink.unit
    first, end = 0, slices
    if request.part is not None:
        number, count = request.part
        units = -(-slices // unit)
        first, end = (min(slices, unit * (k * units // count)) for k in (number - 1, number))
    return manifest.missing(first, end)


def _run(request: Request, report: Report, job: SlabJob, found: Schedule) -> None:
    if not found.parts:
        return
    if request.cluster is not None or request.client is not None:
        from sinograd.workflows.cluster import run_on_cluster

        run_on_cluster(request, report, job, found.parts)
        return
    advance = report.stage("reconstructing", len(found.parts) * job.whole.views)
    kept = f"`resume=True` goes on from there ({job.manifest.folder.name} holds the slices that are done)"
    with Interrupts() as interrupts:

        def after_block(done: int, total: int) -> None:
            advance(done, total)
            if interrupts.requested:
                raise Stopped(kept=kept)

        run_here(job, found.parts, after_block)


def _finish(
    request: Request,
    report: Report,
    planned: _Planned,
    job: SlabJob,
    found: Schedule,
    so_far: tuple[list[str], Clock],
) -> Reconstruction:
    """Publish the volume if all slices are written."""
    from sinograd.geometry import ConeBeam
    from sinograd.io import open_volume

    manifest, grid, (texts, clock) = job.manifest, planned.grid, so_far
    header = _header(request, planned.scan, grid, planned.scaling)
    result = Reconstruction(
        header,
        planned.scan,
        "FDK" if isinstance(planned.scan.geometry, ConeBeam) else "FBP",
        options_text(request),
        planned.center,
        clock.seconds,
        texts,
        found,
        sum(end - first for first, end in manifest.missing(0, grid.shape[0])),
    )
    if result.missing or not manifest.has_plan:
        return result
    report.stage("writing", 0)
    parts = manifest.parts()
    more: dict[str, Any] = {
        "unit_slices": job.sink.unit,
        "checksums": [checksum for part in parts for checksum in part["checksums"]],
    }
    if planned.center_words is not None:
        more["center"] = planned.center_words
    if planned.scaling is not None:
        clipped = sum(part["clipped"] for part in parts)
        more["scaling"] = {**dataclasses.asdict(planned.scaling), "clipped": clipped}
    job.sink.finish(with_record(request, result, **more))
    format = _format(request)
    names = [path.name for path in format.written_paths(manifest.output)]
    if planned.source == IN_SCRATCH:
        shutil.rmtree(_scratch(request, manifest), ignore_errors=True)
    manifest.publish(names, folder=bool(format.folder))
    return dataclasses.replace(result, volume=open_volume(_output(request)))


def _work(request: Request, scan: Scan) -> dict[str, Any]:
    """All that the volume depends on, by its part in words."""
    from sinograd.data import software_version

    options = dict(request.options)
    return {"scan": prepared_source.fingerprint(scan), "options": options, "version": software_version()}


def _is_local(request: Request) -> bool:
    """Whether all parts are computed in this process."""
    return request.cluster is None and request.client is None and request.part is None


def _scratch(request: Request, manifest: Manifest) -> Path:
    if request.scratch is None:
        return manifest.folder / "prepared.zarr"
    return request.scratch.absolute() / f"{manifest.output.name}.prepared.zarr"


def _check_room(request: Request, scan: Scan, grid: Grid, source: str, scratch: Path) -> None:
    """InputError where a disk has too little room for the output or the prepared projections."""
    from sinograd.preparation.prepared_geometry import prepared_geometry

    output = _output(request).absolute().parent
    needed = {output: stored_bytes(request, grid)}
    if source == IN_SCRATCH:
        place = scratch.parent if request.scratch is not None else output
        place.mkdir(parents=True, exist_ok=True)
        prepared = prepared_bytes(prepared_geometry(scan, request.preparation)[0])
        same = place.stat().st_dev == output.stat().st_dev
        needed[output if same else place] = prepared + (needed[output] if same else 0)
    for folder, count in needed.items():
        free = shutil.disk_usage(folder).free
        if count > free:
            name = "output" if folder == output else "scratch"
            raise InputError(
                f"`{name}`: not enough free disk space in {folder}: {size_text(count)} needed, {size_text(free)} free"
            )


def _header(request: Request, scan: Scan, grid: Grid, scaling: Scaling | None) -> Volume:
    from sinograd.io.volumes.sink import Unwritten, header_of

    dtype = torch.float32 if scaling is None else getattr(torch, scaling.dtype)
    unit = "HU" if request.unit == "HU" else scan.volume_unit
    return header_of(grid, Unwritten(grid.shape, dtype, None if scaling is None else scaling.scale), unit, {})


def _sink(request: Request, scan: Scan, grid: Grid, scaling: Scaling | None, path: Path) -> VolumeSink:
    return _format(request).sink(_header(request, scan, grid, scaling), path)


def _format(request: Request) -> VolumeFormat:
    from sinograd.io.formats import writing_format

    return writing_format(VOLUME_FORMATS, _output(request)).format


def _output(request: Request) -> Path:
    assert request.output is not None
    return request.output
