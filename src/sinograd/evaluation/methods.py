"""Methods that are compared: trained models, classical filters, any function of a volume."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sinograd.data.units import AIR
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
    """

    name: str
    prepare: Callable[[Tensor, Tensor], Denoise]
    parameters: int | None = None
    oracle: bool = False
    warm_up: Denoise | None = None
    unit: str | None = None
    note: str = ""

    @staticmethod
    def of(name: str, function: Denoise, parameters: int | None = None, *, warm_up: bool = False) -> Method:
        """A function of a volume [Z, Y, X] that returns another; it must not change its argument.

        warm_up: call it with one slice before it is timed.
        """
        return Method(name, lambda volume, target: function, parameters, warm_up=function if warm_up else None)

    @staticmethod
    def of_module(name: str, module: nn.Module, device: str | torch.device = "cpu") -> Method:
        """A trained denoiser of volumes [Z, Y, X] in the unit of the data, moved to the device.

        Raises ValueError for a `DualDomainBilateral`, which starts from projections.
        """
        if isinstance(module, DualDomainBilateral):
            raise InputError(f"{name}: the model starts from projections, expected one that denoises volumes")
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


def find_method(name_or_path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Method:
    """A classical filter by name, tuned on each image by its target unless it says otherwise, or a trained model.

    Args:
        name_or_path: gaussian, median, bilateral, bm3d (2-D, slice by slice), gaussian-3d, median-3d, bilateral-3d,
            bm4d; bilateral-estimated, bm3d-estimated, bm4d-estimated and ksvd, which estimate the noise and look at no
            target; "input" for the noisy volume itself; or, as for `sinograd.models.load_model`, the name of a model
            that comes along, a model file, or the folder of a training run. NAME=PATH names a model in the tables.
        device: where the model runs.

    Raises:
        ValueError: an unknown name, a filter whose package is missing, a file that is no model, or a model that
            starts from projections.
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
    try:
        saved = read_model(path)
    except FileNotFoundError as error:
        raise InputError(
            f"no method {path!r}: expected one of {INPUT}, {', '.join(classical_names())}, or a model ({error})"
        ) from error
    unit, notes = saved.trained_on.get("unit"), saved.trained_on.get("notes")
    method = Method.of_module(title or _short(path), saved.build(), device)
    note = "; ".join(map(str, notes)) if isinstance(notes, list) else ""
    return replace(method, unit=unit if unit in AIR else None, note=note)


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
