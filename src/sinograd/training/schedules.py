"""Schedules of learning rates: what falls when. Each is a dataclass of options and a line in `choices.SCHEDULES`.

    optimizer: {name: adam, schedule: cosine}
    optimizer: {name: adam, schedule: {name: step, every: 1000, factor: 0.5}}

Rates are those of the optimiser's groups times `share(step, steps)`, where the schedule is a formula, or change after
validations, where it looks at their loss. A checkpoint holds all that a resumed run needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch

from sinograd.choices import SCHEDULES
from sinograd.config.schema import Check, Choice
from sinograd.training.model_config import Count

FRACTION = Check("a fraction above 0 and below 1", lambda value: 0 < value < 1)
_SHARE = Check("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
_FIRST = "initial_lr"  # of a group, where torch's own schedules keep it


@dataclass(frozen=True)
class ScheduleConfig:
    """What training asks of a schedule.

    Attributes:
        name: the key of the registry.
        needs_validation: whether it looks at the validation loss.
    """

    name: str
    needs_validation: ClassVar[bool] = False

    def share(self, step: int, steps: int) -> float:
        """What the rates are multiplied by in a step, counted from 0, of `steps` at most."""
        raise NotImplementedError

    def build(self, steps: int) -> Schedule:
        """The schedule of a run of `steps` steps at most."""
        return FormulaSchedule(self, steps)


class Schedule:
    """Changes the learning rates of optimisers as a run goes on."""

    def before_step(self, step: int, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Called before step number `step`, counted from 0."""

    def after_validation(self, loss: float, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Called after each validation."""

    def state(self) -> dict[str, Any]:
        """Plain numbers that `load` takes; the rates themselves are the optimisers' to keep."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


class FormulaSchedule(Schedule):
    """Rates that follow from the number of the step."""

    def __init__(self, rule: ScheduleConfig, steps: int) -> None:
        self.rule, self.steps = rule, steps

    def before_step(self, step: int, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Set the rates of the step."""
        share = self.rule.share(step, self.steps)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault(_FIRST, group["lr"]) * share


@dataclass(frozen=True)
class Cosine(ScheduleConfig):
    """Half a cosine from the whole rate down to `least` of it: I. Loshchilov, F. Hutter, "SGDR", 2017, equation 5.

    Attributes:
        name: of the schedule.
        least: share of the rate that is reached.
        period: steps from the whole rate to the least; null: all. After a shorter one the rates rise again, and so on,
            as torch's CosineAnnealingLR does.
    """

    name: Literal["cosine"] = "cosine"
    least: Annotated[float, _SHARE] = 0.0
    period: Count | None = None

    def share(self, step: int, steps: int) -> float:
        """From 1 to `least`."""
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * step / (self.period or steps))) / 2


@dataclass(frozen=True)
class Exponential(ScheduleConfig):
    """The same factor in every step, so that the logarithm of the rates falls evenly.

    Attributes:
        name: of the schedule.
        last: share of the rate at the end of `stop.max_steps`.
    """

    name: Literal["exponential"] = "exponential"
    last: Annotated[float, FRACTION] = 0.01

    def share(self, step: int, steps: int) -> float:
        """From 1 to `last`."""
        return self.last ** (step / steps)


@dataclass(frozen=True)
class Steps(ScheduleConfig):
    """All rates times `factor` after every so many steps.

    Attributes:
        name: of the schedule.
        every: steps.
        factor: what the rates are multiplied by then.
    """

    name: Literal["step"] = "step"
    every: Count = 1000
    factor: Annotated[float, FRACTION] = 0.5

    def share(self, step: int, steps: int) -> float:
        """A power of `factor`."""
        return self.factor ** (step // self.every)


def schedule_schema(name: str) -> type[ScheduleConfig]:
    """The dataclass of a schedule; raises InputError for an unknown name."""
    return SCHEDULES.load(name)


ScheduleChoice = Annotated[ScheduleConfig, Choice(lambda: SCHEDULES, schedule_schema, short=True)]
