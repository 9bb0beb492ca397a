"""The optimisers of a training configuration: which, how fast, and how the rates fall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch

from sinograd.config.schema import NOT_NEGATIVE, Check, Usual
from sinograd.errors import ConfigError, InputError
from sinograd.training.model_config import Positive
from sinograd.training.schedules import ScheduleChoice
from sinograd.training.task_config import LATER

_DECAY = Check("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
Decay = Annotated[float, _DECAY]
Groups = list[dict[str, Any]]


@dataclass(frozen=True)
class Adam:
    """torch.optim.Adam.

    Attributes:
        name: of the optimiser.
        learning_rates: one for each parameter group (spatial, range; of networks: network; of tasks with other
            networks theirs, too: critic, discriminator); those left out are the model's and the task's own.
        schedule: how the rates fall: one of `choices.SCHEDULES`, a name or a mapping with options.
        betas: decay of the averages of gradients and of their squares.
    """

    name: Literal["adam"] = "adam"
    learning_rates: dict[str, Positive] = field(default_factory=dict)
    schedule: ScheduleChoice | None = None
    betas: tuple[Decay, Decay] = field(default=(0.9, 0.999), metadata=LATER)

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimiser of parameter groups, each with its learning rate."""
        return torch.optim.Adam(groups, betas=self.betas)


@dataclass(frozen=True)
class Sgd:
    """torch.optim.SGD.

    Attributes:
        name: of the optimiser.
        learning_rates, schedule: as for adam.
        momentum: share of the last step that the next one keeps.
        weight_decay: times the weights, added to the gradient.
    """

    name: Literal["sgd"] = "sgd"
    learning_rates: dict[str, Positive] = field(default_factory=dict)
    schedule: ScheduleChoice | None = None
    momentum: Decay = 0.9
    weight_decay: Annotated[float, NOT_NEGATIVE] = 0.0

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimiser of parameter groups, each with its learning rate."""
        return torch.optim.SGD(groups, momentum=self.momentum, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class OwnOptimizer:
    """A torch optimiser that was made in Python: `train(optimizer=torch.optim.AdamW(model.parameters()))`.

    Attributes:
        name: own.
        path: its class, for the record.
        learning_rates, schedule: as for adam; rates count for a function of parameter groups alone.
        optimizer: the optimiser, or a function that makes one of parameter groups.
    """

    name: Literal["own"] = "own"
    path: str = ""
    learning_rates: dict[str, Positive] = field(default_factory=dict)
    schedule: ScheduleChoice | None = None
    optimizer: Any = field(default=None, metadata={"plain": False})

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimiser; InputError for one of other parameters than the model's, ConfigError without one."""
        if self.optimizer is None:
            raise ConfigError("optimizer: own ones are given in Python, `train(optimizer=...)`; expected adam or sgd")
        if not isinstance(self.optimizer, torch.optim.Optimizer):
            make: Callable[[Groups], torch.optim.Optimizer] = self.optimizer
            return make(groups)
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        if not held <= {id(p) for group in groups for p in group["params"]}:
            raise InputError("optimizer: expected one of the parameters of `model`, got other parameters")
        return self.optimizer


OptimizerConfig = Annotated[Adam | Sgd | OwnOptimizer, Usual("adam")]
