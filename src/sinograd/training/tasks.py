"""The losses of the tasks.

A task takes (stack, generator) to the loss of one step. To add one: a dataclass in `task_config`, a class here, a line
in `build`.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sinograd.models import DualDomainBilateral
from sinograd.training import task_config as settings
from sinograd.training.data import ScanStack, Stack
from sinograd.training.noise2void import blind_spots


class Task(Protocol):
    """What a step does with a stack."""

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """What the model makes of the stack."""
        ...

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The loss of a training step, []; in units of the scale, squared ones of its square."""
        ...

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The loss of a validation stack."""
        ...


class SupervisedTask:
    """The difference to the target; see `task_config.Supervised`."""

    def __init__(self, model: nn.Module, scale: float, loss: settings.Loss = "mse") -> None:
        self.model, self.scale, self.kind = model, scale, loss

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """What the model makes of the input."""
        assert isinstance(stack, Stack)
        return self.model(stack.input)

    def difference(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean squared or absolute difference, []."""
        if self.kind == "mae":
            return torch.nn.functional.l1_loss(predicted, target) / self.scale
        return torch.nn.functional.mse_loss(predicted, target) / self.scale**2

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """Nothing random."""
        assert stack.target is not None
        return self.difference(self.prediction(stack), stack.target)

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The same."""
        return self.loss(stack, generator)


class Noise2NoiseTask(SupervisedTask):
    """The difference to another realisation, which stands as the target of a training step."""

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """To the target; without one, of the first realisation to the second."""
        assert isinstance(stack, Stack)
        target = stack.others[0] if stack.target is None else stack.target
        return self.difference(self.prediction(stack), target)


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
        return self.difference(predicted, stack.input.reshape(-1)[chosen])

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
