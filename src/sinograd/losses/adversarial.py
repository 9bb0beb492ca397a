"""Losses of networks that compete: what a critic, or discriminator, says of real and of generated images.

They compare scores, not images, so they stand in a registry of their own, `sinograd.choices.ADVERSARIAL_LOSSES`; the
tasks wgan-vgg and du-gan take them from a configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from sinograd.errors import InputError

Critic = Callable[[Tensor], Tensor]


class AdversarialLoss(Protocol):
    """What both players minimise. Scores are of any shape; images [B, 1, Y, X]."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's loss, [], of its scores of real and of generated images."""
        ...

    def generator(self, fake: Tensor) -> Tensor:
        """The generator's loss, [], of the critic's scores of its images."""
        ...

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """What is added to the critic's loss, []; 0 without one."""
        ...


class Wasserstein:
    """An estimate of the Wasserstein distance, with a penalty that keeps the critic's slope near 1.

    M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein generative adversarial networks", ICML 2017; I. Gulrajani et al.,
    "Improved training of Wasserstein GANs", NIPS 2017, equation 3: the critic minimises
    mean D(fake) - mean D(real) + penalty * mean (|grad D(x)| - 1)^2, x random points between real and fake images, the
    gradient of each image over all its pixels.

    Args:
        penalty: weight of the gradients' deviation from 1.
    """

    def __init__(self, penalty: float = 10.0) -> None:
        if not 0 <= penalty < math.inf:
            raise InputError(f"penalty: expected a number that is not negative, got {penalty}")
        self.weight = penalty

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean D(fake) - mean D(real)."""
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor) -> Tensor:
        """-mean D(fake)."""
        return -fake.mean()

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """The weighted penalty, at one point between each real and generated image."""
        shape = (len(real), *[1] * (real.ndim - 1))
        share = torch.rand(shape, generator=generator, dtype=real.dtype).to(real.device)
        between = (share * real + (1 - share) * fake).detach().requires_grad_()
        (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return self.weight * (slopes.flatten(1).norm(dim=1) - 1).square().mean()


class LeastSquares:
    """Squared distance of scores to 1 for real and to 0 for generated images.

    X. Mao et al., "Least squares generative adversarial networks", ICCV 2017, equation 9 without the factors 1/2, as
    DU-GAN uses it.
    """

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean (D(real) - 1)^2 + mean D(fake)^2."""
        return self.distance(real, 1.0) + self.distance(fake, 0.0)

    def generator(self, fake: Tensor) -> Tensor:
        """Mean (D(fake) - 1)^2."""
        return self.distance(fake, 1.0)

    def penalty(self, critic: Critic, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
        """None: 0."""
        return real.new_zeros(())

    def distance(self, scores: Tensor, label: Tensor | float) -> Tensor:
        """Mean (D - label)^2; labels: one number, or one for each score."""
        return (scores - label).square().mean()
