"""Training of the invertible network: equation 6 on latents that are drawn from a trained autoencoder.

Eulig et al., Medical Physics 52(1), 2025; as in the public code (eeulig/ldct-invariances) latents are drawn from their
posterior, not its mean, and the autoencoder stays as it is. Published settings: 128 crops a step, 47,000 steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sinograd.errors import ConfigError
from sinograd.invariance.flow import ConditionalFlow, flow_loss
from sinograd.invariance.model_config import FlowModel
from sinograd.invariance.model_files import load_autoencoder
from sinograd.invariance.sampler import Autoencoder, Sampler
from sinograd.invariance.task import (
    CropTask,
    DenoiserChoice,
    InvarianceConfig,
    check_size,
    checked_denoiser,
    files_of,
    in_task,
    loaded,
)
from sinograd.invariance.vae import ConditionalVAE
from sinograd.training.data import ScanStack, Stack
from sinograd.training.data_config import Data
from sinograd.training.model_config import Count, ModelConfig
from sinograd.training.task_config import LATER
from sinograd.training.tasks.task import Task


@dataclass(frozen=True)
class InvarianceFlow(InvarianceConfig):
    """The invertible network of the latents of a trained autoencoder.

    Attributes:
        name: invariance-flow.
        autoencoder: the file of a trained conditional one, or its run's folder.
        denoiser: the one that it was trained for, as in the task invariance-vae.
        draws: of the latents of each crop in a step, from its posterior; more make the loss less noisy.
        own: in Python, a callable denoiser.
    """

    name: Literal["invariance-flow"] = "invariance-flow"
    autoencoder: Path = field(kw_only=True)
    denoiser: DenoiserChoice | None = None
    draws: Count = field(default=1, metadata=LATER)
    own: Any = field(default=None, metadata={"plain": False})
    models: ClassVar[tuple[str, ...] | None] = ("invariance-flow",)

    @property
    def files(self) -> tuple[Path, ...]:
        """The autoencoder's and the denoiser's."""
        return files_of(self.autoencoder, self.denoiser)

    def check_data(self, data: Data) -> None:
        """ConfigError for batches of one crop, which activation normalisation cannot start from."""
        if data.patches is not None and data.patches.per_batch < 2:
            raise ConfigError("data.patches.per_batch: expected at least 2 for the first step, got 1")

    def check_model(self, model: ModelConfig) -> None:
        """ConfigError for an autoencoder of another denoiser or another size; file errors for damaged ones."""
        assert isinstance(model, FlowModel)
        vae = self.loaded().vae
        check_size(str(self.autoencoder), (vae.latent, vae.size), (model.latent, model.condition_size), model)

    def loaded(self) -> Autoencoder:
        """The autoencoder; ConfigError unless it is a conditional one of the denoiser."""
        denoiser = checked_denoiser(self.denoiser, self.own)
        if denoiser is None:
            raise ConfigError("task.denoiser: missing, expected the one that the autoencoder was trained for")
        held: Autoencoder = (
            loaded(load_autoencoder, self.autoencoder, "autoencoder")
            if self.own is None
            else in_task(lambda: load_autoencoder(self.autoencoder, self.own), "autoencoder")
        )
        if held.denoiser is None:
            raise ConfigError(f"task.autoencoder: expected a conditional one, {self.autoencoder} is unconditional")
        in_task(lambda: denoiser.check_same(held.denoiser, str(self.autoencoder)))  # pyright: ignore
        return held

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """Nothing random."""
        assert isinstance(model, ConditionalFlow)
        return FlowTask(model, self.loaded(), self.draws)

    def held(self, model: Any) -> Sampler:
        """All that sampling needs."""
        autoencoder = self.loaded()
        assert autoencoder.denoiser is not None
        return Sampler(autoencoder.denoiser, autoencoder.vae, model)


class FlowTask(CropTask):
    """Negative log-likelihood of latents; see `InvarianceFlow`."""

    def __init__(self, model: ConditionalFlow, autoencoder: Autoencoder, draws: int = 1) -> None:
        super().__init__(model, autoencoder.denoiser, autoencoder.vae.size)
        self.flow, self.vae, self.draws = model, autoencoder.vae.eval().requires_grad_(False), draws

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """Of latents that are drawn."""
        return self.loss_of_crops(*self.crops(stack), generator)

    def loss_of_crops(self, x: Tensor, target: Tensor | None, generator: torch.Generator) -> Tensor:
        """As `loss`."""
        condition = self.condition(x, target)
        assert condition is not None
        with torch.no_grad():
            posterior = self.vae.to(x.device).encode(ConditionalVAE.normalise(x), condition)
            z = torch.stack([posterior.sample(generator) for _ in range(self.draws)])
        v, log_determinant = self.flow.of_draws(z, condition)
        return flow_loss(v.flatten(0, 1), log_determinant.flatten())
