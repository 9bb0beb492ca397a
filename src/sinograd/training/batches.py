"""The data of each step: one stack after the other, or a batch of random patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from sinograd.data import Volume
from sinograd.datasets import PairedVolume, Patches
from sinograd.geometry import Grid
from sinograd.training.config import Config
from sinograd.training.data import ScanStack, Stack, TrainingData
from sinograd.training.random_streams import stack_of_step, stream

# Steps over which the losses of random patches are averaged to see whether they fall.
_PATCH_ROUND = 50


class Batches(Protocol):
    """round: after how many steps everything was used once; losses are averaged over that many."""

    round: int

    def of_step(self, step: int) -> Stack | ScanStack:
        """The stack of a step; the same in every call."""
        ...


class StackBatches:
    """Every stack once in each round, in an order drawn from the seed.

    With several processes, process `rank` of `ranks` takes every so many of this order.
    """

    def __init__(self, stacks: Sequence[Stack] | Sequence[ScanStack], seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.stacks, self.seed, self.rank, self.ranks = stacks, seed, rank, ranks
        self.round = math.ceil(len(stacks) / ranks)

    def of_step(self, step: int) -> Stack | ScanStack:
        """The stack whose turn it is."""
        return self.stacks[stack_of_step(self.seed, step * self.ranks + self.rank, len(self.stacks))]


class PatchBatches:
    """Random patches, other ones in every step and process."""

    round = _PATCH_ROUND

    def __init__(self, patches: Patches, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.patches, self.seed, self.rank, self.ranks = patches, seed, rank, ranks

    def of_step(self, step: int) -> Stack:
        """Inputs and targets [B, 1, h, w]."""
        noisy, clean = self.patches.batch(stream(self.seed, "patches", step * self.ranks + self.rank))
        return Stack(noisy, clean, "patches")


def build_batches(config: Config, data: TrainingData, rank: int = 0) -> Batches:
    """What the steps of a configuration train on. Raises TypeError and ValueError as `datasets.Patches`."""
    patches = patches_of(config, data)
    if patches is not None:
        return PatchBatches(patches, config.seed, rank, config.devices)
    stacks = [item for item in data.training if not isinstance(item, PairedVolume)]
    return StackBatches(config.task.stacks(stacks), config.seed, rank, config.devices)  # pyright: ignore


def patches_of(config: Config, data: TrainingData) -> Patches | None:
    """Patches of the volumes as the task wants them; None where whole stacks are trained on."""
    if config.data is None or config.data.patches is None:
        return None
    pairs = [
        item if isinstance(item, PairedVolume) else _paired(item, f"{item.name} ({number})")
        for number, item in enumerate(data.training)
        if not isinstance(item, ScanStack)
    ]
    return config.data.patches.build(config.task.pairs(pairs))


def _paired(stack: Stack, name: str) -> PairedVolume:
    inputs = tuple(_placed(values, stack.spacing) for values in (stack.input, *stack.others))
    target = None if stack.target is None else _placed(stack.target, stack.spacing)
    return PairedVolume(name, name, inputs, target, "1")


def _placed(values: Tensor, spacing: tuple[float, ...] | None) -> Volume | Tensor:
    return values if spacing is None else Volume(values, Grid(tuple(values.shape), spacing))
