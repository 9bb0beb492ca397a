"""`denoise`: a trained model applied to a volume, or to a scan, in the memory of one volume."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import GridWarning, InputError, InputTypeError
from sinograd.files.inputs import note_again
from sinograd.io.formats import folders_written
from sinograd.io.storage.together import together
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.grids import choose_grid, outside_text
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.other_data import check_unit, warn_of_other_data
from sinograd.workflows.outputs import check_inputs_stay, is_folder, volume_outputs
from sinograd.workflows.report import Advance, Report, recorded_warnings
from sinograd.workflows.values import Where, number, numbers, path_or_none, switch

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sinograd.data import Scan, Volume
    from sinograd.geometry import Grid
    from sinograd.io.volumes.dicom.series import DicomSeries
    from sinograd.models import DualDomainBilateral, NetworkDenoiser
    from sinograd.models.model_file import AnySaved
    from sinograd.workflows.workers import Workers


def denoise(
    input: Volume | Scan | str | os.PathLike[str],
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    preview: str | os.PathLike[str] | None = None,
    voxel_mm: float | None = None,
    shape: Sequence[int] | str | None = None,
    center_mm: Sequence[float] | str | None = None,
    device: str = "cpu",
    cluster: str | None = None,
    client: Any = None,
    force: bool = False,
    report: Report | str | bool | None = None,
) -> Volume:
    """Denoise a volume with trained filters or a network, or reconstruct a scan with filters before and after.

    Args:
        input: a volume (file, folder of slices, folder of DICOM slices, `Volume`); for dual-domain models a scan of
            line integrals (file, folder, `Scan`). Objects stay as they are.
        model: the name of a model that comes along, a model file or a run's folder.
        output: the volume's file; of DICOM slices a folder of derived ones; None: none.
        preview: also write a PNG of the middle slices.
        voxel_mm, shape, center_mm: of scans; see `reconstruct`.
        device: where networks compute: "cpu", "cuda" or "cuda:1".
        cluster, client: Dask workers that filter slabs; see `reconstruct`. Scans are reconstructed here.
        force: replace files that exist.
        report: shows progress; see `reconstruct`.

    Returns:
        The volume in memory, float32, in the unit of the input (1/mm of a scan), with the record of how it was made.

    Raises:
        InputError, FileError: wrong values or files, another model's data, workers that cannot work; before any work.
        Stopped: an interrupt; nothing is kept.

    Warns:
        UnitWarning: voxels or values are far from those of the training.
        NoEffectWarning: the model changes nothing, or makes the noise worse.
        SinogradWarning: the others of reading and writing.
    """
    arguments = dict(locals())
    return run_denoising(DenoiseRequest.of(arguments), report).volume


@dataclass(frozen=True, kw_only=True)
class DenoiseRequest:
    """Checked arguments of `denoise`; lengths in mm."""

    input: Volume | Scan | Path
    model: str
    output: Path | None
    preview: Path | None
    voxel_mm: float | None
    shape: tuple[int, ...] | None
    center_mm: tuple[float, ...] | None
    device: str
    where: Where
    force: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> DenoiseRequest:
        """The request of the arguments of `denoise`; InputError or InputTypeError, which name them."""
        from sinograd.data import Scan, Volume

        source = arguments["input"]
        if not isinstance(source, Volume | Scan | str | os.PathLike):
            kind = type(source).__name__
            raise InputTypeError(f"`input`: expected a file, a folder, a Volume or a Scan, got a {kind}")
        return cls(
            input=source if isinstance(source, Volume | Scan) else Path(source),
            model=os.fspath(arguments["model"]),
            output=path_or_none(arguments["output"], "output"),
            preview=path_or_none(arguments["preview"], "preview"),
            voxel_mm=number(arguments["voxel_mm"], "voxel_mm"),
            shape=numbers(arguments["shape"], int, "shape"),
            center_mm=numbers(arguments["center_mm"], float, "center_mm"),
            device=arguments["device"],
            where=Where.of(arguments),
            force=switch(arguments["force"], "force"),
        )

    @property
    def kept(self) -> str:
        """What an interrupt leaves, in words."""
        return "nothing was kept" if self.output is None else no_partial(self.output.name)

    @property
    def file(self) -> Path | None:
        """The input's file; None for one that was made in memory."""
        return self.input if isinstance(self.input, Path) else self.input.file

    @property
    def name(self) -> str:
        """The input in messages."""
        return str(self.input) if isinstance(self.input, Path) else self.input.name


@dataclass(frozen=True)
class Denoised:
    """The result of a request: the volume, the scan if it was one, the model in words, seconds, texts of warnings."""

    volume: Volume
    scan: Scan | None
    model: str
    seconds: float
    warnings: list[str]


def run_denoising(request: DenoiseRequest, report: Report | str | bool | None) -> Denoised:
    """Read, check, denoise, write. Nothing is written unless everything before succeeded."""
    texts: list[str] = []
    folders = folders_written(is_folder(request.file))
    with job(report, request.kept) as position, recorded_warnings(texts, position), folders:
        return _run(request, position, texts)


def _run(request: DenoiseRequest, report: Report, texts: list[str]) -> Denoised:
    from sinograd.data import make_provenance
    from sinograd.models import DualDomainBilateral, read_model

    start = time.perf_counter()
    saved = read_model(request.model)
    module = saved.build()
    outputs = volume_outputs(request.output, preview=request.preview)
    note_again(request.file)
    check_inputs_stay([request.file], outputs, "is the input itself")
    _check_device(request, module)
    series, scan = None, None
    if isinstance(module, DualDomainBilateral):
        volume, scan = _from_scan(request, module, saved, report)
    else:
        volume, series = _from_volume(request, module, saved, report)  # pyright: ignore[reportArgumentType]
    report.stage("writing", 0)
    source: dict[str, Any] = {"file": None if request.file is None else str(request.file.resolve())}
    if not isinstance(request.input, Path):
        source["in_memory"] = True
    if scan is not None:
        source |= {"metadata": scan.metadata, "provenance": scan.provenance}
    options = {f.name: getattr(request, f.name) for f in dataclasses.fields(request) if f.name != "where"}
    options["input"] = request.name
    record = make_provenance(
        "sinograd denoise", options, model=dataclasses.asdict(saved.model), input=source, warnings=texts
    )
    volume = volume.with_provenance(record)
    with together():
        _write(request, volume, series, saved)
    words = f"{saved.model.name}, {sum(p.numel() for p in module.parameters())} parameters"
    return Denoised(volume, scan, words, time.perf_counter() - start, texts)


def _write(request: DenoiseRequest, volume: Volume, series: DicomSeries | None, saved: AnySaved) -> None:
    if request.output is not None and series is not None:
        from sinograd.io import write_series

        name = Path(request.model).name
        derivation = f"denoised by the model {name}" + f" ({saved.model.name})" * (name != saved.model.name)
        write_series(volume.values, request.output, series, derivation=derivation, label=name, force=request.force)
    elif request.output is not None:
        from sinograd.io import write_volume

        write_volume(volume, request.output, force=request.force)
    if request.preview is not None:
        from sinograd.view import save_preview

        title = f"{Path(request.name).name}: {saved.model.name}"
        save_preview(volume, request.preview, title=title, force=request.force)


def _from_volume(
    request: DenoiseRequest, module: nn.Sequential | NetworkDenoiser, saved: AnySaved, report: Report
) -> tuple[Volume, DicomSeries | None]:
    """The denoised volume, and the DICOM series that it was read from, if it was one."""
    from torch import nn

    from sinograd.io import DicomSeries
    from sinograd.training.effect import Effect
    from sinograd.training.risk import warn_if_worse
    from sinograd.workflows.filtering import filter_values
    from sinograd.workflows.workers import workers_of

    for option in ("voxel_mm", "shape", "center_mm"):
        if getattr(request, option) is not None:
            denoiser = f"{request.model} ({saved.model.name})"
            raise InputError(f"`{option}` is for scans; {denoiser} denoises volumes as they are")
    report.stage("reading", 0)
    source = _opened_volume(request, saved)
    series = source.source if isinstance(source.source, DicomSeries) else None
    words = "DICOM slices are" if series is not None else "the volume is"
    check_unit(request.model, module, saved, source.unit, words)
    _check_outputs(request, source.grid, series)
    dimensions = module[0].ndim if isinstance(module, nn.Sequential) else module.ndim
    if source.ndim < int(dimensions):  # pyright: ignore
        raise InputError(f"{request.name} is an image, {request.model} denoises volumes")
    values = source.values.float()
    if not source.is_lazy and values.data_ptr() == source.values.data_ptr():
        values = values.clone()  # the caller's own stay as they are
    volume = source.with_values(values).validate()
    with workers_of(request.where, request.output, [], request.kept) as workers:
        warn_of_other_data(values, source.grid, module, saved)
        subject = f"{request.model} ({saved.model.name}) changes {Path(request.name).name}"
        warn_if_worse(module, values, subject, "fewer filters, or a model of such data, may help")
        effect = Effect(values)
        filter_values(module, values, request.device, workers, report.stage("denoising", len(values), "slices"))
    _warn_without_effect(request, saved, [effect.share(values)])
    return volume, series


def _opened_volume(request: DenoiseRequest, saved: AnySaved) -> Volume:
    from sinograd.data import Scan, Volume
    from sinograd.io import open_volume, read_series
    from sinograd.io.volumes.dicom.series import is_dicom_folder

    hint = (
        f"{request.model} ({saved.model.name}) denoises volumes, or slices in a folder; a scan has to be reconstructed "
        "first"
    )
    if isinstance(request.input, Volume):
        return request.input
    if isinstance(request.input, Scan):
        raise InputError(f"`input` is a scan; {hint}")
    try:
        if is_dicom_folder(request.input):
            series = read_series(request.input)
            if not series.frames:
                return series.volume  # as its slices are, in which it is written again
        return open_volume(request.input)
    except ValueError as error:
        raise InputError(f"{error}; {hint}") from error


def _from_scan(
    request: DenoiseRequest, module: DualDomainBilateral, saved: AnySaved, report: Report
) -> tuple[Volume, Scan]:
    from sinograd.data import Volume
    from sinograd.models.bilateral import bilateral_filters
    from sinograd.workflows.workers import workers_of

    scan = _opened_scan(request, saved)
    scan.check_shape()
    if scan.kind != "line integrals":
        raise InputError(f"{request.name} holds {scan.kind}, expected line integrals: prepare it first")
    wrong = {layer.ndim for layer in bilateral_filters(module).values()} - {scan.geometry.ndim}  # pyright: ignore
    if wrong:
        raise InputError(
            f"{request.name} is a {scan.geometry.ndim}-D scan, {request.model} is for {wrong.pop()}-D ones"
        )
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    check_unit(request.model, module, saved, scan.volume_unit, "the volume of the scan is")
    _check_outputs(request, grid, None)
    outside = outside_text(scan.geometry, grid)
    if outside is not None:
        warnings.warn(outside, GridWarning, stacklevel=2)
    views = len(scan.geometry)
    with workers_of(request.where, request.output, [], request.kept) as workers:
        projections = _load(scan, report)
        warn_of_other_data(None, grid, module.image_filters, saved)
        shares = _filtered(module.projection_filters, projections, workers, report.stage("filtering", views))
        reconstruction = module.reconstruction(scan.geometry, grid)
        values = reconstruction(projections, progress=report.stage("reconstructing", views))
        del projections
        shares += _filtered(module.image_filters, values, workers, report.stage("denoising", len(values), "slices"))
    _warn_without_effect(request, saved, shares)
    return Volume(values, grid, scan.volume_unit), scan


def _filtered(filters: nn.Sequential, values: torch.Tensor, workers: Workers | None, progress: Advance) -> list[float]:
    """The values filtered in place; the share of their noise that this changed, none where there is no filter."""
    from sinograd.training.effect import Effect
    from sinograd.workflows.filtering import filter_values

    effect = Effect(values)
    filter_values(filters, values, "cpu", workers, progress)
    return [effect.share(values)] if len(filters) else []


def _warn_without_effect(request: DenoiseRequest, saved: AnySaved, shares: list[float]) -> None:
    from sinograd.training.effect import warn_without_effect

    subject = f"{request.model} ({saved.model.name}) changes {Path(request.name).name}"
    warn_without_effect(shares, subject, "was it trained in another unit, or did its training fail?")


def _opened_scan(request: DenoiseRequest, saved: AnySaved) -> Scan:
    from sinograd.data import Scan, Volume
    from sinograd.io import read

    hint = f"{request.model} ({saved.model.name}) starts from projections"
    if isinstance(request.input, Scan):
        return request.input
    if isinstance(request.input, Volume):
        raise InputError(f"`input` is a volume; {hint}")
    try:
        return read(request.input)
    except ValueError as error:
        raise InputError(f"{error}; {hint}") from error


def _load(scan: Scan, report: Report) -> torch.Tensor:
    """All projections as float32, checked; read block by block, for the report."""
    import torch

    from sinograd.data.blocks import view_blocks

    views = scan.shape[0]
    advance = report.stage("reading", views)
    projections = torch.empty(scan.shape, dtype=torch.float32)
    for start, stop in view_blocks(scan.shape, scan.projections.dtype.itemsize):
        projections[start:stop] = scan.load(slice(start, stop))
        advance(stop, views)
    dataclasses.replace(scan, projections=projections).validate()
    return projections


def _check_device(request: DenoiseRequest, module: nn.Module) -> None:
    """InputError unless the device is there and the model can be used on it."""
    from sinograd.models import NetworkDenoiser

    chosen_device(request.device, kernels=False)
    if request.device != "cpu" and not isinstance(module, NetworkDenoiser):
        raise InputError(f"`device` is for networks, {request.model} is a model of bilateral filters")


def _check_outputs(request: DenoiseRequest, grid: Grid, series: DicomSeries | None) -> None:
    from sinograd.io import check_volume_path
    from sinograd.view import check_picture_path

    if request.output is not None and series is not None:
        from sinograd.io.formats import names_folder
        from sinograd.io.volumes.dicom.writer import check_series_path

        if not names_folder(request.output):
            raise InputError(
                f"cannot write {request.output}: DICOM slices are written as such, `output` must be a folder"
            )
        check_series_path(request.output, series, force=request.force)
    elif request.output is not None:
        check_volume_path(request.output, grid, force=request.force)
    if request.preview is not None:
        check_picture_path(request.preview, force=request.force)
