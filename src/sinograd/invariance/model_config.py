"""Models of invariances in a training configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import nn

from sinograd.config.regular_files import check_file
from sinograd.errors import ConfigError, InputError, MissingPackageError
from sinograd.invariance.embedding import Embedding
from sinograd.invariance.flow import ConditionalFlow
from sinograd.invariance.vae import DEVIATION_HU, ConditionalVAE, Preset
from sinograd.training.model_config import Count, ModelConfig
from sinograd.training.random_streams import stream
from sinograd.training.samples import Samples, mean_and_deviation

Weights = Literal["random"] | Path

_LEAST, _MOST = 0.02, 20.0  # of the deviation of normalised images
_SIZES = {"published": 128, "small": 64}


@dataclass(frozen=True)
class InvarianceModel(ModelConfig):
    """What the models of this package share: images in HU, of one size."""

    name: str
    file_name: ClassVar[str] = "model.pt"
    rate: ClassVar[float] = 1e-5
    weight_decay: ClassVar[float] = 0.0

    @property
    def ndim(self) -> int:
        """Images."""
        return 2

    @property
    def loss_scale(self) -> float:
        """One of the normalised values."""
        return DEVIATION_HU

    def learning_rates(self) -> dict[str, float]:
        """The published one."""
        return {"network": self.rate}

    def resolved(self, samples: Samples) -> Self:
        """The same; ConfigError for images that are not in HU."""
        values = [ConditionalVAE.normalise(one.float()) for one in samples.inputs]
        mean, deviation = mean_and_deviation(values)
        if abs(mean) > _MOST or not _LEAST < deviation < _MOST:
            raise ConfigError(
                "data: expected images in HU, as models of invariances normalise them to mean 0 and deviation 1; got "
                f"mean {mean:g} and deviation {deviation:g} after it: convert them (unit: HU)"
            )
        return self

    def parameter_groups(self, model: nn.Module, rates: dict[str, float]) -> list[dict[str, Any]]:
        """All that is trained."""
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [{"params": weights, "lr": rates["network"], "weight_decay": self.weight_decay}]


@dataclass(frozen=True)
class VaeModel(InvarianceModel):
    """A conditional autoencoder, or its unconditional twin.

    Attributes:
        name: invariance-vae.
        preset: published (images of 128^2, 108.9 million parameters) or small (64^2).
        conditional: false for the twin, whose latents are those of the content similarity.
        weights: of the encoder: a file of torchvision's resnet50, or random.
    """

    name: Literal["invariance-vae"] = "invariance-vae"
    preset: Preset = "published"
    conditional: bool = True
    weights: Weights = "random"
    tasks: ClassVar[tuple[str, ...] | None] = ("invariance-vae",)

    @property
    def patch(self) -> int:
        """128 or 64."""
        return _SIZES[self.preset]

    def check(self) -> None:
        """ConfigError for ImageNet's weights in the small size, MissingFileError."""
        _check_weights(self.preset, self.weights)

    def build(self, seed: int) -> nn.Module:
        """Starting values follow from the seed."""
        return ConditionalVAE(self.preset, self.conditional, self.weights, stream(seed, "weights", 0))


@dataclass(frozen=True)
class FlowModel(InvarianceModel):
    """An invertible network of the latents of a trained autoencoder.

    Attributes:
        name: invariance-flow.
        latent, condition_size: those of the autoencoder: 256 and 128 of the published one, 64 and 64 of the small one.
        blocks: how many.
        hidden: width of the couplings' networks.
        embedding: length of the embedded condition.
        width: channels of the embedder's first convolution.
    """

    name: Literal["invariance-flow"] = "invariance-flow"
    latent: Count = 256
    condition_size: Count = 128
    blocks: Count = 12
    hidden: Count = 1024
    embedding: Count = 256
    width: Count = 64
    tasks: ClassVar[tuple[str, ...] | None] = ("invariance-flow",)

    @property
    def patch(self) -> int:
        """As the condition."""
        return self.condition_size

    def check(self) -> None:
        """ConfigError for sizes that cannot be; MissingPackageError without FrEIA."""
        try:
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                ConditionalFlow(*self._sizes, width=self.width)
        except MissingPackageError:
            raise
        except InputError as error:
            raise ConfigError(f"model.{error}") from error

    def build(self, seed: int) -> nn.Module:
        """Starting values and permutations follow from the seed."""
        return ConditionalFlow(*self._sizes, stream(seed, "weights", 0), self.width)

    @property
    def _sizes(self) -> tuple[int, int, int, int, int, int]:
        return self.latent, 1, self.condition_size, self.blocks, self.hidden, self.embedding


@dataclass(frozen=True)
class EmbeddingModel(InvarianceModel):
    """An embedding of images, of all denoisers together.

    Attributes:
        name: invariance-embedding.
        preset: published (ResNet-50) or small.
        length: of the vectors.
        weights: a file of torchvision's resnet50, or random.
    """

    name: Literal["invariance-embedding"] = "invariance-embedding"
    preset: Preset = "published"
    length: Count = 128
    weights: Weights = "random"
    tasks: ClassVar[tuple[str, ...] | None] = ("invariance-embedding",)
    weight_decay: ClassVar[float] = 4e-4

    @property
    def patch(self) -> int | None:
        """That of the samplers, which the task checks."""
        return None

    def check(self) -> None:
        """ConfigError for ImageNet's weights in the small size, MissingFileError."""
        _check_weights(self.preset, self.weights)

    def build(self, seed: int) -> nn.Module:
        """Starting values follow from the seed."""
        return Embedding(self.preset, self.length, self.weights, stream(seed, "weights", 0))


def _check_weights(preset: Preset, weights: Weights) -> None:
    if str(weights) == "random":
        return
    if preset == "small":
        raise ConfigError("model.weights: expected random, only the published size takes the weights of ResNet-50")
    words = f"model.weights: no file at {weights}; expected torchvision's weights of resnet50, or 'random'"
    check_file(Path(weights), words)
