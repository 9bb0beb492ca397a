"""The U-Net of Noise2Noise.

J. Lehtinen et al., "Noise2Noise: learning image restoration without clean data", ICML 2018, appendix A.1; for x-ray
projections and CT slices P. Gnudi et al., "Denoising of x-ray projections and computed tomography images using
convolutional neural networks without clean data", 2020, section III.C. Encoder: seven convolutions of 48 channels,
maxima over 2 x 2 after the second to the sixth. Decoder: five times nearest neighbour upsampling, joined with what the
encoder had at this size, two convolutions of 96 channels; the last level, joined with the network's input, has 64, 32
and one. All kernels 3 x 3 with zero padding, leaky ReLU of slope 0.1, the last layer linear, no normalisation; 988,609
parameters.

Where papers and public code differ: Gnudi et al. call it six levels and give the widths 48 and 96 alone; the last
level's are Lehtinen et al.'s. That paper and its public code agree on the network (three channels there, one here).
Training: Lehtinen et al. use Adam (0.9, 0.99) at 3e-4, batches of 4, and let the rate fall as a cosine over the last
30 %; Gnudi et al. start at 1e-3 and halve it after two epochs without a better PSNR, and leave batch and crop unsaid.

Images whose sides 32 does not divide are continued by their last rows and columns; the paper's had such sides.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, max_pool2d

from sinograd.errors import InputError
from sinograd.networks.network import Network, check_images, padded
from sinograd.networks.starting_values import draw_he

_SLOPE = 0.1
_LEVELS = 5


class Noise2NoiseUNet(Network):
    """Images [B, 1, Y, X] to the same shape.

    Args:
        features: channels of the encoder, 48 in the papers; the decoder has twice as many.
        generator: where the starting values come from; None: torch's global one.
    """

    def __init__(self, features: int = 48, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if features < 1:
            raise InputError(f"features: expected at least 1, got {features}")
        self.features = features
        twice = 2 * features
        self.encoder = nn.ModuleList(_convolution(features if i else 1, features) for i in range(_LEVELS + 2))
        self.decoder = nn.ModuleList(
            nn.ModuleList([_convolution(features + (twice if i else features), twice), _convolution(twice, twice)])
            for i in range(_LEVELS - 1)
        )
        self.last = nn.ModuleList([_convolution(twice + 1, 64), _convolution(64, 32), _convolution(32, 1)])
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                draw_he(layer, 1.0 if layer is self.last[-1] else _SLOPE, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x)
        rows, columns = x.shape[-2:]
        x = padded(x, multiple=1 << _LEVELS)
        skips = [x]
        y = leaky_relu(self.encoder[0](x), _SLOPE)
        for layer in list(self.encoder)[1 : _LEVELS + 1]:
            y = max_pool2d(leaky_relu(layer(y), _SLOPE), 2)
            skips.append(y)
        y = leaky_relu(self.encoder[_LEVELS + 1](y), _SLOPE)
        skips.pop()  # the lowest level meets no other
        for level in (*self.decoder, self.last):
            y = torch.cat([interpolate(y, scale_factor=2.0, mode="nearest"), skips.pop()], 1)
            for layer in level:  # pyright: ignore
                y = layer(y) if layer is self.last[-1] else leaky_relu(layer(y), _SLOPE)
        return y[..., :rows, :columns]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
