"""The data of a training configuration: stacks from files, or random patches of paired volumes.

data:
  training:                   # each step uses one of these stacks, in an order drawn from the seed
  - input: low.h5             # a volume file; for dual-domain a scan that `sinograd.read` reads
    target: normal.h5         # a volume file; noise2noise and noise2void need none
    region: {z: [100, 115]}   # first voxel and the one after the last, of the target; left out: all
  - input: [first.h5, second.h5]      # realisations of the noise, for noise2noise
  validation: []              # as training; measured every `validation.every` steps

data:
  pairs: {layout: mayo2016, folder: Training_Image_Data}      # see `sinograd.datasets.spec`
  validation_pairs: {layout: phantoms, count: 2, first_seed: 100}
  patches: {size: 64, per_batch: 16}    # each step uses one batch; taken of stacks too, if given
  patches: {size: [21, 41, 41], step: [8, 16, 16], per_batch: 64, per_place: 4}     # for models of volumes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from sinograd.config.schema import Check
from sinograd.datasets import PairsSpec, PatchesSpec
from sinograd.errors import ConfigError
from sinograd.training.model_config import ModelConfig
from sinograd.training.task_config import TaskConfig

_RANGE = Check("two whole numbers, first and end, with 0 <= first < end", lambda value: 0 <= value[0] < value[1])
_NOT_EMPTY = Check("a list that is not empty", lambda value: not isinstance(value, tuple) or len(value) > 0)

Extent = Annotated[tuple[int, int], _RANGE] | None


@dataclass(frozen=True)
class Region:
    """Part of a volume.

    Attributes:
        z, y, x: first voxel and the one after the last; null: all.
    """

    z: Extent = None
    y: Extent = None
    x: Extent = None


@dataclass(frozen=True)
class StackFiles:
    """Files of one stack.

    Attributes:
        input: a volume file, or those of several realisations of the noise; for dual-domain a scan file.
        target: a volume file on the same grid; noise2noise and noise2void need none.
        region: the part that is used, of the target.
    """

    input: Path | Annotated[tuple[Path, ...], _NOT_EMPTY]
    target: Path | None = None
    region: Region = field(default_factory=Region)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """One file, or those of several realisations of the noise."""
        return self.input if isinstance(self.input, tuple) else (self.input,)


@dataclass(frozen=True)
class Data:
    """Training and validation data: stacks of slices from files, or random patches of paired volumes.

    Attributes:
        training: stacks; each step uses one, in an order drawn from the seed.
        validation: stacks, measured every `validation.every` steps.
        pairs: paired volumes to train on, instead of `training`.
        validation_pairs: paired volumes, instead of `validation`.
        patches: each step uses a batch of these, of pairs or of stacks.
    """

    training: tuple[StackFiles, ...] = ()
    validation: tuple[StackFiles, ...] = ()
    pairs: PairsSpec | None = None
    validation_pairs: PairsSpec | None = None
    patches: PatchesSpec | None = None


def _check_patches(patches: PatchesSpec | None, model: ModelConfig, key: str) -> None:
    """ConfigError unless patches of images, or of volumes, go with a model of such."""
    flat = patches is None or not isinstance(patches.size, tuple) or len(patches.size) == 2
    if model.ndim == 2 and not flat:
        raise ConfigError(f"data.patches.size: expected one number or two, the model {model.name} is for images")
    if model.ndim == 3 and flat:
        if patches is None:
            raise ConfigError(f"data.{key}: goes with patches, and data.patches is missing")
        raise ConfigError(
            f"data.patches.size: expected three numbers (z, y, x), the model {model.name} is for volumes "
            "(or model.dimensions: 2, of models that have it)"
        )
    if patches is not None and model.patch is not None and patches.size not in (model.patch, (model.patch,) * 2):
        raise ConfigError(f"data.patches.size: expected {model.patch}, which {model.name} takes, got {patches.size}")
    size = () if patches is None or isinstance(patches.size, int) else patches.size
    if any(n <= lost for n, lost in zip(size, model.lost, strict=False)):
        least, got = (" x ".join(map(str, shape)) for shape in ((n + 1 for n in model.lost), size))
        raise ConfigError(f"data.patches.size: expected at least {least}, which {model.name} sees, got {got}")


def check_data(data: Data, task: TaskConfig, model: ModelConfig) -> None:
    """ConfigError unless the keys go together, and with task and model."""
    for stacks, pairs in (("training", "pairs"), ("validation", "validation_pairs")):
        if getattr(data, stacks) and getattr(data, pairs) is not None:
            raise ConfigError(f"data: expected {stacks} or {pairs}, got both")
    if not data.training and data.pairs is None and data.patches is None:
        raise ConfigError("data.training: expected a list that is not empty, got []")
    if data.pairs is not None and data.patches is None:
        raise ConfigError("data.patches: missing, paired volumes are trained on in patches")
    if data.patches is not None or data.validation_pairs is not None:
        key = "patches" if data.patches is not None else "validation_pairs"
        if task.takes_scans:
            raise ConfigError(f"data.{key}: the task {task.name} takes whole scans, under training and validation")
        _check_patches(data.patches, model, key)
    if any(model.lost) and task.name == "noise2void":
        raise ConfigError(f"task: noise2void looks at all voxels, and {model.name} gives fewer in training")
    task.check_data(data)
    for part, stacks in (("training", data.training), ("validation", data.validation)):
        for i, files in enumerate(stacks):
            task.check_files(files, f"data.{part}[{i}]", trained=part == "training")
