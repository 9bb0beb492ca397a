"""The losses of the tasks, and how a configuration becomes a model.

A task takes (model, stack, generator) to the loss of one step. To add one: a dataclass in `config`, a class here.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sinograd.layers import bilateral_parameter_groups
from sinograd.models import DualDomainBilateral, bilateral_stack
from sinograd.training import config as settings
from sinograd.training.data import ScanStack, Stack, TrainingData, typical_size
from sinograd.training.noise2void import blind_spots

# The paper's, for start values of 0.5 voxels and 0.01 of the scale (Wagner et al., section II.D).
LEARNING_RATES = {"spatial": 0.01, "range": 0.005}


class Task(Protocol):
    """What a step does with a stack."""

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """What the model makes of the stack."""
        ...

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The loss of a training step, [] in units of the scale squared."""
        ...

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The loss of a validation stack."""
        ...


class SupervisedTask:
    """Mean squared error to the target."""

    def __init__(self, model: nn.Module, scale: float) -> None:
        self.model, self.scale = model, scale

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """The filtered input."""
        assert isinstance(stack, Stack)
        return self.model(stack.input)

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """Nothing random."""
        assert stack.target is not None
        return torch.nn.functional.mse_loss(self.prediction(stack), stack.target) / self.scale**2

    validation_loss = loss


class Noise2VoidTask(SupervisedTask):
    """Mean squared error at voxels that were replaced by neighbours; see `noise2void`."""

    def __init__(self, model: nn.Module, scale: float, options: settings.Noise2Void, dimensions: int) -> None:
        super().__init__(model, scale)
        self.options, self.dimensions = options, dimensions

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """New voxels in every call."""
        assert isinstance(stack, Stack)
        perturbed, chosen = blind_spots(
            stack.input,
            self.options.fraction,
            self.options.neighborhood,
            dimensions=self.dimensions,
            generator=generator,
        )
        predicted = self.model(perturbed).reshape(-1)[chosen]
        return torch.nn.functional.mse_loss(predicted, stack.input.reshape(-1)[chosen]) / self.scale**2

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """To the target, if there is one."""
        if stack.target is None:
            return self.loss(stack, generator)
        return super().loss(stack, generator)


class DualDomainTask(SupervisedTask):
    """Mean squared error of the volume that a plain sequence of layers makes of projections."""

    def __init__(self, model: DualDomainBilateral, scale: float, recompute: bool) -> None:
        super().__init__(model, scale)
        self.model: DualDomainBilateral = model
        self.recompute = recompute
        self._sequences: list[tuple[ScanStack, nn.Sequential]] = []

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """The denoised volume."""
        assert isinstance(stack, ScanStack)
        sequence = self.sequence(stack)
        if self.recompute and torch.is_grad_enabled():
            return run_recomputing(sequence, stack.projections)
        return sequence(stack.projections)

    def sequence(self, stack: ScanStack) -> nn.Sequential:
        """Filters, reconstruction of this scan, filters; made once for each geometry."""
        for known, sequence in self._sequences:
            if known.geometry is stack.geometry and known.grid is stack.grid:
                return sequence
        made = self.model.over(stack.geometry, stack.grid, recompute=self.recompute)
        self._sequences.append((stack, made.to(stack.projections.device)))
        return self._sequences[-1][1]


def run_recomputing(sequence: nn.Sequential, x: Tensor) -> Tensor:
    """`sequence(x)`, which keeps for the backward pass what enters each layer and computes the rest again.

    Layers that have a way of their own to do so (`FDK(recompute=True)`) are left to it.
    """
    for layer in sequence:
        if getattr(layer, "recompute", False):
            x = layer(x)
        else:
            x = checkpoint(layer, x, use_reentrant=False, preserve_rng_state=False)  # pyright: ignore
    return x


def resolve(config: settings.Config, data: TrainingData) -> settings.Config:
    """The configuration with every "auto" and every default of the model filled in."""
    model = config.model
    targets = [stack.target for stack in data.training if stack.target is not None]
    if isinstance(model, settings.DualDomainBilateral):
        if model.projection_scale == "auto":
            inputs = [stack.projections for stack in data.training if isinstance(stack, ScanStack)]
            model = dataclasses.replace(model, projection_scale=typical_size(inputs))
        if model.image_scale == "auto":
            model = dataclasses.replace(model, image_scale=typical_size(targets))
    elif model.input_scale == "auto":
        inputs = [stack.input for stack in data.training if isinstance(stack, Stack)]
        model = dataclasses.replace(model, input_scale=typical_size(targets or inputs))
    optimizer = dataclasses.replace(
        config.optimizer, learning_rates={**LEARNING_RATES, **config.optimizer.learning_rates}
    )
    return dataclasses.replace(config, model=model, optimizer=optimizer)


def build_model(config: settings.Config) -> nn.Module:
    """The untrained model of a resolved configuration."""
    model = config.model
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
    assert isinstance(config.model, settings.Bilateral)
    scale = _number(config.model.input_scale)
    if isinstance(config.task, settings.Noise2Void):
        return Noise2VoidTask(model, scale, config.task, config.model.dimensions)
    return SupervisedTask(model, scale)


def build_optimizer(config: settings.Config, model: nn.Module) -> torch.optim.Optimizer:
    """Adam over the model's parameter groups."""
    rates = config.optimizer.learning_rates
    return torch.optim.Adam(bilateral_parameter_groups(model, rates["spatial"], rates["range"]))


def stream(seed: int, purpose: str, step: int) -> torch.Generator:
    """The random numbers of one step, which follow from the seed and the step alone.

    So nothing random has to be kept in a checkpoint, and a step gives the same numbers however often it is run.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def stack_of_step(seed: int, step: int, count: int) -> int:
    """Which of `count` stacks a step uses: every one once in each round, in an order drawn from the seed."""
    if count == 1:
        return 0
    order = torch.randperm(count, generator=stream(seed, "order", step // count))
    return int(order[step % count])


def _number(scale: float | str) -> float:
    assert not isinstance(scale, str), "the configuration is not resolved"
    return float(scale)
