"""Noise2Clean: from noisy volumes to clean ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sinograd.training.data import ScanStack, Stack
from sinograd.training.model_config import ModelConfig
from sinograd.training.task_config import LossChoice, TaskConfig
from sinograd.training.tasks.task import Task, middle


@dataclass(frozen=True)
class Supervised(TaskConfig):
    """Noise2Clean: the difference between the denoised input and the target.

    Attributes:
        name: supervised.
        loss: between the denoised input and the target.
    """

    name: Literal["supervised"] = "supervised"
    loss: LossChoice = "mse"

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """In units of the model's scale."""
        return SupervisedTask(model, settings.loss_scale, self.loss)


class SupervisedTask(Task):
    """The difference to the target; see `Supervised`."""

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """What the model makes of the input."""
        assert isinstance(stack, Stack)
        return self.model(stack.input)

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """Nothing random. Losses of a network's stages, as JBFnet's, get them in training."""
        assert stack.target is not None
        if getattr(self.measure, "takes_stages", False) and hasattr(self.model, "with_stages") and self.model.training:
            assert isinstance(stack, Stack)
            predicted, stages = self.model.with_stages(stack.input)  # pyright: ignore[reportCallIssue]
            target = middle(stack.target, predicted.shape)
            return self.measure(predicted, target, scale=self.scale, stages=stages)  # pyright: ignore[reportCallIssue]
        return self.difference(self.prediction(stack), stack.target)
