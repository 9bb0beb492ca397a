"""The configuration of a training run: one YAML file, or the same as Python objects. This page is its schema.

    seed: 0                       # everything random follows from it
    device: cpu                   # or cuda, cuda:1 ...
    devices: 1                    # processes that torchrun started, each with a part of every batch
    precision: float32            # of what networks compute: on a GPU also float16 and bfloat16
    output: runs/three-filters    # folder of the run; left out: nothing is written (Python only)
    task:
      name: supervised            # or noise2noise, noise2void, dual-domain; options and losses: `task_config`
    data:                         # stacks of slices, or patches of paired volumes: `data_config`
      training:
      - {input: low.h5, target: normal.h5, region: {z: [100, 115]}}
    model:
      name: bilateral             # or dual-domain-bilateral, or a network: `model_config`
      filters: 3
    optimizer:
      name: adam
      learning_rates: {spatial: 0.01, range: 0.005}   # one for each parameter group; of networks: {network: 1.0e-4}
      schedule: null              # or cosine, exponential, step, plateau; options: `schedules`
    stop:
      max_steps: 5000
      early_stopping: {patience: 500, min_change: 1.0e-4}   # null: none
      keep: best                  # weights of the lowest validation loss (best), without one the last; or last
    validation: {every: 50, slices: null}   # slices of each paired volume, evenly spaced; null: all
    checkpoints: {every: 100}     # steps; a killed run resumes from the last one

Paths are relative to the file's folder. Lengths in mm, attenuation in 1/mm. Losses are in units of the model's
`input_scale` (dual-domain: `image_scale`, networks: `scale`), squared for squared errors, so that the learning rates
mean the same for any data.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from sinograd.choices import MODELS
from sinograd.config.own_code import importing
from sinograd.config.regular_files import check_file
from sinograd.config.schema import NOT_NEGATIVE, from_plain, to_plain
from sinograd.config.yaml import dump_yaml, load_yaml
from sinograd.datasets import with_absolute_paths
from sinograd.errors import ConfigError, FormatError
from sinograd.training.data_config import Data, Region, StackFiles, check_data
from sinograd.training.model_config import Count, Model, model_schema
from sinograd.training.optimizer_config import Adam, OptimizerConfig, OwnOptimizer, Sgd
from sinograd.training.plateau import Plateau
from sinograd.training.task_config import LATER, TaskChoice, supervised

__all__ = [
    "Adam",
    "Config",
    "Data",
    "EarlyStopping",
    "Every",
    "OwnOptimizer",
    "Plateau",
    "Region",
    "Sgd",
    "StackFiles",
    "Stop",
    "Validation",
    "as_config",
    "check_config",
    "config_hash",
    "load_config",
    "save_text",
]

_PARTS = "task", "model", "data"  # that name files


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the loss (validation, if there is any) did not fall.

    Attributes:
        patience: steps without a fall.
        min_change: share of the loss by which it has to fall.
    """

    patience: Count = 500
    min_change: Annotated[float, NOT_NEGATIVE] = 1e-4


@dataclass(frozen=True)
class Stop:
    """When training ends and which weights it keeps.

    Attributes:
        max_steps: steps at most.
        early_stopping: ends earlier if the loss does not fall; null: never.
        keep: weights of the lowest validation loss, or the last; without validation the last.
    """

    max_steps: Count = 5000
    early_stopping: EarlyStopping | None = field(default_factory=EarlyStopping)
    keep: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class Every:
    """An interval.

    Attributes:
        every: steps; a killed run resumes from the last checkpoint.
    """

    every: Count


@dataclass(frozen=True)
class Validation:
    """When the validation data are measured, and how much of them.

    Attributes:
        every: steps.
        slices: of each paired volume, evenly spaced; null: all.
        at: steps after which they are measured, instead of every so many.
    """

    every: Count = 50
    slices: Count | None = None
    at: tuple[Count, ...] | None = field(default=None, metadata=LATER)

    def due(self, step: int) -> bool:
        """Whether they are measured after this step."""
        return step % self.every == 0 if self.at is None else step in self.at


@dataclass(frozen=True)
class Config:
    """A training run.

    Attributes:
        task: what is compared with what.
        model: what is trained.
        data: what it is trained on; null in Python, if `train` gets tensors.
        optimizer: adam or sgd, learning rates and their schedule.
        stop: when training ends.
        validation: when the validation loss is measured.
        checkpoints: when the state of the run is saved.
        seed: everything random follows from it.
        device: cpu, cuda, cuda:1 ...
        devices: processes that torchrun started, each with a part of every batch.
        precision: of what networks compute; float16 needs a GPU.
        output: folder of the run; null in Python: nothing is written.
    """

    task: TaskChoice = field(default_factory=supervised)
    model: Model = field(default_factory=lambda: model_schema("bilateral")(name="bilateral"))
    data: Data | None = None
    optimizer: OptimizerConfig = field(default_factory=Adam)
    stop: Stop = field(default_factory=Stop)
    validation: Validation = field(default_factory=Validation)
    checkpoints: Every = field(default_factory=lambda: Every(100))
    seed: Annotated[int, NOT_NEGATIVE] = 0
    device: str = "cpu"
    devices: Count = 1
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    output: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", self.model.started(self.task.starts_from_noise))


def load_config(path: str | os.PathLike[str], *, allow_import: bool = False) -> Config:
    """Read a configuration file; paths in it become absolute.

    Args:
        path: of the file.
        allow_import: import code that it names (`own` models and losses), from the file's folder, too.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: not YAML, or an unknown, missing or wrong key: names the file, the key path, the expected and
            the actual value.
    """
    config = read_config(path)
    try:
        with importing(allow_import, Path(path).resolve().parent):
            check_config(config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def read_config(path: str | os.PathLike[str]) -> Config:
    """As `load_config`, but of each key alone: whether keys fit together and code can be imported is not checked."""
    file = Path(path)
    check_file(file, f"no configuration file at {file}")
    try:
        data = load_yaml(file)
    except FormatError as error:
        raise ConfigError(str(error)) from error
    try:
        return _absolute(from_plain(Config, {} if data is None else data), file.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def check_config(config: Config) -> None:
    """Types and values of a configuration made in Python, and whether its parts fit; raises ConfigError."""
    from_plain(Config, to_plain(config))
    config.task.check()
    if config.task.takes_scans != config.model.takes_scans:
        takes = "scans" if config.task.takes_scans else "volumes"
        if config.model.name == "own":
            raise ConfigError(f"model.starts_from: expected {takes} for the task {config.task.name}")
        fitting = " or ".join(entry.name for entry in MODELS.entries() if entry.about.get("takes") == takes)
        rest = "" if config.task.takes_scans else " (or a network)"
        raise ConfigError(
            f"model.name: expected {fitting} for the task {config.task.name}{rest}, got {config.model.name}"
        )
    _check_together(config)
    config.model.check()
    config.task.check_model(config.model)
    if config.data is not None:
        check_data(config.data, config.task, config.model)
    groups = {**config.model.learning_rates(), **config.task.learning_rates()}
    for name in config.optimizer.learning_rates:
        if name not in groups:
            raise ConfigError(
                f"optimizer.learning_rates.{name}: the model {config.model.name} has no such parameter group, "
                f"expected some of {', '.join(sorted(groups))}"
            )
    if config.precision != "float32":
        if not config.model.single_precision:
            raise ConfigError(f"precision: expected float32 for the model {config.model.name}, got {config.precision}")
        if config.precision == "float16" and not config.device.startswith("cuda"):
            raise ConfigError(f"precision: float16 needs a GPU (device: cuda), got device: {config.device}")


def _check_together(config: Config) -> None:
    """ConfigError for a model that other tasks train, or a task that trains other models."""
    task, model = config.task, config.model
    if model.tasks is not None and task.name not in model.tasks:
        raise ConfigError(f"task.name: expected {' or '.join(model.tasks)} for the model {model.name}, got {task.name}")
    if task.models is not None and model.name not in task.models:
        raise ConfigError(f"model.name: expected {' or '.join(task.models)} for the task {task.name}, got {model.name}")


def save_text(config: Config) -> str:
    """The configuration as YAML, every key written out; `load_config` reads it."""
    return dump_yaml(to_plain(config))


def config_hash(config: Config) -> str:
    """SHA-256 of all keys but the output folder; of data files the names alone, wherever they are.

    Keys that came after 0.1 count where they are not the default, and a default that became "auto" counts as the number
    that it was, so that older runs keep their hashes.
    """
    nameless = dataclasses.replace(
        config, **{name: _names_alone(getattr(config, name)) for name in _PARTS}, output=None
    )
    plain = {key: value for key, value in to_plain(nameless).items() if key != "output"}
    for part in ("task", "model", "optimizer", "validation"):
        for f in dataclasses.fields(getattr(config, part)):
            if f.metadata.get("later") and plain[part][f.name] == to_plain(f.default):
                del plain[part][f.name]
            elif "hashed" in f.metadata and plain[part][f.name] == f.default:
                plain[part][f.name] = f.metadata["hashed"]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _names_alone(value: Any) -> Any:
    """The same with the last part of every path."""
    if isinstance(value, Path):
        return Path(value.name)
    if isinstance(value, tuple):
        return tuple(_names_alone(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not callable(value):
        return dataclasses.replace(
            value, **{f.name: _names_alone(getattr(value, f.name)) for f in dataclasses.fields(value)}
        )
    return value


def _absolute(config: Config, folder: Path) -> Config:
    output = None if config.output is None else folder / config.output
    parts = {name: with_absolute_paths(getattr(config, name), folder) for name in _PARTS}
    return dataclasses.replace(config, **parts, output=output)


def as_config(source: Config | Mapping[str, Any] | str | os.PathLike[str], *, allow_import: bool = False) -> Config:
    """A checked configuration from an object, a mapping (paths relative to the current folder) or a file."""
    if isinstance(source, Mapping):
        source = from_plain(Config, source)
    elif not isinstance(source, Config):
        return load_config(source, allow_import=allow_import)
    config = _absolute(source, Path.cwd())
    with importing(allow_import, Path.cwd()):
        check_config(config)
    return config
