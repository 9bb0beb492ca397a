"""A denoiser with the models that were trained for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.invariance.denoisers import KnownDenoiser
from sinograd.invariance.flow import ConditionalFlow
from sinograd.invariance.sampling import denoise, sample_given
from sinograd.invariance.vae import ConditionalVAE


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """An autoencoder and the denoiser whose images are its conditions; None of the unconditional twin."""

    vae: ConditionalVAE
    denoiser: KnownDenoiser | None


@dataclass(frozen=True, eq=False)
class Sampler:
    """What is needed to sample the invariances of one denoiser.

    Attributes:
        denoiser: whose they are.
        vae, flow: trained for it.
    """

    denoiser: KnownDenoiser
    vae: ConditionalVAE
    flow: ConditionalFlow

    @property
    def size(self) -> int:
        """Rows and columns of the images."""
        return self.vae.size

    def condition(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """The denoised images of x [B, 1, size, size] in HU: `target` of a denoiser whose images come with the data.

        Raises InputError where these are missing, and as `denoise`.
        """
        return condition_of(self.denoiser, x, target)

    @torch.no_grad()
    def __call__(
        self,
        x: Tensor,
        samples: int,
        generator: torch.Generator,
        target: Tensor | None = None,
        prior: bool = False,
    ) -> Tensor:
        """Samples [B, samples, 1, size, size] in HU; see `sample`. prior: decode N(0, I) itself, a control."""
        return sample_given(self.condition(x, target), self.vae, None if prior else self.flow, samples, generator)


def condition_of(denoiser: KnownDenoiser, x: Tensor, target: Tensor | None) -> Tensor:
    """Denoised images, checked: what the denoiser makes of `x`, or the `target` where it made them before."""
    if denoiser.call is not None:
        return denoise(denoiser.call, x)
    if target is None:
        raise InputError("target: missing; the denoiser's images must come with the data, as targets")
    return denoise(lambda _: target, x)
