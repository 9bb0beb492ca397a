"""A copy of a model whose weights follow the trained ones slowly, and a count of steps; both are in checkpoints."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """average <- decay * average + (1 - decay) * weights, after every step.

    Args:
        model: what is trained; the average starts as its copy.
        decay: 0: the average is the model itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take a step's weights; buffers, such as the statistics of normalisations, are copied."""
        for average, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1 - self.decay)
        for average, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)

    def train(self, mode: bool = True) -> MovingAverage:
        """It never is in training."""
        return super().train(False)


class StepCount(nn.Module):
    """How many steps a task has made."""

    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def next(self) -> int:
        """The number of this step, from 1."""
        self.steps += 1
        return int(self.steps)
