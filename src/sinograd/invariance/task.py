"""What the tasks of this package share: crops in HU, the denoised ones beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, FileError, InputError, UnitError
from sinograd.invariance.denoisers import CONTROLS, PAIRED, Control, KnownDenoiser, known_denoiser
from sinograd.invariance.model_files import Held, model_path, save_invariance
from sinograd.invariance.sampler import condition_of
from sinograd.invariance.vae import DEVIATION_HU, ConditionalVAE
from sinograd.training.data import ScanStack, Stack
from sinograd.training.model_config import ModelConfig
from sinograd.training.task_config import TaskConfig
from sinograd.training.tasks.task import Task

DenoiserChoice = Control | Literal["paired"] | Path  # pyright: ignore
_TILES = 64  # crops that are validated at once


@dataclass(frozen=True)
class InvarianceConfig(TaskConfig):
    """What they share: crops in HU, and no denoiser comes out."""

    needs_target: ClassVar[bool] = False
    denoises: ClassVar[bool] = False

    @property
    def takes_targets(self) -> bool:
        """Whether the denoised images come with the data."""
        return str(getattr(self, "denoiser", None)) == PAIRED

    def check_item(self, item: Stack | ScanStack | PairedVolume, *, trained: bool) -> None:
        """UnitError for volumes that are not in HU; InputError without the targets that the denoiser has made."""
        if isinstance(item, PairedVolume) and item.unit != "HU":
            raise UnitError(f"{item.name}: expected values in HU, which are normalised, the volume is in {item.unit}")
        if self.takes_targets and item.target is None:
            raise InputError(f"{item.name}: the denoiser is {PAIRED}, expected its images as targets")

    def check_batch(self, batch: Callable[[], Stack | ScanStack]) -> None:
        """InputError for a denoiser whose output has another shape or is not finite, before anything is trained."""
        denoiser = checked_denoiser(getattr(self, "denoiser", None), getattr(self, "own", None))
        if denoiser is None or denoiser.call is None:
            return
        stack = batch()
        assert isinstance(stack, Stack)
        condition_of(denoiser, _images(stack.input), None)

    def pairs(self, pairs: Sequence[PairedVolume]) -> Sequence[PairedVolume]:
        """Without targets that are not needed."""
        return pairs if self.takes_targets else [replace(p, inputs=p.inputs[:1], target=None) for p in pairs]

    def held(self, model: Any) -> Held:
        """What the file of a trained model holds."""
        raise NotImplementedError

    def save(
        self, model: nn.Module, path: Path, *, trained_on: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> None:
        """Beside the denoiser that it was trained for."""
        save_invariance(self.held(model), path, trained_on=trained_on, provenance=provenance, force=True)


class CropTask(Task):
    """Losses of crops [..., Y, X] in HU; `size` is that of the crops, `least` how many the loss needs."""

    least: ClassVar[int] = 1

    def __init__(self, model: nn.Module, denoiser: KnownDenoiser | None, size: int) -> None:
        super().__init__(model, DEVIATION_HU)
        self.denoiser, self.size = denoiser, size

    def crops(self, stack: Stack | ScanStack) -> tuple[Tensor, Tensor | None]:
        """Inputs and targets, [B, 1, size, size] in HU; InputError for another size."""
        assert isinstance(stack, Stack)
        if tuple(stack.input.shape[-2:]) != (self.size, self.size):
            raise InputError(
                f"{stack.name}: expected crops of {self.size} x {self.size}, got {list(stack.input.shape)}: give "
                "data.patches of that size"
            )
        return _images(stack.input), None if stack.target is None else _images(stack.target)

    def condition(self, x: Tensor, target: Tensor | None) -> Tensor | None:
        """The normalised denoised images of crops in HU; None without a denoiser."""
        return None if self.denoiser is None else ConditionalVAE.normalise(condition_of(self.denoiser, x, target))

    def loss_of_crops(self, x: Tensor, target: Tensor | None, generator: torch.Generator) -> Tensor:
        """The loss that is validated, [], of crops in HU."""
        raise NotImplementedError

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The mean over the tiles that slices are cut into; InputError for smaller ones."""
        assert isinstance(stack, Stack)
        x, target = tiles(stack.input, self.size), None if stack.target is None else tiles(stack.target, self.size)
        if len(x) < self.least:
            words = f"slices with {self.least} or more crops of {self.size}^2"
            raise InputError(f"{stack.name}: expected {words}, got {list(stack.input.shape)}")
        total, parts = x.new_zeros(()), x.split(_TILES)
        targets = [None] * len(parts) if target is None else target.split(_TILES)
        for part, wanted in zip(parts, targets, strict=True):
            total = total + len(part) * self.loss_of_crops(part, wanted, generator)
        return total / len(x)


def tiles(slices: Tensor, size: int) -> Tensor:
    """[..., Y, X] to the whole squares of `size` in its middle, [N, 1, size, size]."""
    images = slices.reshape(-1, *slices.shape[-2:])
    first = [(n - n // size * size) // 2 for n in images.shape[1:]]
    held = images[:, first[0] :, first[1] :].unfold(1, size, size).unfold(2, size, size)
    return held.reshape(-1, 1, size, size)


def checked_denoiser(choice: DenoiserChoice | None, own: Any) -> KnownDenoiser | None:
    """The denoiser of a configuration; ConfigError where there are two, or none where that cannot be."""
    if choice is not None and own is not None:
        raise ConfigError("task.denoiser: expected a name or file, or `own` in Python, got both")
    chosen: Any = own if choice is None else choice
    return None if chosen is None else in_task(lambda: known_denoiser(chosen))


@functools.lru_cache(maxsize=16)
def _loaded(load: Callable[[Path], Any], path: Path, changed: int) -> Any:
    return load(path)


def loaded(load: Callable[[Path], Any], path: Path, key: str) -> Any:
    """What `load` makes of a model's file or folder; read once as long as it stays as it is. Errors as `in_task`."""
    return in_task(lambda: _loaded(load, path, model_path(path).stat().st_mtime_ns), key)


def in_task(load: Callable[[], Any], key: str = "denoiser") -> Any:
    """What `load` gives; its errors name the key of the task, that of the denoiser where they begin with it."""
    try:
        return load()
    except FileError as error:
        raise type(error)(_named(error, key)) from error
    except InputError as error:
        raise ConfigError(_named(error, key)) from error


def _named(error: Exception, key: str) -> str:
    text = str(error)
    return f"task.{text}" if text.startswith("denoiser") else f"task.{key}: {text.removeprefix('weights: ')}"


def files_of(*choices: Path | str | None) -> tuple[Path, ...]:
    """The files among denoisers and models."""
    found = []
    for choice in choices:
        if choice is None or str(choice) in (*CONTROLS, PAIRED):
            continue
        path = Path(choice)
        names = [path / name for name in ("model.pt", "model.yaml")] if path.is_dir() else [path]
        found += [name for name in names if name.is_file()][:1]
    return tuple(found)


def check_size(what: str, expected: tuple[int, ...], got: tuple[int, ...], model: ModelConfig) -> None:
    """ConfigError unless latent and crop size of a model are those of what it is trained for."""
    if expected != got:
        latent, size = expected
        raise ConfigError(
            f"model: {what} has {latent} latents of crops of {size}^2, expected latent: {latent} and condition_size: "
            f"{size} of {model.name}, got {got[0]} and {got[1]}"
        )


def _images(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, *values.shape[-2:])
