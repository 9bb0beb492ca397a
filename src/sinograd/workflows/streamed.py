"""A volume larger than memory: planned once, computed part by part, written as it is done, resumed after any end."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinograd.errors import Stopped
from sinograd.files.inputs import own_state
from sinograd.interrupts import Interrupts
from sinograd.workflows.analytic import of_scan, options_text
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.job import goes_on
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_budget import TooFewBytes, budget
from sinograd.workflows.report import Report
from sinograd.workflows.result import Clock, Reconstruction, with_record
from sinograd.workflows.schedule import (
    IN_MEMORY,
    IN_SCAN,
    Schedule,
    file_source,
    preparation_bytes,
    schedule,
    sources_of,
)
from sinograd.workflows.slab_job import SlabJob, SlabOutput, run_here
from sinograd.workflows.streamed_plan import (
    Found,
    Planned,
    format_of,
    output_header,
    output_of,
    plan_of,
    scratch_folders,
    sink_of,
    slab_output,
)

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.workflows.reconstruction import Request

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class Computed:
    """What wrote the slices: where they went, the schedule, algorithm and details in words."""

    output: SlabOutput
    schedule: Found
    algorithm: str
    details: str


def reconstruct_streamed(
    request: Request, report: Report, scan: Scan, texts: list[str], clock: Clock
) -> Reconstruction:
    """Prepare, reconstruct and write slab by slab; the scan's header is read. `texts`: warnings so far."""
    manifest = Manifest(output_of(request).absolute())
    with own_state(), manifest.running(shared=request.part is not None):
        with manifest.planning():
            planned = plan_of(request, report, scan, texts, manifest, lambda grid: first_schedule(request, scan, grid))
        clock.stage("read")
        if request.iterative:
            from sinograd.workflows.stored_iteration import iterate_in_slabs

            computed = iterate_in_slabs(request, report, planned, manifest, texts)
        else:
            computed = _filter_in_slabs(request, report, planned, manifest)
        clock.stage("reconstruct")
        with manifest.planning():
            result = _finish(request, report, planned, computed, (texts, clock))
        clock.stage("write")
        return result


def finished_before(request: Request, scan: Scan, texts: list[str]) -> Reconstruction | None:
    """The volume that runs of all parts have written before; None where they have not, or it is of other options."""
    from sinograd.data import make_provenance
    from sinograd.io import is_volume, open_volume

    output = output_of(request)
    if not output.exists() or Manifest(output).folder.exists():
        return None
    with own_state():
        volume = open_volume(output) if is_volume(output) else None
    same = make_provenance("", request.options)["options"]
    if volume is None or volume.provenance.get("options") != same or "checksums" not in volume.provenance:
        return None
    record = volume.provenance
    return Reconstruction(volume, scan, str(record["algorithm"]), str(record["details"]), None, {}, texts)


def first_schedule(request: Request, scan: Scan, grid: Grid) -> Found:
    """The schedule of a job from the scan's header alone, before anything is prepared.

    Raises:
        TooFewBytes: the memory is too small for the largest step of the job; says what that takes.
    """
    memory, options = budget(request.memory), request.preparation
    is_prepared = request.iterative or file_source(scan, options) != IN_SCAN
    needed = preparation_bytes(scan, options) if is_prepared else 0
    try:
        found = _of_header(request, scan, grid, memory)
    except TooFewBytes as error:
        if error.enough < needed:
            raise TooFewBytes(memory, "references and blocks of views that are prepared", needed) from None
        raise
    if needed > memory:
        raise TooFewBytes(memory, "references and blocks of views that are prepared", needed)
    return found


def _of_header(request: Request, scan: Scan, grid: Grid, memory: int) -> Found:
    from sinograd.preparation.prepared_geometry import prepared_geometry
    from sinograd.workflows.stored_schedule import stored_schedule

    geometry, where = prepared_geometry(scan, request.preparation)[0], chosen_device(request.device)
    if request.iterative:
        return stored_schedule(request.algorithm, geometry, grid, memory, where)
    sources = sources_of(scan, request.preparation, geometry, memory, _is_local(request))
    still, everything = dataclasses.replace(scan, geometry=geometry), [(0, grid.shape[0])]
    whole, unit = of_scan(request, still, grid, warn=False), sink_of(request, scan, grid, None, output_of(request)).unit
    if sources[0] == IN_MEMORY:
        with contextlib.suppress(TooFewBytes):  # projections leave no room for a part
            return schedule(whole, everything, unit, IN_MEMORY, memory, where)
    return schedule(whole, everything, unit, sources[-1], memory, where)


def _filter_in_slabs(request: Request, report: Report, planned: Planned, manifest: Manifest) -> Computed:
    """FDK and filtered backprojection: the slabs that are left."""
    from sinograd.geometry import ConeBeam

    whole = of_scan(request, planned.scan, planned.grid, warn=False)
    output, where = slab_output(request, planned, manifest), chosen_device(request.device)
    job = SlabJob(whole, planned.scan.projections, output, request.device)
    ranges = _ranges(request, output)
    found = schedule(whole, ranges, output.sink.unit, planned.source, budget(request.memory), where)
    _run(request, report, job, found)
    name = "FDK" if isinstance(planned.scan.geometry, ConeBeam) else "FBP"
    return Computed(output, found, name, options_text(request))


def _ranges(request: Request, output: SlabOutput) -> Ranges:
    """Slices that are to be computed: those of the part that are not written."""
    slices, unit = output.grid.shape[0], output.sink.unit
    first, end = 0, slices
    if request.part is not None:
        number, count = request.part
        units = -(-slices // unit)
        first, end = (min(slices, unit * (k * units // count)) for k in (number - 1, number))
    return output.manifest.missing(first, end)


def _run(request: Request, report: Report, job: SlabJob, found: Schedule) -> None:
    if not found.parts:
        return
    if request.cluster is not None or request.client is not None:
        from sinograd.workflows.cluster import run_on_cluster

        run_on_cluster(request, report, job, found.parts)
        return
    advance = report.stage("reconstructing", len(found.parts) * job.whole.views)
    kept = goes_on(job.output.manifest.folder.name, "the slices that are done")
    with Interrupts() as interrupts:

        def after_block(done: int, total: int) -> None:
            advance(done, total)
            if interrupts.requested:
                raise Stopped(kept=kept)

        run_here(job, found.parts, after_block)


def _finish(
    request: Request, report: Report, planned: Planned, computed: Computed, so_far: tuple[list[str], Clock]
) -> Reconstruction:
    """Publish the volume if all slices are written."""
    from sinograd.io import open_volume

    output, grid, (texts, clock) = computed.output, planned.grid, so_far
    manifest = output.manifest
    result = Reconstruction(
        output_header(request, planned.scan, grid, output.scaling),
        planned.scan,
        computed.algorithm,
        computed.details,
        planned.center,
        clock.seconds,
        texts,
        computed.schedule,
        sum(end - first for first, end in manifest.missing(0, grid.shape[0])),
        planned.turns,
    )
    if result.missing or not manifest.has_plan:
        return result
    report.stage("writing", 0)
    parts = manifest.parts()
    more: dict[str, Any] = {
        "unit_slices": output.sink.unit,
        "checksums": [checksum for part in parts for checksum in part["checksums"]],
    }
    if planned.center_words is not None:
        more["center"] = planned.center_words
    if output.scaling is not None:
        clipped = sum(part["clipped"] for part in parts)
        more["scaling"] = {**dataclasses.asdict(output.scaling), "clipped": clipped}
    output.sink.finish(with_record(request, result, **more))
    format = format_of(request)
    names = [path.name for path in format.written_paths(manifest.output)]
    for folder in scratch_folders(request, manifest):
        shutil.rmtree(folder, ignore_errors=True)
    manifest.publish(names, folder=bool(format.folder))
    return dataclasses.replace(result, volume=open_volume(output_of(request)))


def _is_local(request: Request) -> bool:
    """Whether all parts are computed in this process."""
    return request.cluster is None and request.client is None and request.part is None
