"""Losses of the autoencoder and of its critic.

Eulig et al., Medical Physics 52(1), 2025, equation 4 and the text below; weights of the public code.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.invariance.vae import Posterior
from sinograd.losses.vgg import VGGFeatures
from sinograd.networks.starting_values import draw_uniform

PIXELS, DIVERGENCE, FEATURES = 1.1852e-3, 0.57504, 0.12102
_LAYERS = (3, 8, 15, 22)  # of VGG16: relu1_2, relu2_2, relu3_3, relu4_3
_CRITIC = (1, 2, 4, 8, 8)  # of the critic's width


def divergence(posterior: Posterior) -> Tensor:
    """Kullback-Leibler divergence of the latents from N(0, I), summed over latents, mean over the batch, []."""
    mean, log_variance = posterior
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2


def negative_elbo(
    x: Tensor, reconstruction: Tensor, posterior: Posterior, pixels: float = PIXELS, weight: float = DIVERGENCE
) -> Tensor:
    """Equation 4: pixels sum |x - x'| / B + weight divergence, [].

    Args:
        x, reconstruction: [B, 1, Y, X], normalised.
        posterior: of the latents of `x`.
        pixels, weight: of the two terms; those of the public code.

    Raises:
        InputError: shapes that differ.
    """
    if x.shape != reconstruction.shape:
        raise InputError(f"reconstruction: expected {list(x.shape)}, got {list(reconstruction.shape)}")
    return pixels * (x - reconstruction).abs().sum() / len(x) + weight * divergence(posterior)


def perceptual(x: Tensor, reconstruction: Tensor, vgg: VGGFeatures, weight: float = FEATURES) -> Tensor:
    """`weight` times the sum of mean absolute differences of four layers of VGG16, [].

    Images are repeated to three channels and not normalised for ImageNet, as in the public code.

    Args:
        x, reconstruction: [B, 1, Y, X], normalised.
        vgg: `load_vgg(weights, "vgg16", 22)`.
        weight: that of the public code.
    """
    pairs = zip(_features(x, vgg), _features(reconstruction, vgg), strict=True)
    return weight * torch.stack([(first - second).abs().mean() for first, second in pairs]).sum()


def _features(images: Tensor, vgg: VGGFeatures) -> Iterator[Tensor]:
    values = images.expand(-1, 3, -1, -1)
    for i, layer in enumerate(vgg.features):
        values = layer(values)
        if i in _LAYERS:
            yield values


class PatchCritic(nn.Module):
    """How much like a low-dose image each is, [B, 1], beside its condition; its loss: `Wasserstein`.

    Five convolutions 4 x 4 with stride 2 and one 3 x 3, InstanceNorm and LeakyReLU 0.2 after each, one 1 x 1, a linear
    layer.

    Args:
        size: rows and columns of the images, a multiple of 32, at least 64.
        conditional: whether images have the condition as a second channel.
        width: channels of the first convolution.
        generator: of the starting values; None: torch's global one.
    """

    def __init__(
        self,
        size: int = 128,
        conditional: bool = True,
        width: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if size < 64 or size % 32:
            raise InputError(f"size: expected a multiple of 32, at least 64, got {size}")
        self.shape = (1 + conditional, size, size)
        layers, channels, widths = [], 1 + conditional, [width * factor for factor in _CRITIC]
        for wide, kernel, stride in [*((wide, 4, 2) for wide in widths), (widths[-1], 3, 1)]:
            layers += [
                nn.Conv2d(channels, wide, kernel, stride, padding=1),
                nn.InstanceNorm2d(wide),
                nn.LeakyReLU(0.2),
            ]
            channels = wide
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1))
        self.score = nn.Linear((size // 32) ** 2, 1)
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 + conditional, size, size] to [B, 1]; InputError for other shapes."""
        if images.ndim != 4 or tuple(images.shape[1:]) != self.shape:
            raise InputError(f"images: expected [B, {', '.join(map(str, self.shape))}], got {list(images.shape)}")
        return self.score(self.layers(images).flatten(1))
