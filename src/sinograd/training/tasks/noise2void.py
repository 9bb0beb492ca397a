"""Noise2Void: from noisy volumes alone; see `training.noise2void`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from sinograd.config.schema import Check
from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError
from sinograd.training.data import ScanStack, Stack
from sinograd.training.model_config import ModelConfig
from sinograd.training.noise2void import blind_spots
from sinograd.training.task_config import LATER, LossChoice, TaskConfig
from sinograd.training.tasks.supervised import SupervisedTask
from sinograd.training.tasks.task import Task

_FRACTION = Check("a fraction above 0 and at most 0.5", lambda value: 0 < value <= 0.5)
_ODD = Check("an odd number of at least 3", lambda value: value >= 3 and value % 2 == 1)


@dataclass(frozen=True)
class Noise2Void(TaskConfig):
    """Self-supervised: some voxels are replaced by neighbours and predicted; see `training.noise2void`.

    Attributes:
        name: noise2void.
        fraction: share of the voxels that are replaced in a step.
        neighborhood: width of the box that replacements come from, odd.
        loss: of these voxels, so one that is pointwise.
    """

    name: Literal["noise2void"] = "noise2void"
    fraction: Annotated[float, _FRACTION] = 0.01
    neighborhood: Annotated[int, _ODD] = 5
    loss: LossChoice = field(default="mse", metadata=LATER)
    needs_target: ClassVar[bool] = False
    # From far below the noise a third of the runs on small stacks shrank the sigmas to nothing; supervised and
    # noise2noise runs, whose loss looks at all voxels, did not.
    starts_from_noise: ClassVar[bool] = True

    def check(self) -> None:
        """ConfigError for a loss that needs whole images, too."""
        super().check()
        if not getattr(self.measure, "pointwise", True):
            name = self.loss if isinstance(self.loss, str) else getattr(self.loss, "name", "this one")
            raise ConfigError(
                f"task.loss: noise2void compares single voxels, expected mse, mae or another pointwise loss, got {name}"
            )

    def pairs(self, pairs: Sequence[PairedVolume]) -> Sequence[PairedVolume]:
        """Each realisation by itself, without targets."""
        return [dataclasses.replace(pair, inputs=(volume,), target=None) for pair in pairs for volume in pair.inputs]

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """In units of the model's scale."""
        return Noise2VoidTask(model, settings.loss_scale, self, settings.ndim or 2)


class Noise2VoidTask(SupervisedTask):
    """The loss at voxels that were replaced by neighbours; see `training.noise2void`."""

    def __init__(self, model: nn.Module, scale: float, options: Noise2Void, dimensions: int) -> None:
        super().__init__(model, scale, options.loss)
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
