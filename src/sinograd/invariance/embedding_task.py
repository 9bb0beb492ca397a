"""Training of the embedding: equation 8, triplets of images and of samples of their invariances.

Eulig et al., Medical Physics 52(1), 2025, equation 8. One embedding is trained with the samples of all denoisers, so
that they can be compared in it. Published settings (K. Roth et al., ICML 2020): 112 images a step, `optimizer: adam`
with weight decay 4e-4, which the model brings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sinograd.config.schema import Check
from sinograd.errors import ConfigError
from sinograd.invariance.denoisers import PAIRED
from sinograd.invariance.embedding import Embedding, triplet_loss, triplets
from sinograd.invariance.model_files import load_sampler
from sinograd.invariance.sampler import Sampler
from sinograd.invariance.task import CropTask, InvarianceConfig, files_of, loaded
from sinograd.invariance.vae import ConditionalVAE
from sinograd.training.data import ScanStack, Stack
from sinograd.training.data_config import Data
from sinograd.training.model_config import Count, ModelConfig
from sinograd.training.tasks.task import Task

_SOME = Check("a list that is not empty", lambda value: len(value) > 0)


@dataclass(frozen=True)
class InvarianceEmbedding(InvarianceConfig):
    """An embedding in which crops lie near the samples of their own invariances.

    Attributes:
        name: invariance-embedding.
        samplers: files of trained flows, or their runs' folders, of all denoisers that are compared.
        samples: of each crop in a step, all of one denoiser that is drawn.
    """

    name: Literal["invariance-embedding"] = "invariance-embedding"
    samplers: Annotated[tuple[Path, ...], _SOME] = field(kw_only=True)
    samples: Count = 1
    models: ClassVar[tuple[str, ...] | None] = ("invariance-embedding",)
    loss_falls: ClassVar[bool] = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The samplers'."""
        return files_of(*self.samplers)

    @property
    def takes_targets(self) -> bool:
        """Where one of the samplers needs them."""
        return any(one.denoiser.name == PAIRED for one in self.loaded())

    def check_data(self, data: Data) -> None:
        """ConfigError for patches of another size than the samplers', or batches without negatives."""
        size = self.loaded()[0].size
        if data.patches is not None and data.patches.size not in (size, (size, size)):
            raise ConfigError(f"data.patches.size: expected {size}, of the samplers' crops, got {data.patches.size}")
        if data.patches is not None and data.patches.per_batch < 2:
            raise ConfigError("data.patches.per_batch: expected at least 2, for negatives, got 1")

    def check_model(self, model: ModelConfig) -> None:
        """ConfigError for samplers of different sizes; file errors for damaged ones."""
        self.loaded()

    def loaded(self) -> list[Sampler]:
        """The samplers."""
        held: list[Sampler] = [loaded(load_sampler, path, "samplers") for path in self.samplers]
        sizes = [one.size for one in held]
        if len(set(sizes)) > 1:
            raise ConfigError(f"task.samplers: expected crops of one size, got {', '.join(map(str, sizes))}")
        return held

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """Nothing random."""
        assert isinstance(model, Embedding)
        return EmbeddingTask(model, self.loaded(), self.samples)

    def held(self, model: Any) -> Embedding:
        """The embedding alone."""
        return model


class EmbeddingTask(CropTask):
    """The loss of semi-hard triplets; see `InvarianceEmbedding`."""

    least = 2  # a crop and a negative

    def __init__(self, model: Embedding, samplers: list[Sampler], samples: int) -> None:
        super().__init__(model, None, samplers[0].size)
        self.embedding, self.samplers, self.samples = model, samplers, samples

    def loss(self, stack: Stack | ScanStack, generator: torch.Generator) -> Tensor:
        """Of one denoiser that is drawn."""
        return self.loss_of_crops(*self.crops(stack), generator)

    def loss_of_crops(self, x: Tensor, target: Tensor | None, generator: torch.Generator) -> Tensor:
        """As `loss`."""
        sampler = self.samplers[int(torch.randint(len(self.samplers), (), generator=generator))]
        sampler.vae.to(x.device)
        sampler.flow.to(x.device)
        drawn = sampler(x, self.samples, generator, target).transpose(0, 1).flatten(0, 1)
        codes = self.embedding(ConditionalVAE.normalise(torch.cat([x, drawn])))
        labels = torch.arange(len(x)).repeat(1 + self.samples)
        return triplet_loss(codes, triplets(codes, labels, generator))
