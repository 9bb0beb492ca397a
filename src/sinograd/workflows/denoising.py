"""From a volume or scan file and a trained model to a volume file, in the memory of one volume."""

from __future__ import annotations

import dataclasses
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinograd.errors import GridWarning, InputError, UnitWarning
from sinograd.workflows import dicom
from sinograd.workflows.devices import chosen_device
from sinograd.workflows.grids import choose_grid, outside_text
from sinograd.workflows.job import job, no_partial
from sinograd.workflows.report import Report

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.models import DualDomainBilateral, NetworkDenoiser, SavedModel, SavedNetwork

    AnySaved = SavedModel | SavedNetwork

# How far voxels and values may be from those that a model was trained on before a warning says so.
_VOXEL_RATIO, _SCALE_RATIO = 1.1, 3.0
_SPREADS = (0.1, 30.0)  # of networks: what lies between the values of normal data, in units of their scale


@dataclass(frozen=True)
class DenoiseRequest:
    """What to denoise with what, and where to write it; lengths in mm, for scans."""

    input: Path
    model: str
    output: Path
    preview: Path | None = None
    voxel_mm: float | None = None
    shape: tuple[int, ...] | None = None
    center_mm: tuple[float, ...] | None = None
    device: str = "cpu"
    force: bool = False


@dataclass(frozen=True)
class Denoised:
    """What came of it: the volume on its grid, the scan if it was one, the model in words, seconds."""

    volume: torch.Tensor
    grid: Grid
    scan: Scan | None
    model: str
    seconds: float


def denoise_file(request: DenoiseRequest, progress: Report) -> Denoised:
    """Read, check, denoise, write. Nothing is written unless everything before succeeded."""
    with job(progress, no_partial(request.output.name)) as position:
        return _denoise_file(request, position)


def _denoise_file(request: DenoiseRequest, progress: Report) -> Denoised:
    from sinograd.data import make_provenance
    from sinograd.io import write_volume
    from sinograd.models import DualDomainBilateral, read_model
    from sinograd.view import save_preview

    start = time.perf_counter()
    saved = read_model(request.model)
    module = saved.build()
    _check_the_input_stays(request)
    _check_device(request, module)
    if isinstance(module, DualDomainBilateral):
        volume, grid, scan = _from_scan(request, module, saved, progress)
        unit = "1/mm"
    else:
        volume, grid, unit = _from_volume(request, module, saved, progress)  # pyright: ignore[reportArgumentType]
        scan = None
    progress.stage("writing", 0)
    source: dict[str, Any] = {"file": str(request.input.resolve())}
    if scan is not None:
        source |= {"metadata": scan.metadata, "provenance": scan.provenance}
    provenance = make_provenance(
        "sinograd denoise",
        dataclasses.asdict(request),
        model=dataclasses.asdict(saved.model),
        input=source,
    )
    if dicom.is_series(request.input):
        dicom.write_output(request, volume, saved)
    else:
        write_volume(volume, request.output, grid, unit=unit, force=request.force, provenance=provenance)
    if request.preview is not None:
        title = f"{request.input.name}: {saved.model.name}"
        save_preview(volume, grid, request.preview, unit=unit, title=title, force=request.force)
    words = f"{saved.model.name}, {sum(p.numel() for p in module.parameters())} parameters"
    return Denoised(volume, grid, scan, words, time.perf_counter() - start)


def _from_volume(
    request: DenoiseRequest, module: nn.Sequential | NetworkDenoiser, saved: AnySaved, progress: Report
) -> tuple[torch.Tensor, Grid, str | None]:
    import torch
    from torch import nn

    from sinograd.io import read_volume
    from sinograd.models import filter_in_place

    for option in ("voxel_mm", "shape", "center_mm"):
        if getattr(request, option) is not None:
            raise InputError(
                f"`{option}` is for scans; {request.model} ({saved.model.name}) denoises volumes as they are"
            )
    progress.stage("reading", 0)
    if dicom.is_series(request.input):
        volume, grid = dicom.load_series(request.input, request.model, module, saved)
        unit = "HU"
    else:
        try:
            source = read_volume(request.input)
        except ValueError as error:
            hint = (
                f"{request.model} ({saved.model.name}) denoises volumes, or slices in a folder; a scan has to be "
                "reconstructed first"
            )
            raise InputError(f"{error}; {hint}") from error
        volume, grid, unit = source.values, source.grid, source.unit
    _check_outputs(request, grid)
    volume = volume.float()
    bad = int((~torch.isfinite(volume)).sum())
    if bad:
        raise InputError(f"{request.input}: expected finite values, got {bad} NaN or infinite ones")
    dimensions = module[0].ndim if isinstance(module, nn.Sequential) else module.ndim
    if volume.ndim < int(dimensions):  # pyright: ignore
        raise InputError(f"{request.input} is an image, {request.model} denoises volumes")
    _warn_of_other_data(volume, grid, module, saved)
    filter_in_place(module.to(request.device), volume, progress=progress.stage("denoising", len(volume), "slices"))
    return volume, grid, unit


def _from_scan(
    request: DenoiseRequest, module: DualDomainBilateral, saved: AnySaved, progress: Report
) -> tuple[torch.Tensor, Grid, Scan]:
    from sinograd.io import read
    from sinograd.models import filter_in_place
    from sinograd.models.bilateral import bilateral_filters

    try:
        scan = read(request.input)
    except ValueError as error:
        hint = f"{request.model} ({saved.model.name}) starts from projections"
        raise InputError(f"{error}; {hint}") from error
    scan.check_shape()
    if scan.kind != "line integrals":
        raise InputError(f"{request.input} holds {scan.kind}, expected line integrals: prepare it first")
    wrong = {layer.ndim for layer in bilateral_filters(module).values()} - {scan.geometry.ndim}  # pyright: ignore
    if wrong:
        found = f"{request.input} is a {scan.geometry.ndim}-D scan"
        raise InputError(f"{found}, {request.model} is for {wrong.pop()}-D ones")
    grid = choose_grid(scan, request.voxel_mm, request.shape, request.center_mm)
    _check_outputs(request, grid)
    outside = outside_text(scan.geometry, grid)
    if outside is not None:
        warnings.warn(outside, GridWarning, stacklevel=2)
    projections = _load(scan, progress)
    _warn_of_other_data(None, grid, module.image_filters, saved)
    views = len(scan.geometry)
    filter_in_place(module.projection_filters, projections, progress=progress.stage("filtering", views))
    reconstruction = module.reconstruction(scan.geometry, grid)
    volume = reconstruction(projections, progress=progress.stage("reconstructing", views))
    del projections
    slices = progress.stage("denoising", len(volume), "slices")
    return filter_in_place(module.image_filters, volume, progress=slices), grid, scan


def _load(scan: Scan, progress: Report) -> torch.Tensor:
    """All projections as float32, checked; read block by block so that progress can be told."""
    import torch

    from sinograd.data.blocks import view_blocks

    views = scan.shape[0]
    advance = progress.stage("reading", views)
    projections = torch.empty(scan.shape, dtype=torch.float32)
    for start, stop in view_blocks(scan.shape, scan.projections.dtype.itemsize):
        projections[start:stop] = scan.load(slice(start, stop))
        advance(stop, views)
    dataclasses.replace(scan, projections=projections).validate()
    return projections


def _check_device(request: DenoiseRequest, module: nn.Module) -> None:
    """ValueError unless the device is there and the model can be used on it."""
    from sinograd.models import NetworkDenoiser

    chosen_device(request.device, kernels=False)
    if request.device != "cpu" and not isinstance(module, NetworkDenoiser):
        raise InputError(f"`device` is for networks, {request.model} is a model of bilateral filters")


def _check_outputs(request: DenoiseRequest, grid: Grid) -> None:
    from sinograd.io import check_volume_path
    from sinograd.view import check_picture_path

    if dicom.is_series(request.input):
        dicom.check_output(request)
    else:
        check_volume_path(request.output, grid, force=request.force)
    if request.preview is not None:
        check_picture_path(request.preview, force=request.force)


def _check_the_input_stays(request: DenoiseRequest) -> None:
    """ValueError when writing would replace the input itself."""
    outputs = {"`output`": request.output, "`preview`": request.preview}
    if request.output.suffix.lower() == ".npy":
        outputs["the .yaml beside `output`"] = request.output.with_suffix(".yaml")
    for name, path in outputs.items():
        if path is not None and path.exists() and request.input.exists() and path.samefile(request.input):
            raise InputError(f"cannot write {path}: {name} is the input itself")


def _warn_of_other_data(
    volume: torch.Tensor | None, grid: Grid, filters: nn.Sequential | NetworkDenoiser, saved: AnySaved
) -> None:
    """Lines where voxels or values are far from those that the model was trained on."""
    stacks = saved.trained_on.get("stacks") or [saved.trained_on.get("volumes") or {}]
    trained = stacks[0].get("voxel_mm") if isinstance(stacks[0], dict) else None
    if isinstance(trained, list) and len(trained) == grid.ndim:
        ratios = [a / b for a, b in zip(grid.spacing, trained, strict=True)]
        if max(max(ratios), 1 / min(ratios)) > _VOXEL_RATIO:
            warnings.warn(
                f"the model was trained on voxels of {' x '.join(f'{s:.4g}' for s in trained)} mm, "
                f"these are {' x '.join(f'{s:.4g}' for s in grid.spacing)} mm",
                UnitWarning,
                stacklevel=2,
            )
    if volume is not None:
        _warn_of_other_values(volume, filters)


def _warn_of_other_values(volume: torch.Tensor, filters: nn.Sequential | NetworkDenoiser) -> None:
    from torch import nn

    from sinograd.training.samples import typical_size

    if not isinstance(filters, nn.Sequential):
        values = volume.reshape(-1)[:: max(1, volume.numel() >> 20)].sort().values
        low, high = (float(values[round(share * (len(values) - 1))]) for share in (0.001, 0.999))
        if not _SPREADS[0] <= (high - low) / filters.scale <= _SPREADS[1]:
            warnings.warn(
                f"the values lie between {low:.4g} and {high:.4g}; the network counts {filters.scale:.4g} around "
                f"{filters.offset:.4g} as 1 (other material or other units?)",
                UnitWarning,
                stacklevel=2,
            )
        return
    scale = float(filters[0].input_scale)  # pyright: ignore
    found = typical_size([volume]) if bool((volume != 0).any()) else scale
    if not 1 / _SCALE_RATIO < found / scale < _SCALE_RATIO:
        warnings.warn(
            f"99.9 % of the values lie below {found:.4g}; the model was trained on values up to about {scale:.4g} "
            "(other material or other units?)",
            UnitWarning,
            stacklevel=2,
        )
