"""The stages of a reconstruction: read, prepare, centre, reconstruct, write."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING

from sinograd.choices import VOLUME_FORMATS
from sinograd.data.lengths import lengths_in
from sinograd.errors import GridWarning, InputError
from sinograd.files.inputs import note_again
from sinograd.io.formats import folders_written
from sinograd.io.storage.together import together
from sinograd.workflows.centering import centered
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.grids import choose_grid, outside_text
from sinograd.workflows.hounsfield import (
    check_dicom,
    finished,
    is_dicom_output,
    slices_together,
    water_of,
    write_dicom,
)
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_need import memory_for
from sinograd.workflows.outputs import check_inputs_stay, is_folder, volume_outputs
from sinograd.workflows.report import Report, recorded_warnings
from sinograd.workflows.result import Clock, Reconstruction, with_record
from sinograd.workflows.streaming_choice import could_be_streamed, is_streamed, stored_bytes
from sinograd.workflows.turning import check_turns, turned

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry, Grid
    from sinograd.workflows.reconstruction import Request


def run_reconstruction(request: Request, report: Report | str | bool | None) -> Reconstruction:
    """Read, prepare, reconstruct, write. Nothing is written unless everything before succeeded."""
    kept = "nothing was kept" if request.output is None else no_partial(request.output.name)
    with job(report, kept) as position, folders_written(is_folder(request.file)):
        return _run(request, position)


def opened_scan(request: Request) -> Scan:
    """The scan of a request, of its views; only its header is read."""
    from sinograd.data import Scan
    from sinograd.geometry import Geometry, load_geometry
    from sinograd.io import read

    geometry, scan = request.geometry, request.scan
    if not isinstance(scan, Scan):
        beam = {name: getattr(request, name) or None for name in ("flat", "dark")}
        scan = read(scan, geometry=geometry, pixel_mm=request.pixel_mm, **beam)
    elif request.flat or request.dark:
        raise InputError("`flat` and `dark` are for scan files; a Scan has them in its calibration")
    elif geometry is not None:
        # As of a file: the grid that the scan suggests belongs to its own geometry.
        geometry = geometry if isinstance(geometry, Geometry) else load_geometry(geometry)
        scan = dataclasses.replace(scan, geometry=geometry, grid=None, length_unit="mm")
    if isinstance(request.scan, Scan) and request.pixel_mm is not None:
        scan = scan.with_pixel(request.pixel_mm)
    scan.check_shape()
    if request.views is not None:
        if not range(scan.shape[0])[request.views]:
            raise InputError(f"`views`: no view of {scan.name}'s {scan.shape[0]} is chosen")
        scan = scan[request.views]
    if request.leave_out:
        if max(request.leave_out) >= scan.shape[0]:
            raise InputError(f"`leave_out`: there is no view {max(request.leave_out)}, {scan.name} has {scan.shape[0]}")
        scan = scan.without(list(request.leave_out))
    return scan


def check_outputs(request: Request, grid: Grid, streamed: bool = False) -> None:
    """Whether everything can be written, before the work starts.

    streamed: the volume is written in slabs: one that was begun has its room already.
    """
    from sinograd.io import check_volume_path
    from sinograd.io.formats import writing_format
    from sinograd.view import check_page_path, check_picture_path

    if request.output is not None and is_dicom_output(request):
        check_dicom(request.output, grid, request.force)
    elif request.output is not None and not streamed:
        check_volume_path(request.output, grid, force=request.force)
    elif request.output is not None:
        needed = 0 if Manifest(request.output).has_plan else stored_bytes(request, grid)
        writing_format(VOLUME_FORMATS, request.output).format.check(request.output, force=request.force, needed=needed)
    for picture in (request.preview, request.center_picture):
        if picture is not None:
            check_picture_path(picture, force=request.force)
    if request.page is not None:
        check_page_path(request.page, force=request.force)


def warn_of_outside(geometry: Geometry, grid: Grid) -> None:
    """GridWarning for a grid that the scan does not see."""
    outside = outside_text(geometry, grid)
    if outside is not None:
        warnings.warn(outside, GridWarning, stacklevel=3)


def _run(request: Request, report: Report) -> Reconstruction:
    import sinograd.ops  # noqa: F401  (so that the clock below does not count what it imports)
    from sinograd.geometry import detector_region
    from sinograd.io.write import note_parts
    from sinograd.recon.directions import check_directions
    from sinograd.workflows.helical import is_helical

    texts: list[str] = []
    chosen_device(request.device)
    outputs = volume_outputs(
        request.output, preview=request.preview, page=request.page, center_picture=request.center_picture
    )
    check_inputs_stay([request.file, *request.flat, *request.dark], outputs, "is the scan itself")
    note_again(request.file)
    clock = Clock()
    with recorded_warnings(texts, report):
        scan = opened_scan(request)
    note_parts(scan)
    check_inputs_stay([], outputs, "")
    grid = _grid(request, scan)
    check_directions(scan.geometry, grid, scan.name)
    check_turns(request, scan.geometry)
    request.corrections.check(scan, is_helical(request, scan))
    water_of(request, scan)
    slices_together(request, grid)
    streamed = is_streamed(request, scan, grid)
    if request.part is not None:
        from sinograd.workflows.streamed import finished_before

        if (result := finished_before(request, scan, texts)) is not None:
            return result
    check_outputs(request, grid, streamed)
    if streamed:
        from sinograd.workflows.streamed import reconstruct_streamed

        with lengths_in(scan.length_unit):
            result = reconstruct_streamed(request, report, scan, texts, clock)
            if not result.missing:
                write_pictures(request, result)
            return result
    options = request.preparation
    used = detector_region(scan.geometry, options.rows, options.columns, options.binning)
    in_slabs = could_be_streamed(request, scan, grid)
    with memory_for(used, grid, request.algorithm, scan.length_unit, in_slabs), lengths_in(scan.length_unit):
        return _work(request, report, scan, texts, clock)


def _work(request: Request, report: Report, scan: Scan, texts: list[str], clock: Clock) -> Reconstruction:
    """Everything after the checks."""
    from sinograd.data import Volume
    from sinograd.workflows.analytic import direct, filtered_backprojection
    from sinograd.workflows.helical import helical, is_helical
    from sinograd.workflows.iterative import iterate

    detector = scan.geometry
    with recorded_warnings(texts, report):
        scan = _prepare(request, scan, report)
        clock.stage("read")
        scan, center = centered(request, detector, scan, report)
        scan, turns = turned(request, scan, report)
        if center is not None or turns is not None:
            clock.stage("centre")
        scan, metal = request.corrections.apply(request, scan, report)
        if request.corrections.wanted:
            clock.stage("correct")
        grid = _grid(request, scan)
        warn_of_outside(scan.geometry, grid)
    with recorded_warnings(texts, report):
        if is_helical(request, scan):
            run = helical
        elif request.algorithm in ("auto", "fdk", "fbp"):
            run = filtered_backprojection
        else:
            run = iterate if request.iterative else direct
        values, algorithm, details, partial = run(request, scan, grid, report)
        if metal is not None:
            plain = dataclasses.replace(request, output=None, resume=False)
            values = metal.put_back(values, grid, lambda whole: filtered_backprojection(plain, whole, grid, report)[0])
    if request.mask:
        from sinograd.preparation import mask_field_of_view_

        mask_field_of_view_(values, scan.geometry, grid)
    clock.stage("reconstruct")

    made = Reconstruction(
        Volume(values, grid, scan.volume_unit, file=request.output),
        scan,
        algorithm,
        details,
        center,
        clock.seconds,
        texts,
        turns=turns,
    )
    made = dataclasses.replace(made, volume=finished(request, scan, made.volume))
    result = dataclasses.replace(made, volume=with_record(request, made))
    report.stage("writing", 0)
    with together():
        _write(request, result)
    if partial is not None:
        partial.remove()
    clock.stage("write")
    return result


def _grid(request: Request, scan: Scan) -> Grid:
    return choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)


def _prepare(request: Request, scan: Scan, report: Report) -> Scan:
    """The scan in memory, as line integrals, with finite values."""
    from sinograd.errors import TruncationWarning
    from sinograd.preparation import prepare

    with warnings.catch_warnings():
        if request.truncation != "none":  # rows are continued
            warnings.simplefilter("ignore", TruncationWarning)
        return prepare(scan, request.preparation, progress=report.stage("reading", len(scan.geometry))).validate()


def _write(request: Request, result: Reconstruction) -> None:
    volume = result.volume
    if request.output is not None:
        from sinograd.io import write_volume

        if is_dicom_output(request):
            write_dicom(request, result.scan, volume)
        else:
            write_volume(volume, request.output, force=request.force)
    write_pictures(request, result)


def write_pictures(request: Request, result: Reconstruction) -> None:
    """The preview and the page of a request."""
    volume, record = result.volume, result.volume.provenance
    title = f"{request.title}: {result.algorithm}, {result.details}"
    if request.preview is not None:
        from sinograd.view import save_preview

        save_preview(volume, request.preview, title=title, force=request.force)
    if request.page is not None:
        from sinograd.data.provenance import orientation_note
        from sinograd.view import save_page

        details = {name: str(record[name]) for name in ("algorithm", "geometry", "center") if name in record}
        if (note := orientation_note(record)) is not None:
            details["orientation"] = note
        details["scan"] = result.scan.name if request.file is None else str(request.file)
        details["options"] = ", ".join(f"{name} {value}" for name, value in request.options.items())
        details["made by"] = f"{record['software']}, {record['time']}"
        with_3d = request.page_3d
        save_page(volume, request.page, title=title, details=details, with_3d=with_3d, force=request.force)
