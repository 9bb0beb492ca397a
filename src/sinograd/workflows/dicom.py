"""DICOM series in `sinograd denoise`: a folder of slices in, a folder of derived slices out."""

from __future__ import annotations

import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sinograd.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sinograd.geometry import Grid
    from sinograd.io.volumes.dicom.series import DicomSeries
    from sinograd.models import SavedModel, SavedNetwork
    from sinograd.workflows.denoising import DenoiseRequest

_LEAST_SCALE = 5.0  # HU; what counts as 1 in a model of attenuation in 1/mm is far below


def is_series(path: Path) -> bool:
    """Whether the input is a folder with DICOM slices."""
    from sinograd.io.volumes.dicom.series import is_dicom_folder

    return is_dicom_folder(path)


def load_series(
    path: Path, model: str, module: nn.Module, saved: SavedModel | SavedNetwork
) -> tuple[torch.Tensor, Grid]:
    """All slices in HU and their grid; ValueError when the model is for other units."""
    _check_unit(model, module, saved)
    _series.cache_clear()  # the folder may have changed since
    series = _series(path)
    return series.read(0, series.shape[0]), series.grid


def check_output(request: DenoiseRequest) -> None:
    """ValueError or OSError unless a series can be written to the output."""
    from sinograd.io.volumes.dicom.writer import check_series_path

    if request.output.suffix:
        raise InputError(f"cannot write {request.output}: DICOM slices are written as such, `output` must be a folder")
    check_series_path(request.output, _series(request.input), force=request.force)


def write_output(request: DenoiseRequest, volume: torch.Tensor, saved: SavedModel | SavedNetwork) -> None:
    """The slices with the headers of the input; warnings are lines."""
    from sinograd.io.volumes.dicom.writer import write_series

    name = Path(request.model).name
    derivation = f"denoised by the model {name}" + f" ({saved.model.name})" * (name != saved.model.name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_series(
            volume, request.output, _series(request.input), derivation=derivation, label=name, force=request.force
        )
    _tell(caught)


@lru_cache(maxsize=1)
def _series(path: Path) -> DicomSeries:
    from sinograd.io.volumes.dicom.series import read_series

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        series = read_series(path)
    _tell(caught)
    return series


def _check_unit(model: str, module: nn.Module, saved: SavedModel | SavedNetwork) -> None:
    unit = saved.trained_on.get("unit")
    scale = _scale(module)
    if unit is None and scale is not None and abs(scale) < _LEAST_SCALE:
        unit = f"1/mm (what counts as 1 in it is {scale:.3g})"
    if unit not in (None, "HU"):
        raise InputError(f"{model} ({saved.model.name}) is for values in {unit}, DICOM slices are in HU")


def _scale(module: Any) -> float | None:
    """What counts as 1 in a model, where it tells."""
    for part in module.modules():
        for name in ("input_scale", "scale"):
            value = getattr(part, name, None)
            if value is not None:
                return float(value)
    return None


def _tell(caught: list[warnings.WarningMessage]) -> None:
    for warning in caught:
        typer.secho(f"warning: {warning.message}", fg="yellow", err=True)
