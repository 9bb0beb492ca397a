"""How good a trained model is beside doing nothing: the loss and the PSNR of the untouched input and of its output."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sinograd.datasets import PairedVolume
from sinograd.models import DualDomainBilateral, bilateral_filters
from sinograd.models.bilateral import is_bilateral_stack
from sinograd.training.data import ScanStack, Stack, TrainingData
from sinograd.training.effect import LEAST_SHARE, share_of_change
from sinograd.training.tasks.dual_domain import DualDomainTask
from sinograd.training.tasks.task import Task, middle
from sinograd.training.validation import parts_of

_ITEMS = 4  # that are looked at where nothing validates
_SLICES = 8  # of each paired volume then
_SLAB = 32  # slices in the middle of each, for networks of volumes, whose losses look at neighbourhoods


@dataclass(frozen=True)
class Quality:
    """What a model made of the validation data, or of some training data where there are none.

    Attributes:
        on: "validation" or "training".
        input_loss, loss: the task's loss of the untouched input, None where a module reconstructs, and of the output.
        input_psnr, psnr: dB, of the mean squared error over all of them.
        data_range: of the PSNR: what the targets span, in the unit of the data.
        switched_off: names of bilateral filters that change their input by less than 0.0001 of its noise.
    """

    on: str
    input_loss: float | None
    loss: float
    input_psnr: float | None
    psnr: float
    data_range: float
    switched_off: tuple[str, ...]


@torch.no_grad()
def measure_quality(task: Task, model: nn.Module, data: TrainingData, slices: int | None) -> Quality | None:
    """The quality of a trained model on the CPU; None without targets. slices: as `validation.slices`."""
    validated = bool(data.validation)
    items = data.validation if validated else data.training[:_ITEMS]
    of_volumes = getattr(model, "ndim", 2) == 3
    stacks = [stack for item in items for stack in _stacks(item, slices if validated else _SLICES, of_volumes)]
    stacks = [stack for stack in stacks if stack.target is not None]
    if not stacks:
        return None
    model = model.eval()
    after = _Errors(task, _with_model(task, model))
    before = _Errors(task, _untouched(task, model))
    for stack in stacks:
        for errors in (after, before):
            errors.add(stack)
    low = min(float(stack.target.min()) for stack in stacks if stack.target is not None)
    high = max(float(stack.target.max()) for stack in stacks if stack.target is not None)
    return Quality(
        "validation" if validated else "training",
        before.loss,
        after.loss if after.loss is not None else math.nan,
        before.psnr(high - low),
        after.psnr(high - low) or math.nan,
        high - low,
        _switched_off(model, stacks[0]),
    )


class _Errors:
    """Mean losses and squared errors of what a task predicts."""

    def __init__(self, task: Task, predicting: Task | None) -> None:
        self.task, self.predicting = task, predicting
        self._losses: list[float] = []
        self._weights: list[int] = []
        self._squares = 0.0

    def add(self, stack: Stack | ScanStack) -> None:
        """Take one stack."""
        if self.predicting is None:
            return
        predicted, target = self.predicting.prediction(stack), stack.target
        assert target is not None
        target = middle(target, predicted.shape)
        self._losses.append(float(self.task.measure(predicted, target, scale=self.task.scale)))
        self._weights.append(target.numel())
        self._squares += float((predicted.double() - target.double()).square().sum())

    @property
    def loss(self) -> float | None:
        """The mean, weighted by voxels."""
        if not self._losses:
            return None
        return math.fsum(a * n for a, n in zip(self._losses, self._weights, strict=True)) / sum(self._weights)

    def psnr(self, data_range: float) -> float | None:
        """10 log10 of the squared range over the mean squared error; infinite where there is none."""
        if not self._losses:
            return None
        mean = self._squares / sum(self._weights)
        return math.inf if mean == 0 else 10 * math.log10(data_range**2 / mean) if data_range > 0 else math.nan


def _with_model(task: Task, model: nn.Module) -> Task:
    """The task with another model, and nothing remembered of the old one."""
    other = copy.copy(task)
    other.model = model
    if isinstance(other, DualDomainTask):
        other.forget()
    return other


def _untouched(task: Task, model: nn.Module) -> Task | None:
    """What doing nothing predicts: the input, or its plain reconstruction."""
    if not isinstance(task, DualDomainTask):
        return _with_model(task, nn.Identity())
    if not isinstance(model, DualDomainBilateral):
        return None
    return _with_model(task, DualDomainBilateral([], [], ramp_window=model.ramp_window, cutoff=model.cutoff))


def _stacks(
    item: Stack | ScanStack | PairedVolume, slices: int | None, of_volumes: bool
) -> Iterator[Stack | ScanStack]:
    if not isinstance(item, PairedVolume):
        yield item
        return
    count = item.shape[0]
    middle_first = max(0, (count - _SLAB) // 2)
    slab = [(middle_first, min(count, middle_first + _SLAB))]
    for first, end in slab if of_volumes else parts_of(count, slices):
        target = None if item.target is None else item.target.read(first, end)
        yield Stack(item.inputs[0].read(first, end), target, item.name)


def _switched_off(model: nn.Module, stack: Stack | ScanStack) -> tuple[str, ...]:
    """Of stacked filters those that change nothing, each tried on what it gets."""
    names = {id(layer): name for name, layer in bilateral_filters(model).items()}
    if isinstance(stack, ScanStack):
        if not isinstance(model, DualDomainBilateral):
            return ()
        layers: Sequence[nn.Module] = list(model.over(stack.geometry, stack.grid))
        values: Tensor = stack.projections
    elif is_bilateral_stack(model):
        assert isinstance(model, nn.Sequential)
        layers, values = list(model), stack.input
    else:
        return ()
    found = []
    for layer in layers:
        after = layer(values)
        if id(layer) in names and share_of_change(values, after) < LEAST_SHARE:
            found.append(names[id(layer)])
        values = after
    return tuple(found)
