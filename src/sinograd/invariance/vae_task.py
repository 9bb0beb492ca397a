"""Training of the autoencoder: equation 4, a perceptual term and a critic.

Eulig et al., Medical Physics 52(1), 2025, equation 4 and the text below it; order and weights of the public code
(eeulig/ldct-invariances): one step of the critic, on a fresh reconstruction, then one of the autoencoder. The critic
sees (reconstruction, condition) against (image, condition), with a gradient penalty over both channels. Published
settings: `model: {weights: FILE}` of ImageNet, `optimizer: {betas: [0.5, 0.999]}`, 64 crops a step, 75,600 steps.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sinograd.config.schema import NOT_NEGATIVE
from sinograd.errors import ConfigError
from sinograd.invariance.model_config import VaeModel, Weights
from sinograd.invariance.sampler import Autoencoder
from sinograd.invariance.task import CropTask, DenoiserChoice, InvarianceConfig, checked_denoiser, files_of, in_task
from sinograd.invariance.vae import ConditionalVAE, Posterior
from sinograd.invariance.vae_loss import DIVERGENCE, FEATURES, PIXELS, PatchCritic, divergence, perceptual
from sinograd.losses.adversarial import Wasserstein
from sinograd.losses.vgg import VGGFeatures, load_vgg
from sinograd.training.data import ScanStack, Stack
from sinograd.training.model_config import Count, ModelConfig
from sinograd.training.random_streams import stream
from sinograd.training.tasks.adversarial import frozen
from sinograd.training.tasks.task import Groups, MakeOptimizer, Optimize, Task

Weight = Annotated[float, NOT_NEGATIVE]
_LAYER = 22  # of VGG16: relu4_3


@dataclass(frozen=True)
class InvarianceVae(InvarianceConfig):
    """The autoencoder of crops beside their denoised ones, or of crops alone (`conditional: false`).

    Attributes:
        name: invariance-vae.
        denoiser: identity, constant, lesion-eraser, the file of a model, or paired: targets are what it made.
        pixels: weight of the sum over pixels of absolute differences, mean over crops.
        divergence: weight of the latents' divergence from N(0, I).
        features: weight of the differences in VGG16; 0: none.
        vgg: a file of torchvision's weights of vgg16, or random, which is no perceptual loss and stands in the record.
        adversarial: weight of what the critic says; 0: no critic.
        critic_width: channels of its first convolution.
        own: in Python, a callable denoiser.
    """

    name: Literal["invariance-vae"] = "invariance-vae"
    denoiser: DenoiserChoice | None = None
    pixels: Weight = PIXELS
    divergence: Weight = DIVERGENCE
    features: Weight = FEATURES
    vgg: Weights | None = None
    adversarial: Weight = 1.0
    critic_width: Count = 64
    own: Any = field(default=None, metadata={"plain": False})
    models: ClassVar[tuple[str, ...] | None] = ("invariance-vae",)
    loss_falls: ClassVar[bool] = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Random features are none."""
        return ("perceptual term with random vgg16 weights",) if self.features and str(self.vgg) == "random" else ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The denoiser's."""
        return files_of(self.denoiser)

    def learning_rates(self) -> dict[str, float]:
        """Of the critic."""
        return {"critic": 4e-5}

    def check_model(self, model: ModelConfig) -> None:
        """ConfigError for a denoiser that is missing or too many, or a perceptual term without weights."""
        assert isinstance(model, VaeModel)
        denoiser = checked_denoiser(self.denoiser, self.own)
        if model.conditional and denoiser is None:
            raise ConfigError("task.denoiser: missing, expected one for a conditional autoencoder")
        if not model.conditional and denoiser is not None:
            raise ConfigError(f"task.denoiser: expected null for an unconditional autoencoder, got {denoiser.name}")
        if self.features and self.vgg is None:
            raise ConfigError("task.vgg: missing, expected a file of torchvision's vgg16, random, or features: 0")
        if self.features and self.vgg is not None:
            vgg = self.vgg
            in_task(lambda: load_vgg(vgg, "vgg16", _LAYER), "vgg")

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """The critic's starting values follow from the seed."""
        assert isinstance(model, ConditionalVAE)
        return VaeTask(model, self, seed)

    def held(self, model: Any) -> Autoencoder:
        """The autoencoder and its denoiser."""
        return Autoencoder(model, checked_denoiser(self.denoiser, self.own))


class VaeTask(CropTask):
    """A step of the critic and one of the autoencoder; see `InvarianceVae`."""

    manual = True

    def __init__(self, model: ConditionalVAE, options: InvarianceVae, seed: int) -> None:
        super().__init__(model, checked_denoiser(options.denoiser, options.own), model.size)
        self.vae, self.options, self.opponents = model, options, Wasserstein()
        self._vgg: VGGFeatures | None = None
        if options.features:
            assert options.vgg is not None
            self._vgg = load_vgg(options.vgg, "vgg16", _LAYER)
        if options.adversarial:
            self.critic = PatchCritic(model.size, model.conditional, options.critic_width, stream(seed, "critic", 0))
            self.extra["critic"] = self.critic

    def optimizers(
        self, make: MakeOptimizer, groups: Groups, rates: Mapping[str, float]
    ) -> Sequence[torch.optim.Optimizer]:
        """Of the autoencoder and, if there is one, of the critic."""
        made = [make(groups)]
        if self.options.adversarial:
            made.append(make([{"params": list(self.critic.parameters()), "lr": rates["critic"]}]))
        return made

    def step(
        self,
        stack: Stack | ScanStack,
        generator: torch.Generator,
        optimizers: Sequence[torch.optim.Optimizer],
        optimize: Optimize,
    ) -> Tensor:
        """Returns the autoencoder's loss; the history has its terms and the critic's loss besides."""
        x, target = self.crops(stack)
        condition, x = self.condition(x, target), ConditionalVAE.normalise(x)
        self.figures = {}
        if self.options.adversarial:
            self._step_of_critic(x, condition, generator, optimizers[1], optimize)
        reconstruction, posterior = self.vae(x, condition, generator)
        loss = self._loss(x, reconstruction, posterior)
        if not self.options.adversarial:
            optimize(loss, optimizers[0])
            return loss
        with frozen(self.critic):
            opinion = self.opponents.generator(self.critic(_seen(reconstruction, condition)))
            optimize(loss + self.options.adversarial * opinion, optimizers[0])
        return loss

    def _step_of_critic(
        self,
        x: Tensor,
        condition: Tensor | None,
        generator: torch.Generator,
        optimizer: torch.optim.Optimizer,
        optimize: Optimize,
    ) -> None:
        with torch.no_grad():
            fake = _seen(self.vae(x, condition, generator)[0], condition)
        real = _seen(x, condition)
        penalty = self.opponents.penalty(self.critic, real, fake, generator)
        loss = self.opponents.critic(self.critic(real), self.critic(fake)) + penalty
        optimize(loss, optimizer)
        self.figures |= {"critic_loss": loss.detach(), "critic_penalty": penalty.detach()}

    def loss_of_crops(self, x: Tensor, target: Tensor | None, generator: torch.Generator) -> Tensor:
        """Without the critic's opinion; latents are drawn."""
        condition, x = self.condition(x, target), ConditionalVAE.normalise(x)
        return self._loss(x, *self.vae(x, condition, generator))

    def _loss(self, x: Tensor, reconstruction: Tensor, posterior: Posterior) -> Tensor:
        """Equation 4 and the perceptual term; its parts become figures."""
        options, error = self.options, (x - reconstruction).abs()
        nats = divergence(posterior)
        loss = options.pixels * error.sum() / len(x) + options.divergence * nats
        if self._vgg is not None:
            if next(self._vgg.parameters()).device != x.device:  # the one that is shared stays where it is
                self._vgg = copy.deepcopy(self._vgg).to(x.device)
            loss = loss + perceptual(x, reconstruction, self._vgg, options.features)
        self.figures |= {"mean_difference": error.detach().mean(), "divergence": nats.detach()}
        return loss


def _seen(images: Tensor, condition: Tensor | None) -> Tensor:
    """What the critic sees."""
    return images if condition is None else torch.cat([images, condition], dim=1)
