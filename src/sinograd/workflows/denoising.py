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

from sinograd.errors import GridWarning, InputError, InputTypeError, UnitError
from sinograd.files.inputs import note_again
from sinograd.io.formats import folders_written
from sinograd.io.storage.together import together
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.grids import choose_grid, outside_text
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.other_data import warn_of_other_data
from sinograd.workflows.outputs import check_inputs_stay, is_folder, volume_outputs
from sinograd.workflows.report import Advance, Report, recorded_warnings
from sinograd.workflows.values import number, numbers, path_or_none, switch

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sinograd.data import Scan, Volume
    from sinograd.geometry import Grid
    from sinograd.io.volumes.dicom.series import DicomSeries
    from sinograd.models import DualDomainBilateral, NetworkDenoiser
    from sinograd.models.model_file import AnySaved

_LEAST_SCALE = 5.0  # HU; what counts as 1 in a model of attenuation in 1/mm is far below


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
        force: replace files that exist.
        report: shows progress; see `reconstruct`.

    Returns:
        The volume in memory, float32, in the unit of the input (1/mm of a scan), with the record of how it was made.

    Raises:
        InputError, FileError: wrong values or files, a model for other data, before any work.
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
            force=switch(arguments["force"], "force"),
        )

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
    kept = "nothing was kept" if request.output is None else no_partial(request.output.name)
    texts: list[str] = []
    folders = folders_written(is_folder(request.file))
    with job(report, kept) as position, recorded_warnings(texts, position), folders:
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
    options = {f.name: getattr(request, f.name) for f in dataclasses.fields(request)} | {"input": request.name}
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
    from sinograd.models import filter_in_place
    from sinograd.training.effect import Effect
    from sinograd.training.risk import warn_if_worse

    for option in ("voxel_mm", "shape", "center_mm"):
        if getattr(request, option) is not None:
            denoiser = f"{request.model} ({saved.model.name})"
            raise InputError(f"`{option}` is for scans; {denoiser} denoises volumes as they are")
    report.stage("reading", 0)
    source = _opened_volume(request, saved)
    series = source.source if isinstance(source.source, DicomSeries) else None
    _check_unit(request, module, saved, source.unit, "DICOM slices are" if series is not None else "the volume is")
    _check_outputs(request, source.grid, series)
    dimensions = module[0].ndim if isinstance(module, nn.Sequential) else module.ndim
    if source.ndim < int(dimensions):  # pyright: ignore
        raise InputError(f"{request.name} is an image, {request.model} denoises volumes")
    values = source.values.float()
    if not source.is_lazy and values.data_ptr() == source.values.data_ptr():
        values = values.clone()  # the caller's own stay as they are
    volume = source.with_values(values).validate()
    warn_of_other_data(values, source.grid, module, saved)
    subject = f"{request.model} ({saved.model.name}) changes {Path(request.name).name}"
    warn_if_worse(module, values, subject, "fewer filters, or a model of such data, may help")
    effect = Effect(values)
    filter_in_place(module.to(request.device), values, progress=report.stage("denoising", len(values), "slices"))
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
    _check_unit(request, module, saved, scan.volume_unit, "the volume of the scan is")
    _check_outputs(request, grid, None)
    outside = outside_text(scan.geometry, grid)
    if outside is not None:
        warnings.warn(outside, GridWarning, stacklevel=2)
    projections = _load(scan, report)
    warn_of_other_data(None, grid, module.image_filters, saved)
    views = len(scan.geometry)
    shares = _filtered(module.projection_filters, projections, report.stage("filtering", views))
    reconstruction = module.reconstruction(scan.geometry, grid)
    values = reconstruction(projections, progress=report.stage("reconstructing", views))
    del projections
    shares += _filtered(module.image_filters, values, report.stage("denoising", len(values), "slices"))
    _warn_without_effect(request, saved, shares)
    return Volume(values, grid, scan.volume_unit), scan


def _filtered(filters: nn.Sequential, values: torch.Tensor, progress: Advance) -> list[float]:
    """The values filtered in place; the share of their noise that this changed, none where there is no filter."""
    from sinograd.models import filter_in_place
    from sinograd.training.effect import Effect

    effect = Effect(values)
    filter_in_place(filters, values, progress=progress)
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


def _check_unit(request: DenoiseRequest, module: nn.Module, saved: AnySaved, unit: str | None, words: str) -> None:
    """UnitError where the volume's unit and the model's are known and differ."""
    from sinograd.data.units import PER_PIXEL, PER_PIXEL_ADVICE, UNITS

    known = words_of_model = saved.trained_on.get("unit")
    scale = _scale(module)
    if known is None and unit == "HU" and scale is not None and abs(scale) < _LEAST_SCALE:
        known, words_of_model = "1/mm", f"1/mm (what counts as 1 in it is {scale:.3g})"
    if unit not in UNITS or known not in UNITS or known == unit or "1" in (unit, known):
        return
    how = f"; volume.to({known!r}, water=0.02) converts it" if {unit, known} == {"HU", "1/mm"} else ""
    how = f"; {PER_PIXEL_ADVICE}" if PER_PIXEL in (unit, known) else how
    raise UnitError(f"{request.model} ({saved.model.name}) is for values in {words_of_model}, {words} in {unit}{how}")


def _scale(module: nn.Module) -> float | None:
    """What counts as 1 in a model, if it is known."""
    for part in module.modules():
        for name in ("input_scale", "scale"):
            value = getattr(part, name, None)
            if value is not None:
                return float(value)
    return None
