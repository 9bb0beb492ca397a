"""The configuration of a training run: one YAML file, or the same as Python objects. This page is its schema.

    seed: 0                       # everything random follows from it
    device: cpu                   # or cuda, cuda:1 ...
    output: runs/three-filters    # folder of the run; left out: nothing is written (Python only)
    task:
      name: supervised            # or noise2void, dual-domain; each with options of its own
    data:
      training:                   # each step uses one of these stacks, in an order drawn from the seed
      - input: low.h5             # a volume file; for dual-domain a scan that `sinograd.read` reads
        target: normal.h5         # a volume file; noise2void needs none
        region: {z: [100, 115]}   # first voxel and the one after the last, of the target; left out: all
      validation: []              # as training; measured every `validation.every` steps
    model:
      name: bilateral             # or dual-domain-bilateral
      filters: 3
    optimizer:
      name: adam
      learning_rates: {spatial: 0.01, range: 0.005}   # one for each parameter group of the model
    stop:
      max_steps: 5000
      early_stopping: {patience: 500, min_change: 1.0e-4}   # null: none
      keep: best                  # weights of the lowest validation loss (best), without one the last; or last
    validation: {every: 50}
    checkpoints: {every: 100}     # steps; a run that was killed goes on from the last one

Paths are relative to the file's folder. Lengths in mm, attenuation in 1/mm. Losses are mean squared errors in units
of the model's `input_scale` (dual-domain: `image_scale`), so that the learning rates mean the same for any data.
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

import yaml

from sinograd.geometry.plain_yaml import load_yaml
from sinograd.io.typed import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Check, ConfigError, from_plain, to_plain

_FRACTION = Check("a fraction above 0 and at most 0.5", lambda value: 0 < value <= 0.5)
_ODD = Check("an odd number of at least 3", lambda value: value >= 3 and value % 2 == 1)
_CUTOFF = Check("a fraction above 0 and at most 1", lambda value: 0 < value <= 1)
_RANGE = Check("two whole numbers, first and end, with 0 <= first < end", lambda value: 0 <= value[0] < value[1])
_SIGMAS = Check("positive numbers", lambda value: all(s > 0 for s in (value if isinstance(value, tuple) else (value,))))
_NOT_EMPTY = Check("a list that is not empty", lambda value: len(value) > 0)

Count = Annotated[int, AT_LEAST_ONE]
Positive = Annotated[float, POSITIVE]
Sigmas = Annotated[float | tuple[float, ...], _SIGMAS]
Scale = Literal["auto"] | Positive
Window = int | tuple[int, ...] | None
Extent = Annotated[tuple[int, int], _RANGE] | None


@dataclass(frozen=True)
class Supervised:
    """Mean squared error between the filtered input and the target."""

    name: Literal["supervised"] = "supervised"


@dataclass(frozen=True)
class Noise2Void:
    """Self-supervised: some voxels are replaced by neighbours and predicted; see `training.noise2void`.

    fraction: share of the voxels that are replaced in a step. neighborhood: width of the box they come from.
    """

    name: Literal["noise2void"] = "noise2void"
    fraction: Annotated[float, _FRACTION] = 0.01
    neighborhood: Annotated[int, _ODD] = 5


@dataclass(frozen=True)
class DualDomain:
    """End to end from projections: mean squared error of the volume.

    row_margin: detector rows kept above and below those that the region needs, for filters of the projections.
    recompute: keep only what enters each layer and compute its inside again in the backward pass: less memory, more
    time.
    """

    name: Literal["dual-domain"] = "dual-domain"
    row_margin: Annotated[int, NOT_NEGATIVE] = 8
    recompute: bool = True


@dataclass(frozen=True)
class Bilateral:
    """Stacked bilateral filters; see `models.bilateral_stack`.

    input_scale: what counts as 1 in the units of the data; "auto": 99.9 % of the targets' (without targets the
    inputs') absolute values lie below it.
    """

    name: Literal["bilateral"] = "bilateral"
    filters: Count = 3
    dimensions: Literal[2, 3] = 3
    sigma_spatial: Sigmas = 0.5
    sigma_range: Positive = 0.01
    input_scale: Scale = "auto"
    window: Window = None


@dataclass(frozen=True)
class DualDomainBilateral:
    """Bilateral filters before and after the reconstruction; see `models.DualDomainBilateral`.

    projection_scale, image_scale: as `Bilateral.input_scale`, for line integrals and for the volume.
    ramp_window, cutoff: of the reconstruction.
    """

    name: Literal["dual-domain-bilateral"] = "dual-domain-bilateral"
    projection_filters: Annotated[int, NOT_NEGATIVE] = 1
    image_filters: Annotated[int, NOT_NEGATIVE] = 2
    dimensions: Literal[2, 3] = 3
    sigma_spatial: Sigmas = 0.5
    sigma_range: Positive = 0.01
    projection_scale: Scale = "auto"
    image_scale: Scale = "auto"
    window: Window = None
    ramp_window: Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"] = "ram-lak"
    cutoff: Annotated[float, _CUTOFF] = 1.0

    @property
    def filters(self) -> int:
        """How many filters there are."""
        return self.projection_filters + self.image_filters


@dataclass(frozen=True)
class Region:
    """Part of a volume, voxels first to end - 1 along each axis; None: all."""

    z: Extent = None
    y: Extent = None
    x: Extent = None


@dataclass(frozen=True)
class StackFiles:
    """Files of one stack; see the module."""

    input: Path
    target: Path | None = None
    region: Region = field(default_factory=Region)


@dataclass(frozen=True)
class Data:
    """What is trained on, and what is looked at meanwhile."""

    training: Annotated[tuple[StackFiles, ...], _NOT_EMPTY]
    validation: tuple[StackFiles, ...] = ()


@dataclass(frozen=True)
class Adam:
    """torch.optim.Adam. learning_rates: one for each parameter group; those left out are the model's own."""

    name: Literal["adam"] = "adam"
    learning_rates: dict[str, Positive] = field(default_factory=dict)


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the loss (validation, if there is any) did not fall by this share for so many steps."""

    patience: Count = 500
    min_change: Annotated[float, NOT_NEGATIVE] = 1e-4


@dataclass(frozen=True)
class Stop:
    """When training ends and which weights it keeps."""

    max_steps: Count = 5000
    early_stopping: EarlyStopping | None = field(default_factory=EarlyStopping)
    keep: Literal["best", "last"] = "best"


@dataclass(frozen=True)
class Every:
    """An interval in steps."""

    every: Count


@dataclass(frozen=True)
class Config:
    """A training run; see the module for the keys. `data` may be None where tensors are given to `train`."""

    task: Supervised | Noise2Void | DualDomain = field(default_factory=Supervised)
    model: Bilateral | DualDomainBilateral = field(default_factory=Bilateral)
    data: Data | None = None
    optimizer: Adam = field(default_factory=Adam)
    stop: Stop = field(default_factory=Stop)
    validation: Every = field(default_factory=lambda: Every(50))
    checkpoints: Every = field(default_factory=lambda: Every(100))
    seed: Annotated[int, NOT_NEGATIVE] = 0
    device: str = "cpu"
    output: Path | None = None


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a configuration file; paths in it become absolute.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: not YAML, or an unknown, missing or wrong key: names the file, the key path, what was expected
            and what came.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"no configuration file at {file}")
    try:
        data = load_yaml(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not a YAML file: {error}") from error
    try:
        config = from_plain(Config, {} if data is None else data)
        check_config(config)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return _absolute(config, file.resolve().parent)


def check_config(config: Config) -> None:
    """Types and values of a configuration made in Python, and whether its parts fit; raises ConfigError."""
    from_plain(Config, to_plain(config))
    dual = isinstance(config.task, DualDomain)
    if dual != isinstance(config.model, DualDomainBilateral):
        fitting = "dual-domain-bilateral" if dual else "bilateral"
        raise ConfigError(f"model.name: expected {fitting} for the task {config.task.name}, got {config.model.name}")
    if isinstance(config.model, DualDomainBilateral) and config.model.filters < 1:
        raise ConfigError("model: expected at least one filter, got projection_filters: 0 and image_filters: 0")
    if isinstance(config.model.sigma_spatial, tuple) and len(config.model.sigma_spatial) != config.model.dimensions:
        count = len(config.model.sigma_spatial)
        raise ConfigError(f"model.sigma_spatial: expected one number or {config.model.dimensions}, got {count}")
    window = config.model.window
    for width in window if isinstance(window, tuple) else (window,):
        if width is not None and (width < 1 or width % 2 == 0):
            raise ConfigError(f"model.window: expected odd, positive widths, got {window}")
    if isinstance(window, tuple) and len(window) != config.model.dimensions:
        raise ConfigError(f"model.window: expected one width or {config.model.dimensions}, got {len(window)}")
    for part in ("training", "validation"):
        for i, files in enumerate(getattr(config.data, part, ())):
            if files.target is None and not isinstance(config.task, Noise2Void):
                raise ConfigError(f"data.{part}[{i}].target: missing, the task {config.task.name} needs one")
    groups = {"spatial", "range"}
    for name in config.optimizer.learning_rates:
        if name not in groups:
            raise ConfigError(
                f"optimizer.learning_rates.{name}: the model {config.model.name} has no such parameter group, "
                f"expected some of {', '.join(sorted(groups))}"
            )


def save_text(config: Config) -> str:
    """The configuration as YAML, every key written out; `load_config` reads it."""
    return yaml.safe_dump(to_plain(config), sort_keys=False, default_flow_style=None, width=110)


def config_hash(config: Config) -> str:
    """SHA-256 of all keys but the output folder; of data files the names alone, wherever they are."""
    plain = {key: value for key, value in to_plain(config).items() if key != "output"}
    for files in (entry for part in (plain["data"] or {}).values() for entry in part):
        for key in ("input", "target"):
            files[key] = None if files[key] is None else Path(files[key]).name
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _absolute(config: Config, folder: Path) -> Config:
    def move(files: StackFiles) -> StackFiles:
        target = None if files.target is None else folder / files.target
        return dataclasses.replace(files, input=folder / files.input, target=target)

    data = config.data
    if data is not None:
        data = Data(tuple(move(f) for f in data.training), tuple(move(f) for f in data.validation))
    output = None if config.output is None else folder / config.output
    return dataclasses.replace(config, data=data, output=output)


def as_config(given: Config | Mapping[str, Any] | str | os.PathLike[str]) -> Config:
    """A checked configuration from an object, a mapping (paths relative to the current folder) or a file."""
    if isinstance(given, Mapping):
        given = from_plain(Config, given)
    elif not isinstance(given, Config):
        return load_config(given)
    check_config(given)
    return _absolute(given, Path.cwd())
