"""End to end from projections, through the reconstruction, to the volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sinograd.config.schema import NOT_NEGATIVE
from sinograd.errors import InputError
from sinograd.models import DualDomainBilateral
from sinograd.training.data import ScanStack, Stack, load_scan
from sinograd.training.data_config import StackFiles
from sinograd.training.model_config import ModelConfig
from sinograd.training.task_config import LATER, LossChoice, TaskConfig
from sinograd.training.tasks.supervised import SupervisedTask
from sinograd.training.tasks.task import Task


@dataclass(frozen=True)
class DualDomain(TaskConfig):
    """End to end from projections: the loss of the volume.

    Attributes:
        name: dual-domain.
        row_margin: detector rows kept above and below those that the region needs, for filters of the projections.
        recompute: keep only what enters each layer and compute its inside again in the backward pass: less memory, more
            time.
        loss: of the volume.
    """

    name: Literal["dual-domain"] = "dual-domain"
    row_margin: Annotated[int, NOT_NEGATIVE] = 8
    recompute: bool = True
    loss: LossChoice = field(default="mse", metadata=LATER)
    takes_scans: ClassVar[bool] = True

    def load(self, files: StackFiles) -> ScanStack:
        """The scan's rows that the region needs, and the region of the target."""
        return load_scan(files, self.row_margin)

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """In units of the volume's scale."""
        return DualDomainTask(model, settings.loss_scale, self.recompute, self.loss)


class DualDomainTask(SupervisedTask):
    """The loss of the volume that a model makes of projections.

    Of a `DualDomainBilateral` that is a plain sequence of layers for each scan; any other module is called with the
    projections alone, and brings its reconstruction along.
    """

    def __init__(self, model: nn.Module, scale: float, recompute: bool, loss: Any = "mse") -> None:
        super().__init__(model, scale, loss)
        self.recompute = recompute
        self._sequences: list[tuple[ScanStack, nn.Sequential]] = []

    def prediction(self, stack: Stack | ScanStack) -> Tensor:
        """The denoised volume."""
        assert isinstance(stack, ScanStack)
        if not isinstance(self.model, DualDomainBilateral):
            return self._volume(stack)
        sequence = self.sequence(self.model, stack)
        if self.recompute and torch.is_grad_enabled():
            return run_recomputing(sequence, stack.projections)
        return sequence(stack.projections)

    def forget(self) -> None:
        """No sequence is kept; for a copy with another model."""
        self._sequences = []

    def _volume(self, stack: ScanStack) -> Tensor:
        """What a module of one's own makes of projections; InputError for another shape than the target's."""
        volume = self.model(stack.projections)
        if not isinstance(volume, Tensor) or volume.shape != stack.target.shape:
            got = list(volume.shape) if isinstance(volume, Tensor) else type(volume).__name__
            raise InputError(f"{stack.name}: the model made {got} of it, the target is {list(stack.target.shape)}")
        return volume

    def sequence(self, model: DualDomainBilateral, stack: ScanStack) -> nn.Sequential:
        """Filters, reconstruction of this scan, filters; made once for each geometry."""
        for known, sequence in self._sequences:
            if known.geometry is stack.geometry and known.grid is stack.grid:
                return sequence
        sequence = model.over(stack.geometry, stack.grid, recompute=self.recompute)
        self._sequences.append((stack, sequence.to(stack.projections.device)))
        return self._sequences[-1][1]


def run_recomputing(sequence: nn.Sequential, x: Tensor) -> Tensor:
    """`sequence(x)`, which keeps for the backward pass what enters each layer and computes the rest again.

    Layers that have a way of their own to do so (`FDK(recompute=True)`) are left to it.
    """
    for layer in sequence:
        if getattr(layer, "recompute", False):
            x = layer(x)
        else:
            x = checkpoint(layer, x, use_reentrant=False, preserve_rng_state=False)  # pyright: ignore
    return x
