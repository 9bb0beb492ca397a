"""Noise2Noise: from one realisation of the noise to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sinograd.datasets import PairedVolume
from sinograd.errors import ConfigError, InputError
from sinograd.training.data import ScanStack, Stack
from sinograd.training.data_config import StackFiles
from sinograd.training.model_config import ModelConfig
from sinograd.training.task_config import LossChoice, TaskConfig
from sinograd.training.tasks.supervised import SupervisedTask
from sinograd.training.tasks.task import Task


@dataclass(frozen=True)
class Noise2Noise(TaskConfig):
    """One realisation of the noise is denoised and compared with another, in all N (N - 1) ordered pairs of N.

    J. Lehtinen et al., ICML 2018. With mse the model learns the mean of what the noise leaves possible, with mae the
    median. Only validation uses targets.

    Attributes:
        name: noise2noise.
        loss: between the denoised realisation and the other one.
    """

    name: Literal["noise2noise"] = "noise2noise"
    loss: LossChoice = "mse"
    needs_target: ClassVar[bool] = False

    def check_files(self, files: StackFiles, where: str, *, trained: bool) -> None:
        """At least two realisations, but for validation with a target."""
        if len(files.inputs) < 2 and (trained or files.target is None):
            raise ConfigError(f"{where}.input: expected at least two realisations of the noise for noise2noise, got 1")

    def check_item(self, item: Stack | ScanStack | PairedVolume, *, trained: bool) -> None:
        """At least two realisations, but for validation with a target."""
        assert not isinstance(item, ScanStack)
        count = len(item.inputs) if isinstance(item, PairedVolume) else 1 + len(item.others)
        if count < 2 and (trained or item.target is None):
            raise InputError(f"{item.name}: noise2noise needs at least two realisations of the noise, got {count}")

    def stacks(self, stacks: Sequence[Stack] | Sequence[ScanStack]) -> Sequence[Stack]:
        """Every ordered pair of realisations."""
        return [pair for stack in stacks if isinstance(stack, Stack) for pair in ordered_pairs(stack)]

    def pairs(self, pairs: Sequence[PairedVolume]) -> Sequence[PairedVolume]:
        """Without targets, so that pairs of realisations are drawn."""
        return [dataclasses.replace(pair, target=None) for pair in pairs]

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """In units of the model's scale."""
        return Noise2NoiseTask(model, settings.loss_scale, self.loss)


class Noise2NoiseTask(SupervisedTask):
    """The difference to another realisation, which stands as the target of a training step."""

    def validation_loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """To the target; without one, of the first realisation to the second."""
        assert isinstance(stack, Stack)
        target = stack.others[0] if stack.target is None else stack.target
        return self.difference(self.prediction(stack), target)


def ordered_pairs(stack: Stack) -> list[Stack]:
    """All N (N - 1) stacks whose input and target are two different ones of N realisations."""
    realisations = (stack.input, *stack.others)
    return [
        Stack(one, other, stack.name, stack.spacing)
        for i, one in enumerate(realisations)
        for j, other in enumerate(realisations)
        if i != j
    ]
