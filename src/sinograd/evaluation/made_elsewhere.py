"""Methods of the table that are no functions of the noisy volume: volumes that any program has made, and models that
start from projections.

Their files follow from the pairs: a path, in which `{name}`, `{stem}` (the name without a file's suffix), `{patient}`
and `{realisation}` (0 for the first) stand for those of each noisy volume.

An .npy file as NumPy writes it, without a YAML file beside it, has the voxels and the unit of the noisy volume.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sinograd.data import Scan, Volume
from sinograd.datasets import PairedVolume, check_unit
from sinograd.errors import FormatError, InputError
from sinograd.evaluation.methods import Denoise, Method
from sinograd.geometry import Geometry, Grid
from sinograd.io.storage.npy import check_npy
from sinograd.models import DualDomainBilateral

Reconstruct = Callable[[Tensor, Geometry, Grid], Tensor]
_FIELDS = ("{name}", "{stem}", "{patient}", "{realisation}")


def is_pattern(text: str) -> bool:
    """Whether a path has fields for the name of a volume."""
    return any(field in text for field in _FIELDS)


def path_for(pattern: str, pair: PairedVolume, realisation: int = 0) -> Path:
    """The path of one noisy volume."""
    name = pair.name.replace("/", "-")
    values = (name, Path(name).stem if "." in name else name, pair.patient.replace("/", "-"), str(realisation))
    for field, value in zip(_FIELDS, values, strict=True):
        pattern = pattern.replace(field, value)
    return Path(pattern)


def finished_volumes(name: str, pattern: str | os.PathLike[str]) -> Method:
    """Volumes that stand in files, one for each noisy volume, in their unit and on their voxels.

    No time or memory is known of them.

    Raises, before anything is scored: InputError, FileNotFoundError, UnitError: a file that is missing or no volume, of
    another size, voxel size or unit, with values that are not finite; one file for several volumes.
    """
    text = os.fspath(pattern)

    def opened(pair: PairedVolume, realisation: int) -> Volume:
        path = path_for(text, pair, realisation)
        found = PairedVolume(f"{name} ({path})", pair.patient, (_opened(path),), pair.target, pair.unit)
        return check_unit(found).inputs[0]

    def check(pairs: list[PairedVolume]) -> None:
        _check_distinct(name, text, pairs)
        for pair in pairs:
            for realisation in range(len(pair.inputs)):
                opened(pair, realisation)

    def of_pair(pair: PairedVolume, realisation: int) -> Denoise:
        return lambda volume: opened(pair, realisation).read(0, pair.shape[0]).to(volume)

    return Method(name, _unused, check=check, of_pair=of_pair, timed=False)


def from_scans(
    name: str,
    model: nn.Module | Reconstruct,
    scans: str | os.PathLike[str] | Callable[[PairedVolume, int], Scan],
    *,
    parameters: int | None = None,
) -> Method:
    """A model from projections to volumes: dual-domain ones, unrolled ones, any function.

    Args:
        name: in tables.
        model: a `DualDomainBilateral`, another module of projections (such as `layers.Unrolled` of this geometry), or a
            function of (projections, geometry, grid); makes [Z, Y, X] on the grid of the noisy volume, in 1/mm.
        scans: the low-dose scan of each noisy volume: a path with fields, or a function of pair and realisation.
        parameters: of a function, if it has any.

    Raises, before anything is scored: InputError for pairs that are not in 1/mm or whose voxels have no place, missing
    scans, scans of detector values.
    """
    source = scans if callable(scans) else None
    text = "" if callable(scans) else os.fspath(scans)
    if isinstance(model, nn.Module):
        parameters = sum(p.numel() for p in model.parameters())

    def opened(pair: PairedVolume, realisation: int) -> Scan:
        from sinograd.io import read

        scan = read(path_for(text, pair, realisation)) if source is None else source(pair, realisation)
        if scan.kind != "line integrals":
            raise InputError(f"{name}: {pair.name}: expected a scan of line integrals, got {scan.kind}")
        return scan

    def check(pairs: list[PairedVolume]) -> None:
        if source is None:
            _check_distinct(name, text, pairs)
        for pair in pairs:
            if pair.unit != "1/mm":
                raise InputError(
                    f"{name}: starts from projections, expected volumes in 1/mm, got {pair.unit} ({pair.name})"
                )
            if pair.spacing is None:
                raise InputError(f"{name}: starts from projections, and the voxel size of {pair.name} is not known")
            for realisation in range(len(pair.inputs)):
                opened(pair, realisation)

    def of_pair(pair: PairedVolume, realisation: int) -> Denoise:
        scan, grid = opened(pair, realisation), pair.inputs[realisation].grid
        projections = torch.as_tensor(scan.load(slice(None)), dtype=torch.float32)
        return lambda volume: _volume(model, projections.to(volume.device), scan.geometry, grid)

    return Method(name, _unused, parameters, check=check, of_pair=of_pair)


def _opened(path: Path) -> Volume | Tensor:
    """A volume; the values alone of an .npy file without a YAML file."""
    from sinograd.io import open_volume

    if path.suffix != ".npy" or not path.is_file() or path.with_suffix(".yaml").exists():
        return open_volume(path)
    try:
        check_npy(path)
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path} is truncated or damaged: {error}") from error
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3):
        raise FormatError(f"{path}: expected real numbers [Z, Y, X] or [Y, X], got {array.dtype} {list(array.shape)}")
    return torch.from_numpy(np.array(array, dtype=np.float32).reshape(-1, *array.shape[-2:]))


def _volume(model: nn.Module | Reconstruct, projections: Tensor, geometry: Geometry, grid: Grid) -> Tensor:
    if isinstance(model, DualDomainBilateral):
        return model.over(geometry, grid)(projections)
    return model(projections) if isinstance(model, nn.Module) else model(projections, geometry, grid)


def _check_distinct(name: str, pattern: str, pairs: list[PairedVolume]) -> None:
    """InputError where several noisy volumes would have one file."""
    files: dict[Path, str] = {}
    for pair in pairs:
        for realisation in range(len(pair.inputs)):
            path = path_for(pattern, pair, realisation)
            if path in files:
                fields = ", ".join(_FIELDS)
                raise InputError(
                    f"{name}: {path} for both {files[path]} and {pair.name}: expected a path for each, with {fields}"
                )
            files[path] = pair.name


def _unused(volume: Tensor, target: Tensor) -> Denoise:
    raise AssertionError("these methods look at the pair")
