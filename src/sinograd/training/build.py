"""How a configuration becomes a model, its task and its optimisers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sinograd.errors import ConfigError, InputError
from sinograd.training.batches import patches_of
from sinograd.training.config import Config
from sinograd.training.data import ScanStack, Stack, TrainingData
from sinograd.training.random_streams import stream
from sinograd.training.samples import Samples
from sinograd.training.tasks.task import Task

# How many patches "auto" looks at to find a scale.
_SCALE_PATCHES = 64


def resolve(config: Config, data: TrainingData) -> Config:
    """The configuration with every "auto" and every default of model and task filled in."""
    projections = [stack.projections for stack in data.training if isinstance(stack, ScanStack)]
    samples = Samples(lambda: _samples(config, data), projections, config.task.starts_from_noise)
    model = config.model.resolved(samples)
    rates = {**model.learning_rates(), **config.task.learning_rates(), **config.optimizer.learning_rates}
    optimizer = dataclasses.replace(config.optimizer, learning_rates=rates)
    task = config.task.resolved(lambda: zip(*_samples(config, data), strict=False))
    return dataclasses.replace(config, task=task, model=model, optimizer=optimizer)


def _samples(config: Config, data: TrainingData) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and targets, those of some patches where patches are trained on."""
    patches = patches_of(config, data)
    if patches is None:
        inputs = [stack.input for stack in data.training if isinstance(stack, Stack)]
        targets = [s.target for s in data.training if isinstance(s, Stack | ScanStack) and s.target is not None]
        return inputs, targets
    count = math.ceil(_SCALE_PATCHES / patches.per_batch)
    batches = [patches.batch(stream(config.seed, "scale", index)) for index in range(count)]
    return [noisy for noisy, _ in batches], [clean for _, clean in batches]


def check_values(config: Config, data: TrainingData) -> None:
    """ConfigError unless the values of the training targets are what the loss of a resolved configuration needs."""
    check = getattr(config.task.measure, "check_targets", None)
    if check is None:
        return
    try:
        check(_samples(config, data)[1], scale=config.model.loss_scale)
    except InputError as error:
        raise ConfigError(f"task.loss.{error}") from error


def build_model(config: Config) -> nn.Module:
    """The untrained model of a resolved configuration; starting values of networks follow from its seed."""
    return config.model.build(config.seed)


def build_task(config: Config, model: nn.Module) -> Task:
    """The task of a resolved configuration."""
    return config.task.build(model, config.model, config.seed)


def build_optimizers(config: Config, task: Task) -> Sequence[torch.optim.Optimizer]:
    """The optimisers that the task wants, over the model's parameter groups and its own."""
    rates = config.optimizer.learning_rates
    return task.optimizers(config.optimizer.build, config.model.parameter_groups(task.model, rates), rates)
