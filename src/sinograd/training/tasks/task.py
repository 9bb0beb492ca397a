"""What a task does in a step of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from sinograd.losses import Loss, as_loss
from sinograd.training.data import ScanStack, Stack

Groups = list[dict[str, Any]]


class MakeOptimizer(Protocol):
    """Makes the configured optimiser (Adam) of parameter groups."""

    def __call__(self, groups: Groups) -> torch.optim.Optimizer:
        """An optimiser; `groups` as torch's optimisers take them."""
        ...


class Optimize(Protocol):
    """Zeroes an optimiser's gradients, runs the loss backwards and makes the optimiser's step."""

    def __call__(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """One step of `optimizer` down the gradient of `loss`."""
        ...


def middle(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The middle of a tensor that a network which shrinks volumes leaves: of this shape."""
    for axis, (have, want) in enumerate(zip(tensor.shape, shape, strict=True)):
        if have != want:
            tensor = tensor.narrow(axis, (have - want) // 2, want)
    return tensor


class Task:
    """A model and what it is trained for. A task owns its optimisers and its step.

    A derived class says in `prediction` and `loss` what is compared. By default there is one optimiser over the
    model's parameters and a step is one step of it down `loss`. A task with several losses sets `manual`, makes its
    optimisers in `optimizers` and does the whole step in `step`; modules that it trains besides the model stand in
    `extra`, so that they are on the device and in the checkpoints. `figures` are further numbers of a step, such as
    the critic's loss, for columns of the history; the same ones in every step.

    Args:
        model: what is trained.
        scale: what counts as 1 in the volumes that are compared.
        loss: a name, or whatever `losses.as_loss` takes.
    """

    manual: ClassVar[bool] = False

    def __init__(self, model: nn.Module, scale: float, loss: Any = "mse") -> None:
        self.model, self.scale = model, scale
        self.measure: Loss = as_loss(loss)
        self.extra = nn.ModuleDict()
        self.figures: dict[str, Tensor] = {}

    @property
    def kept(self) -> nn.Module:
        """Whose weights are the result: the model's, or those of a moving average of it."""
        return self.model

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """What the model makes of the stack."""
        raise NotImplementedError

    def difference(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The configured loss of a prediction, []; of a smaller one, to the middle of the target."""
        return self.measure(predicted, middle(target, predicted.shape), scale=self.scale)

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The loss of a training step, []; in units of the scale, squared ones of its square."""
        raise NotImplementedError

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """The loss of a validation stack."""
        return self.loss(stack, generator)

    def optimizers(
        self, make: MakeOptimizer, groups: Groups, rates: Mapping[str, float]
    ) -> Sequence[torch.optim.Optimizer]:
        """The optimisers of the run.

        Args:
            make: makes one of parameter groups.
            groups: those of the model, with their learning rates.
            rates: all learning rates of the configuration, those of `TaskConfig.learning_rates` too.
        """
        return [make(groups)]

    def step(
        self,
        stack: Stack | ScanStack,
        generator: torch.Generator,
        optimizers: Sequence[torch.optim.Optimizer],
        optimize: Optimize,
    ) -> Tensor:
        """A whole training step of a `manual` task; returns the loss that the history shows, []."""
        loss = self.loss(stack, generator)
        optimize(loss, optimizers[0])
        return loss
