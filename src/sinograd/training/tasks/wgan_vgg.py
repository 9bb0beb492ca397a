"""WGAN-VGG: a critic tells denoised from normal-dose patches, a perceptual loss keeps the content.

Q. Yang et al., "Low-dose CT image denoising using a generative adversarial network with Wasserstein distance and
perceptual loss", IEEE Transactions on Medical Imaging 37(6), 2018, section II and algorithm 1.

Settings that are known: the authors' code has Adam (0.5, 0.9) at 1e-4, batches of 128, four critic steps on other
batches each, loss_weight 0.1; ldct-benchmark Adam (0.326, 0.999) at 7.1e-5, one critic step, loss_weight 0.689,
patches of 77^2. Here all critic steps of a step see its batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from sinograd.config.schema import POSITIVE, Check
from sinograd.errors import ConfigError
from sinograd.networks.wgan_vgg import WGANVGGCritic
from sinograd.training.data import ScanStack, Stack
from sinograd.training.model_config import Count, ModelConfig
from sinograd.training.random_streams import stream
from sinograd.training.task_config import LossChoice
from sinograd.training.tasks.adversarial import (
    AdversarialChoice,
    AdversarialConfig,
    AdversarialTask,
    adversarial_loss,
    adversarial_schema,
    frozen,
)
from sinograd.training.tasks.task import Groups, MakeOptimizer, Optimize, Task

_PATCH = Check("a whole number of at least 29", lambda value: value >= 29)


@dataclass(frozen=True)
class WganVgg(AdversarialConfig):
    """Wasserstein GAN with a perceptual loss; the model is the generator.

    Attributes:
        name: wgan-vgg.
        loss: between the denoised patch and the target, {name: perceptual, weights: FILE} as published.
        loss_weight: what it is multiplied by, beside the critic's opinion.
        adversarial: of both players: wasserstein, or least-squares.
        critic_steps: of the critic for each of the generator, all on the same batch.
        patch: rows and columns of the patches, as the critic takes one size alone.
    """

    name: Literal["wgan-vgg"] = "wgan-vgg"
    loss: LossChoice = field(kw_only=True)
    loss_weight: Annotated[float, POSITIVE] = 0.1
    adversarial: AdversarialChoice = field(default_factory=lambda: adversarial_schema("wasserstein")())
    critic_steps: Count = 4
    patch: Annotated[int, _PATCH] = 64

    def learning_rates(self) -> dict[str, float]:
        """The critic's is that of the generator."""
        return {"critic": 7.1e-5}

    def check_images(self, shape: Sequence[int]) -> None:
        """ConfigError for patches of another size than the critic takes."""
        if tuple(shape[-2:]) != (self.patch, self.patch):
            size = " x ".join(map(str, shape[-2:]))
            raise ConfigError(f"expected {self.patch} x {self.patch}, which the critic takes (task.patch), got {size}")

    def build(self, model: nn.Module, settings: ModelConfig, seed: int) -> Task:
        """The critic's starting values follow from the seed."""
        return WganVggTask(model, settings.loss_scale, self, seed)


class WganVggTask(AdversarialTask):
    """Steps of the critic, then one of the generator; see `WganVgg`."""

    def __init__(self, model: nn.Module, scale: float, options: WganVgg, seed: int) -> None:
        super().__init__(model, scale, options.loss)
        self.options, self.opponents = options, adversarial_loss(options.adversarial)
        self.critic = WGANVGGCritic(options.patch, generator=stream(seed, "critic", 0))
        self.extra["critic"] = self.critic

    def optimizers(
        self, make: MakeOptimizer, groups: Groups, rates: Mapping[str, float]
    ) -> Sequence[torch.optim.Optimizer]:
        """Of the generator and of the critic."""
        return [make(groups), make([{"params": list(self.critic.parameters()), "lr": rates["critic"]}])]

    def step(
        self,
        stack: Stack | ScanStack,
        generator: torch.Generator,
        optimizers: Sequence[torch.optim.Optimizer],
        optimize: Optimize,
    ) -> Tensor:
        """Returns the generator's loss; the history has the critic's and its penalty besides."""
        assert isinstance(stack, Stack) and stack.target is not None
        real = self.images(stack.target)
        for _ in range(self.options.critic_steps):
            with torch.no_grad():
                fake = self.images(self.model(stack.input))
            penalty = self.opponents.penalty(self.critic, real, fake, generator)
            loss = self.opponents.critic(self.critic(real), self.critic(fake)) + penalty
            optimize(loss, optimizers[1])
            self.figures = {"critic_loss": loss.detach(), "critic_penalty": penalty.detach()}
        denoised = self.prediction(stack)
        with frozen(self.critic):
            content = self.options.loss_weight * self.difference(denoised, stack.target)
            total = content + self.opponents.generator(self.critic(self.images(denoised)))
            optimize(total, optimizers[0])
        self.figures["content_loss"] = content.detach()
        return total
