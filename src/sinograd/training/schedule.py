"""Learning rates that fall when the validation loss does not; see `config.Plateau`."""

from __future__ import annotations

import math

import torch

from sinograd.training.config import Plateau


class PlateauSchedule:
    """Counts validations without a new lowest loss."""

    def __init__(self, rule: Plateau) -> None:
        self.rule = rule
        self.lowest = math.inf
        self.waited = 0

    def update(self, loss: float, *optimizers: torch.optim.Optimizer) -> None:
        """Take a validation's loss; multiplies all learning rates by the factor when it is time."""
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited == self.rule.patience:
            self.waited = 0
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] *= self.rule.factor

    def state(self) -> dict[str, float | int]:
        """Plain numbers that `load` takes; the rates themselves are the optimizer's to keep."""
        return {"lowest": self.lowest, "waited": self.waited}

    def load(self, state: dict[str, float | int]) -> None:
        """Go on from a state."""
        self.lowest, self.waited = state["lowest"], int(state["waited"])
