"""Methods that are compared: trained models, classical filters, any function of a volume."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sinograd.data.units import AIR
from sinograd.datasets import PairedVolume
from sinograd.errors import InputError
from sinograd.models import DualDomainBilateral, filter_in_place, read_model
from sinograd.models.bilateral import is_bilateral_stack
from sinograd.models.classical import bm3d, bm4d, has_package
from sinograd.models.classical_tuning import TUNABLE, tune
from sinograd.models.estimated_noise import ESTIMATED

Denoise = Callable[[Tensor], Tensor]
INPUT = "input"


@dataclass(frozen=True, eq=False)
class Method:
    """A way to denoise.

    Attributes:
        name: in tables, unique.
        prepare: called with the noisy volume and its target, [Z, Y, X] float32 on the device; returns what is then
            applied to the volume (and timed), which must not change it.
        parameters: how many numbers were trained; None where nothing was.
        oracle: whether `prepare` looks at the target: a bound, no method that could be used.
        warm_up: called with the first slice [1, Y, X] before anything is timed, so that what is loaded and chosen once
            is not counted.
        unit: of the values that it was trained on, "HU" or "1/mm"; None: not known, or any.
        note: what its row in tables says beside the name, such as random weights in the loss of its training.
        of_pair: instead of `prepare`, for what does not start from the noisy volume: called with the pair and the
            number of its realisation.
        check: called with all pairs before anything is scored; raises what is wrong with them.
        timed: whether time and memory say something.
    """

    name: str
    prepare: Callable[[Tensor, Tensor], Denoise]
    parameters: int | None = None
    oracle: bool = False
    warm_up: Denoise | None = None
    unit: str | None = None
    note: str = ""
    of_pair: Callable[[PairedVolume, int], Denoise] | None = None
    check: Callable[[list[PairedVolume]], None] | None = None
    timed: bool = True

    @staticmethod
    def of(name: str, function: Denoise, parameters: int | None = None, *, warm_up: bool = False) -> Method:
        """A function of a volume [Z, Y, X] that returns another; it must not change its argument.

        warm_up: call it with one slice before it is timed.
        """
        return Method(name, lambda volume, target: function, parameters, warm_up=function if warm_up else None)

    @staticmethod
    def of_module(name: str, module: nn.Module, device: str | torch.device = "cpu") -> Method:
        """A trained denoiser of volumes [Z, Y, X] in the unit of the data, moved to the device.

        Raises InputError for a `DualDomainBilateral`, which starts from projections: `evaluation.from_scans`.
        """
        if isinstance(module, DualDomainBilateral):
            raise InputError(f"{name}: the model starts from projections: give its scans (`evaluation.from_scans`)")
        module = module.to(device).eval()
        parameters = sum(p.numel() for p in module.parameters())
        if is_bilateral_stack(module):
            assert isinstance(module, nn.Sequential)
            return Method.of(name, lambda volume: filter_in_place(module, volume.clone()), parameters, warm_up=True)
        return Method.of(name, module, parameters, warm_up=True)


def unchanged() -> Method:
    """The noisy volume as it is, named "input"."""
    return Method.of(INPUT, lambda volume: volume)


def classical_names() -> list[str]:
    """Filters that `find_method` knows by name; those whose packages are missing, too."""
    return [*TUNABLE, *ESTIMATED]


def find_method(
    name_or_path: str | os.PathLike[str], device: str | torch.device = "cpu", *, scans: str | None = None
) -> Method:
    """A classical filter by name, tuned on each image by its target unless it says otherwise, a trained model, or
    volumes that any program has made.

    Args:
        name_or_path: gaussian, median, bilateral, bm3d (2-D, slice by slice), gaussian-3d, median-3d, bilateral-3d,
            bm4d; bilateral-estimated, bm3d-estimated, bm4d-estimated and ksvd, which estimate the noise and look at no
            target; "input" for the noisy volume itself; or, as for `sinograd.models.load_model`, the name of a model
            that comes along, a model file, or the folder of a training run; or a volume file, with `{name}`, `{stem}`,
            `{patient}` where there are several (`finished_volumes`). NAME=PATH names it in the tables.
        device: where the model runs.
        scans: the scans of models that start from projections, likewise (`from_scans`).

    Raises:
        ValueError: an unknown name, a filter whose package is missing, a file that is neither model nor volume, or a
            model that starts from projections without `scans`.
    """
    text = os.fspath(name_or_path)
    if text == INPUT:
        return unchanged()
    package = text.removesuffix("-estimated")
    if not has_package(package):
        {"bm3d": bm3d, "bm4d": bm4d}[package](torch.zeros(1, 1, 1), sigma=1.0)  # raises what says so
    if text in ESTIMATED:
        return Method.of(text, ESTIMATED[text])
    if text in TUNABLE:
        return Method(text, lambda volume, target: tune(text, volume, target), oracle=True)
    title, _, path = text.rpartition("=") if not Path(text).exists() else ("", "", text)
    from sinograd.evaluation.made_elsewhere import finished_volumes, from_scans, is_pattern

    if is_pattern(path):
        return finished_volumes(title or Path(path).suffix.lstrip(".") or path, path)
    try:
        saved = read_model(path)
    except FileNotFoundError as error:
        raise InputError(
            f"no method {path!r}: expected one of {INPUT}, {', '.join(classical_names())}, a model ({error}), a volume"
        ) from error
    except InputError:
        if not _is_volume(path):
            raise
        return finished_volumes(title or Path(path).name, path)
    built = saved.build()
    if isinstance(built, DualDomainBilateral) and scans is not None:
        return from_scans(title or _short(path), built, scans)
    unit, notes = saved.trained_on.get("unit"), saved.trained_on.get("notes")
    method = Method.of_module(title or _short(path), built, device)
    note = "; ".join(map(str, notes)) if isinstance(notes, list) else ""
    return replace(method, unit=unit if unit in AIR else None, note=note)


def _is_volume(path: str) -> bool:
    from sinograd.io import open_volume

    try:
        open_volume(path)
    except InputError:
        return False
    return True


def _short(path: str) -> str:
    """The file's name without its suffix; that of the run's folder for the files in it."""
    file = Path(path)
    return (
        file.parent.resolve().name
        if file.stem == "model"
        else file.stem
        if file.suffix in (".yaml", ".yml", ".pt")
        else file.name
    )
