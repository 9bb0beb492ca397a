"""Iterative algorithms whose volumes and projections lie in scratch files; the volume is written at the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sinograd.data.projections import ChosenViews
from sinograd.errors import Stopped
from sinograd.interrupts import Interrupts
from sinograd.ops.stored import Space, StoredTensor
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.hounsfield import water_of
from sinograd.workflows.iterative import run_algorithm
from sinograd.workflows.job import goes_on
from sinograd.workflows.memory_budget import budget
from sinograd.workflows.output_range import whole_numbers
from sinograd.workflows.report import recorded_warnings
from sinograd.workflows.slab_job import Scaling, SlabOutput
from sinograd.workflows.stored_schedule import StoredSchedule, stored_schedule
from sinograd.workflows.stored_state import StoredState
from sinograd.workflows.streamed_plan import Planned, scratch_folders, slab_output

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.ops import LinearOperator
    from sinograd.workflows.manifest import Manifest
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report
    from sinograd.workflows.streamed import Computed


def iterate_in_slabs(
    request: Request, report: Report, planned: Planned, manifest: Manifest, texts: list[str]
) -> Computed:
    """Run the algorithm and write its volume, or go on with either. `texts`: warnings so far."""
    from sinograd.workflows.streamed import Computed

    scan, grid = planned.scan, planned.grid
    found = stored_schedule(
        request.algorithm, scan.geometry, grid, budget(request.memory), chosen_device(request.device)
    )
    space = Space(scratch_folders(request, manifest)[1], found.block)
    state = StoredState(space, manifest.folder.name)
    if state.finished(grid.shape) is None:
        with recorded_warnings(texts, report):
            _iterate(request, report, planned, found, state, manifest)
    finished = state.finished(grid.shape)
    assert finished is not None
    image, facts = finished
    scaling = planned.scaling if facts["range"] is None else Scaling(*facts["range"])
    output = slab_output(request, dataclasses.replace(planned, scaling=scaling), manifest)
    _write(output, image, report)
    return Computed(output, found, request.algorithm.upper(), facts["details"])


def _iterate(
    request: Request,
    report: Report,
    planned: Planned,
    found: StoredSchedule,
    state: StoredState,
    manifest: Manifest,
) -> None:
    """The volume, kept with its facts."""
    with _operator(request, planned, found, manifest) as operator:
        placed = operator, _projections(planned.scan, state.space), state.load(request.algorithm)
        image, details = run_algorithm(request, placed, state, report)
    assert isinstance(image, StoredTensor)
    kind = whole_numbers(request)
    ends = None if kind is None or planned.scaling is not None else [*_range_of(request, planned.scan, image), kind]
    state.finish(image, details=details, range=ends)


@contextmanager
def _operator(
    request: Request, planned: Planned, found: StoredSchedule, manifest: Manifest
) -> Iterator[LinearOperator]:
    """In slabs, here or on workers."""
    from sinograd.ops import InSlabs, XRayTransform

    whole = XRayTransform(planned.scan.geometry, planned.grid)
    if request.cluster is None and request.client is None:
        yield InSlabs(whole, request.device, found.operator)
        return
    from sinograd.workflows.cluster import check_workers, cluster_client
    from sinograd.workflows.cluster_operator import OnWorkers

    with cluster_client(request.cluster, request.client) as client:
        check_workers(client, manifest.plan_file)
        yield OnWorkers(whole, client, found.operator or found.budget)


def _range_of(request: Request, scan: Scan, image: StoredTensor) -> tuple[float, float]:
    """Lowest and highest value of a volume in the output's unit, which differ."""
    low, high = float(image.min()), float(image.max())
    if request.mask:
        low, high = min(low, 0.0), max(high, 0.0)
    water = water_of(request, scan)
    if water is not None:
        low, high = ((value / water - 1) * 1000 for value in (low, high))
    margin = 0.0 if high > low else max(abs(low), 1e-6)
    return low - margin, high + margin


def _projections(scan: Scan, space: Space) -> StoredTensor:
    """Those of a scratch file."""
    chosen = scan.projections
    store = chosen.projections if isinstance(chosen, ChosenViews) else chosen
    made = space.over(Path(store.chunk), store.shape)  # type: ignore[attr-defined]
    return made.view_of(made.planes[chosen.order]) if isinstance(chosen, ChosenViews) else made


def _write(output: SlabOutput, image: StoredTensor, report: Report) -> None:
    """The slices that are not written yet."""
    slices, unit = output.grid.shape[0], output.sink.unit
    if not output.manifest.parts():
        output.sink.create()
    advance = report.stage("writing", slices, "slices")
    kept = goes_on(output.manifest.folder.name, "the volume")
    with Interrupts() as interrupts:
        for first, end in output.manifest.missing(0, slices):
            for low in range(first, end, unit):
                start = time.perf_counter()
                values = output.finished(low, image.read((slice(low, min(low + unit, end)),)))
                output.write(low, values, compute_seconds=round(time.perf_counter() - start, 3))
                advance(low, slices)
                if interrupts.requested:
                    raise Stopped(kept=kept)
