"""How a configuration becomes a model, its task and its optimizer."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from sinograd.layers import bilateral_parameter_groups
from sinograd.models import DualDomainBilateral, NetworkDenoiser, bilateral_stack
from sinograd.networks import NETWORKS
from sinograd.training import config as settings
from sinograd.training.batches import patches_of
from sinograd.training.data import ScanStack, Stack, TrainingData, mean_and_deviation, typical_size
from sinograd.training.model_config import dimensions, learning_rates, network_options
from sinograd.training.random_streams import stream
from sinograd.training.tasks import DualDomainTask, Noise2NoiseTask, Noise2VoidTask, SupervisedTask, Task

# How many patches "auto" looks at to find a scale.
_SCALE_PATCHES = 64


def resolve(config: settings.Config, data: TrainingData) -> settings.Config:
    """The configuration with every "auto" and every default of the model filled in."""
    model = config.model
    if isinstance(model, settings.DualDomainBilateral):
        if model.projection_scale == "auto":
            inputs = [stack.projections for stack in data.training if isinstance(stack, ScanStack)]
            model = dataclasses.replace(model, projection_scale=typical_size(inputs))
        if model.image_scale == "auto":
            model = dataclasses.replace(model, image_scale=typical_size(_samples(config, data)[1]))
    elif isinstance(model, settings.Bilateral):
        if model.input_scale == "auto":
            inputs, targets = _samples(config, data)
            model = dataclasses.replace(model, input_scale=typical_size(targets or inputs))
    elif "auto" in (model.offset, model.scale):
        mean, deviation = mean_and_deviation(_samples(config, data)[0])
        model = dataclasses.replace(
            model,
            offset=mean if model.offset == "auto" else model.offset,
            scale=deviation if model.scale == "auto" else model.scale,
        )
    rates = {**learning_rates(model), **config.optimizer.learning_rates}
    optimizer = dataclasses.replace(config.optimizer, learning_rates=rates)
    return dataclasses.replace(config, model=model, optimizer=optimizer)


def _samples(config: settings.Config, data: TrainingData) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and targets, those of some patches where patches are trained on."""
    patches = patches_of(config, data)
    if patches is None:
        inputs = [stack.input for stack in data.training if isinstance(stack, Stack)]
        targets = [s.target for s in data.training if isinstance(s, Stack | ScanStack) and s.target is not None]
        return inputs, targets
    count = math.ceil(_SCALE_PATCHES / patches.per_batch)
    batches = [patches.batch(stream(config.seed, "scale", index)) for index in range(count)]
    return [noisy for noisy, _ in batches], [clean for _, clean in batches]


def build_model(config: settings.Config) -> nn.Module:
    """The untrained model of a resolved configuration; starting values of networks follow from its seed."""
    model = config.model
    if isinstance(model, settings.Network):
        network = NETWORKS[model.name](**network_options(model), generator=stream(config.seed, "weights", 0))
        return NetworkDenoiser(network, _number(model.offset), _number(model.scale))
    start = {"sigma_spatial": model.sigma_spatial, "sigma_range": model.sigma_range}
    options = {**start, "dimensions": model.dimensions, "window": model.window}
    if isinstance(model, settings.Bilateral):
        return bilateral_stack(model.filters, input_scale=_number(model.input_scale), **options)

    def filters(count: int, scale: float | str) -> nn.Sequential:
        return bilateral_stack(count, input_scale=_number(scale), **options) if count else nn.Sequential()

    return DualDomainBilateral(
        filters(model.projection_filters, model.projection_scale),
        filters(model.image_filters, model.image_scale),
        ramp_window=model.ramp_window,
        cutoff=model.cutoff,
    )


def build_task(config: settings.Config, model: nn.Module) -> Task:
    """The task of a resolved configuration."""
    if isinstance(config.task, settings.DualDomain):
        assert isinstance(config.model, settings.DualDomainBilateral) and isinstance(model, DualDomainBilateral)
        return DualDomainTask(model, _number(config.model.image_scale), config.task.recompute)
    assert not isinstance(config.model, settings.DualDomainBilateral)
    scale = _number(config.model.input_scale if isinstance(config.model, settings.Bilateral) else config.model.scale)
    if isinstance(config.task, settings.Noise2Void):
        return Noise2VoidTask(model, scale, config.task, dimensions(config.model))
    if isinstance(config.task, settings.Noise2Noise):
        return Noise2NoiseTask(model, scale, config.task.loss)
    return SupervisedTask(model, scale, config.task.loss)


def build_optimizer(config: settings.Config, model: nn.Module) -> torch.optim.Optimizer:
    """Adam over the model's parameter groups."""
    rates = config.optimizer.learning_rates
    if isinstance(model, NetworkDenoiser):
        return torch.optim.Adam(model.parameters(), lr=rates["network"])
    return torch.optim.Adam(bilateral_parameter_groups(model, rates["spatial"], rates["range"]))


def _number(scale: float | str) -> float:
    assert not isinstance(scale, str), "the configuration is not resolved"
    return float(scale)
