"""A conditional variational autoencoder: what an image holds beside its denoised version.

E. Eulig, F. Jäger, J. Maier, B. Ommer, M. Kachelrieß, "Reconstructing and analyzing the invariances of low-dose CT
image denoising networks", Medical Physics 52(1), 188-200, 2025, equations 2 to 4; sizes of the public code
(eeulig/ldct-invariances).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError
from sinograd.invariance.arguments import check_images, check_latents
from sinograd.invariance.bottleneck_resnet import RESNET50, BottleneckResNet, load_imagenet
from sinograd.invariance.decoder import Decoder, DecoderSize

Preset = Literal["published", "small"]
_LOG_VARIANCES = (-30.0, 10.0)
_ITERATIONS = 15  # as many as PyTorch's spectral norm starts with
# Of chest images, ldct-benchmark: HU + 1024 has mean 481.454 and deviation 502.185.
MEAN_HU, DEVIATION_HU = 481.454 - 1024.0, 502.185


@dataclass(frozen=True)
class _Size:
    latent: int
    depths: tuple[int, ...]
    width: int
    decoder: DecoderSize


_SIZES: dict[str, _Size] = {
    "published": _Size(256, RESNET50, 64, DecoderSize()),
    "small": _Size(64, (1, 1, 1, 1), 16, DecoderSize((64, 64, 48, 32, 16), 8, 128, 32, 16)),
}


class Posterior(NamedTuple):
    """A normal distribution of latents with a diagonal covariance.

    Attributes:
        mean: [B, latent].
        log_variance: [B, latent], in [-30, 10].
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each, [B, latent], differentiable in both."""
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype).to(self.mean.device)
        return self.mean + noise * (self.log_variance / 2).exp()


class ConditionalVAE(nn.Module):
    """Encoder and decoder of images, both conditioned on their denoised versions.

    The encoder is ResNet-50 for two channels, the decoder like BigGAN's with the condition beside the input of each of
    its blocks. Images and conditions are normalised, see `normalise`.

    Args:
        preset: "published": images of 128^2, 256 latents, 108.9 million parameters; "small": 64^2, 64 latents.
        conditional: False for the twin that sees no condition; its latents are those of the content similarity.
        weights: of the encoder: a file of torchvision's weights of resnet50, or "random".
        generator: of random starting values; None: torch's global one.

    Raises:
        InputError: an unknown preset; a file of weights for the small one. MissingFileError, FormatError: that file.
    """

    def __init__(
        self,
        preset: Preset = "published",
        conditional: bool = True,
        weights: str | os.PathLike[str] = "random",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if preset not in get_args(Preset):
            raise InputError(f"preset: expected one of {', '.join(get_args(Preset))}, got {preset!r}")
        size = _SIZES[preset]
        self.preset, self.conditional = preset, conditional
        self.size, self.latent = size.decoder.image, size.latent
        self.encoder = BottleneckResNet(1 + conditional, size.depths, size.width)
        self.head = nn.Conv2d(self.encoder.features, 2 * size.latent, 1)
        self.decoder = Decoder(size.latent, size.decoder, conditional)
        if generator is not None:
            _draw(self, generator)
        if os.fspath(weights) != "random":
            load_imagenet(self.encoder, weights)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] # a quarter faster on CPUs

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Posterior:
        """The distribution of the latents of images.

        Args:
            x: [B, 1, size, size], normalised.
            condition: their denoised versions, as `x`; None for the unconditional twin.

        Raises:
            InputError: other shapes, values that are not finite, a condition missing or too many.
            InputTypeError: another dtype than the weights'.
        """
        check_images("x", x, self.size, self.head.weight.dtype)
        condition = self._condition(condition, len(x))
        both = x if condition is None else torch.cat([x, condition], dim=1)
        mean, log_variance = self.head(self.encoder(both)[..., None, None]).flatten(1).chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(*_LOG_VARIANCES))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Images [B, 1, size, size], normalised, of latents [B, latent] and conditions. Raises: as `encode`."""
        check_latents("z", z, self.latent, self.head.weight.dtype)
        return self.decoder(z, self._condition(condition, len(z)))

    def forward(
        self, x: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Posterior]:
        """The reconstruction of `x` from one draw of its latents, and their distribution; what training needs."""
        posterior = self.encode(x, condition)
        return self.decode(posterior.sample(generator), condition), posterior

    @staticmethod
    def normalise(hu: Tensor) -> Tensor:
        """HU to values of mean 0 and deviation 1 over chest images."""
        return (hu - MEAN_HU) / DEVIATION_HU

    @staticmethod
    def to_hu(values: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return values * DEVIATION_HU + MEAN_HU

    def _condition(self, condition: Tensor | None, count: int) -> Tensor | None:
        if not self.conditional:
            if condition is not None:
                raise InputError("condition: expected None for an unconditional autoencoder, got a tensor")
            return None
        if condition is None:
            raise InputTypeError("condition: expected the denoised images, got None")
        check_images("condition", condition, self.size, self.head.weight.dtype)
        if len(condition) != count:
            raise InputError(f"condition: expected {count} images, one of each, got {len(condition)}")
        return condition


@torch.no_grad()
def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own distributions, of the weights under a spectral norm too."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            parametrizations: Any = getattr(layer, "parametrizations", None)
            original: Tensor = parametrizations.weight.original if parametrizations else layer.weight
            bound = 1 / math.sqrt(original[0].numel())
            for values in (original, layer.bias):
                if values is not None:
                    values.uniform_(-bound, bound, generator=generator)
            if parametrizations:  # the estimate of the norm is that of the old weights
                for vector in parametrizations.weight[0].buffers():
                    vector.copy_(nn.functional.normalize(vector.normal_(generator=generator), dim=0))
                for _ in range(_ITERATIONS):
                    _ = layer.weight
