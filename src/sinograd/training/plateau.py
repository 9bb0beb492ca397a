"""Learning rates that fall when the validation loss does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch

from sinograd.training.model_config import Count
from sinograd.training.schedules import FRACTION, Schedule, ScheduleConfig


@dataclass(frozen=True)
class Plateau(ScheduleConfig):
    """All learning rates times `factor` after every `patience` validations in a row without a new lowest loss.

    P. Gnudi et al., "Denoising of x-ray projections and computed tomography images using convolutional neural networks
    without clean data", 2020, section III.C, with the defaults; an epoch there is a validation here.

    Attributes:
        name: of the schedule.
        patience: validations without a new lowest loss.
        factor: for all learning rates.
    """

    name: Literal["plateau"] = "plateau"
    patience: Count = 2
    factor: Annotated[float, FRACTION] = 0.5
    needs_validation: ClassVar[bool] = True

    def build(self, steps: int) -> Schedule:
        """Counts from 0."""
        return PlateauSchedule(self)


class PlateauSchedule(Schedule):
    """Counts validations without a new lowest loss."""

    def __init__(self, rule: Plateau) -> None:
        self.rule = rule
        self.lowest = math.inf
        self.waited = 0

    def after_validation(self, loss: float, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Multiply all learning rates by the factor when it is time."""
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited == self.rule.patience:
            self.waited = 0
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] *= self.rule.factor

    def state(self) -> dict[str, Any]:
        """The lowest loss and how long it has stood."""
        return {"lowest": self.lowest, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.lowest, self.waited = state["lowest"], int(state["waited"])
