"""Modules, losses, optimisers and pairs that exist in Python, as a configuration and data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.config.own_code import path_of
from sinograd.config.schema import from_plain
from sinograd.data import Volume
from sinograd.datasets import PairedVolume, PatchesSpec
from sinograd.errors import ConfigError, InputError, InputTypeError
from sinograd.training.config import Config, as_config
from sinograd.training.data import ScanStack, TrainingData
from sinograd.training.data_config import Data
from sinograd.training.model_config import ModelConfig
from sinograd.training.models.own import own_model
from sinograd.training.optimizer_config import OwnOptimizer
from sinograd.training.task_config import LossChoice, task_schema

Source = Config | Mapping[str, Any] | str | os.PathLike[str]
Pairs = Sequence[Any]

_PATCH, _PER_BATCH = 64, 16


@dataclass(frozen=True)
class _Chosen:
    loss: LossChoice


@dataclass(frozen=True)
class OwnWork:
    """Arguments of `train` that are objects: what replaces parts of a configuration.

    Attributes:
        model: any module; see `train`.
        loss: a name, a mapping, or a function of prediction and target.
        optimizer: a torch optimiser, or a function that makes one of parameter groups.
        pairs, validation_pairs: `PairedVolume`s, or (noisy, clean) tuples of tensors or volumes [Z, Y, X].
        patches: their size, or the keys of `patches` in a configuration.
    """

    model: nn.Module | None = None
    loss: Any = None
    optimizer: Any = None
    pairs: Pairs | None = None
    validation_pairs: Pairs | None = None
    patches: int | Mapping[str, Any] | None = None

    def merged(
        self, config: Source | None, data: TrainingData | None, *, allow_import: bool
    ) -> tuple[Config, TrainingData | None]:
        """The configuration with these objects in it, checked, and the data.

        Raises InputError or InputTypeError for arguments that do not go together, and as `as_config`.
        """
        if self.pairs is not None:
            if data is not None:
                raise InputError("pairs: expected `pairs` or `data`, got both")
            data = TrainingData(
                paired(self.pairs, "pairs"), paired(self.validation_pairs or (), "validation_pairs", "validation ")
            )
        elif self.validation_pairs is not None:
            raise InputError("validation_pairs: goes with `pairs`")
        if config is None and self.model is None:
            raise InputError("config: expected a configuration, or a `model`")
        made = _without_checks(config)
        if self.model is not None:
            made = dataclasses.replace(made, model=self._model(made, data))
            if config is None or not _names_task(config):
                name = "dual-domain" if made.model.takes_scans else "supervised"
                made = dataclasses.replace(made, task=task_schema(name)(name=name))
        if self.loss is not None:
            made = dataclasses.replace(made, task=_with_loss(made, self.loss))
        if self.optimizer is not None:
            made = dataclasses.replace(made, optimizer=_optimizer(made, self.optimizer))
        patches = self._patches(made, data)
        if patches is not None:
            held = made.data or Data()
            made = dataclasses.replace(made, data=dataclasses.replace(held, patches=patches))
        try:
            return as_config(made, allow_import=allow_import), data
        except ConfigError as error:
            if isinstance(config, str | os.PathLike):
                raise ConfigError(f"{os.fspath(config)}: {error}") from error
            raise

    def _model(self, config: Config, data: TrainingData | None) -> ModelConfig:
        if not isinstance(self.model, nn.Module):
            raise InputTypeError(f"model: expected a torch.nn.Module, got {type(self.model).__name__}")
        scans = data is not None and any(isinstance(item, ScanStack) for item in data.training)
        path = path_of(type(getattr(self.model, "network", self.model)))
        return own_model(self.model, path, "scans" if scans or config.task.takes_scans else "volumes")

    def _patches(self, config: Config, data: TrainingData | None) -> PatchesSpec | None:
        if isinstance(self.patches, Mapping):
            return from_plain(PatchesSpec, self.patches, "patches")
        if self.patches is not None:
            return from_plain(PatchesSpec, {"size": self.patches, "per_batch": _PER_BATCH}, "patches")
        if self.pairs is None or (config.data is not None and config.data.patches is not None):
            return None
        assert data is not None
        shapes = [item.shape for item in data.training if isinstance(item, PairedVolume)]
        size: Any = [min(_PATCH, *(shape[axis] for shape in shapes)) for axis in (-3, -2, -1)]
        return PatchesSpec(size=tuple(size) if config.model.ndim == 3 else tuple(size[1:]), per_batch=_PER_BATCH)


def paired(pairs: Pairs, name: str, prefix: str = "") -> list[PairedVolume]:
    """`PairedVolume`s as they are; of (noisy, clean) tuples some with numbers for names and patients."""
    found = []
    for number, pair in enumerate(pairs):
        if isinstance(pair, PairedVolume):
            found.append(pair)
            continue
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            got = f"{len(pair)} things" if isinstance(pair, tuple | list) else f"a {type(pair).__name__}"
            raise InputTypeError(f"{name}[{number}]: expected a PairedVolume or (noisy, clean), got {got}")
        for part in pair:
            if not isinstance(part, Volume | Tensor):
                raise InputTypeError(f"{name}[{number}]: expected tensors or volumes, got a {type(part).__name__}")
        units = {part.unit for part in pair if isinstance(part, Volume) and part.unit is not None}
        if len(units) > 1:
            raise InputError(f"{name}[{number}]: expected one unit, got {' and '.join(sorted(units))}")
        title = f"{prefix}pair {number}"
        noisy, clean = (part[None] if isinstance(part, Tensor) and part.ndim == 2 else part for part in pair)
        found.append(PairedVolume(title, title, (noisy,), clean, next(iter(units), "1")))
    return found


def _without_checks(config: Source | None) -> Config:
    """The configuration, whose parts are checked later, with the objects in it."""
    from sinograd.training.config import read_config

    if config is None:
        return Config()
    if isinstance(config, Config):
        return config
    return from_plain(Config, config) if isinstance(config, Mapping) else read_config(config)


def _names_task(config: Source) -> bool:
    return not isinstance(config, Mapping) or "task" in config


def _with_loss(config: Config, loss: Any) -> Any:
    if "loss" not in {f.name for f in dataclasses.fields(config.task)}:
        raise ConfigError(f"loss: the task {config.task.name} has none")
    if isinstance(loss, str | Mapping):
        loss = from_plain(_Chosen, {"loss": loss}).loss
    elif not callable(loss):
        raise InputTypeError(f"loss: expected a name, a mapping or a function, got {type(loss).__name__}")
    return dataclasses.replace(config.task, **{"loss": loss})


def _optimizer(config: Config, optimizer: Any) -> OwnOptimizer:
    if not isinstance(optimizer, torch.optim.Optimizer) and not callable(optimizer):
        expected = "a torch.optim.Optimizer, or a function that makes one of parameter groups"
        raise InputTypeError(f"optimizer: expected {expected}, got {type(optimizer).__name__}")
    held = config.optimizer
    return OwnOptimizer(
        path=path_of(optimizer), learning_rates=held.learning_rates, schedule=held.schedule, optimizer=optimizer
    )
