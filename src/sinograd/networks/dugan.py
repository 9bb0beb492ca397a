"""DU-GAN: a residual encoder and decoder, trained against two U-Nets.

Z. Huang, J. Zhang, Y. Zhang, H. Shan, "DU-GAN: generative adversarial networks with dual-domain U-Net-based
discriminators for low-dose CT denoising", IEEE Transactions on Instrumentation and Measurement 71, 1-12, 2022. Two
presets of the generator:

- `authors` (Hzzone/DU-GAN): eleven convolutions and eleven transposed ones, 3 x 3 with padding, 32 channels; the
  input of each convolution is added to what its transposed twin gives, and a ReLU follows every layer and sum, the
  last one too, which needs data that are never negative (HU from -300 to 300 made 0 to 1); weights start normal with
  deviation 0.01, biases at 0, so that it starts near the identity; 185,569 parameters. Training: Adam at 1.81e-4
  (discriminators 7.12e-5), 100,000 steps of 64 patches of 64^2, a moving average of the weights (0.999).
- `ldct-benchmark` (E. Eulig et al., Medical Physics 51(12), 2024): RED-CNN with 96 channels in its place, 1,848,865
  parameters. Training: Adam at 1.24e-5, 33,875 steps of 92 patches of 128^2.

The discriminators are `UNetDiscriminator`s, one of the image and one of its `sobel_magnitude`.

Known of the public code: Hzzone/DU-GAN updates the discriminator of the gradients within the generator's step, after
the one of images; ldct-benchmark does so too, trains the one of images twice a step and that of gradients once, and
ignores its own option for Adam's first decay rate.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from sinograd.errors import InputError
from sinograd.networks.encoder_decoder import encode_decode
from sinograd.networks.network import Network, check_choice, check_images
from sinograd.networks.starting_values import draw_normal, draw_uniform

Preset = Literal["authors", "ldct-benchmark"]
_CHANNELS = {"authors": 32, "ldct-benchmark": 96}
_LEAST = 5 * 4 + 1  # of RED-CNN


class DUGAN(Network):
    """The generator: images [B, 1, Y, X] to the same shape.

    Args:
        preset: "authors", or "ldct-benchmark" for RED-CNN; see the module.
        channels: of each layer but the last; None: 32 and 96.
        layers: convolutions of the authors' generator; there are as many transposed ones.
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: an unknown preset, no channels, no layers.
    """

    def __init__(
        self,
        preset: Preset = "authors",
        channels: int | None = None,
        layers: int = 11,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_choice("preset", preset, Preset)
        channels = _CHANNELS[preset] if channels is None else channels
        if channels < 1:
            raise InputError(f"channels: expected at least 1, got {channels}")
        if layers < 1:
            raise InputError(f"layers: expected at least 1, got {layers}")
        self.preset = preset
        self.non_negative = preset == "authors"
        if preset == "authors":
            self.encoder = nn.ModuleList(nn.Conv2d(channels if i else 1, channels, 3, padding=1) for i in range(layers))
            self.decoder = nn.ModuleList(
                nn.ConvTranspose2d(channels, channels if i else 1, 3, padding=1) for i in reversed(range(layers))
            )
            draw_normal(self, 0.01, generator)
        else:
            self.encoder = nn.ModuleList(nn.Conv2d(channels if i else 1, channels, 5) for i in range(5))
            self.decoder = nn.ModuleList(nn.ConvTranspose2d(channels, channels if i < 4 else 1, 5) for i in range(5))
            if generator is not None:
                draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        if self.preset == "ldct-benchmark":
            return encode_decode(x, self.encoder, self.decoder, least=_LEAST, final_relu=False)
        check_images(x)
        skips = []
        for layer in self.encoder:
            skips.append(x)
            x = relu(layer(x))
        for layer in self.decoder:
            x = relu(layer(x) + skips.pop())
        return x
