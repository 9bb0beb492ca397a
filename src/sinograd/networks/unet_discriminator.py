"""The discriminators of DU-GAN: a U-Net that judges the image as a whole and each of its pixels.

Z. Huang et al., IEEE Transactions on Instrumentation and Measurement 71, 2022, section III-B and the authors' code
(Hzzone/DU-GAN). Going down, two convolutions 3 x 3 with LeakyReLU 0.2, then one of 4 x 4 with stride 2, to which one
of 1 x 1 with stride 2 of the level's input is added: 64, 128, 256, 512, 512, 512 channels and a last level without
stride. Going up, bilinear enlargement by 2, the level's skip beside it, two convolutions 3 x 3, to which one of 1 x 1
is added. Spectral normalisation of all convolutions that have more than 4 channels in and more than 1 out. The paper
trains one on images, one on the magnitude of their Sobel gradient, with least squares on both outputs.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm

from sinograd.errors import InputError
from sinograd.networks.network import check_images
from sinograd.networks.starting_values import draw_normal

_SLOPE = 0.2
_MOST_CHANNELS = 512


class UNetDiscriminator(nn.Module):
    """Images [B, 1, Y, X] to one number for each of them, [B, 1], and one for each pixel, [B, 1, Y, X].

    Where 2^levels does not divide a side, levels are one pixel longer or shorter at its end. (The authors need such
    sides; ldct-benchmark takes others too, but takes the pixel away at the beginning, which shifts the levels.)

    Args:
        channels: of the first level; doubled at each one, up to 512.
        levels: how often the image is halved.
        generator: where the starting values come from (normal, deviation 0.01; biases 0); None: torch's global one.

    Raises:
        InputError: no channels, no levels.
    """

    def __init__(self, channels: int = 64, levels: int = 6, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(f"channels: expected at least 1, got {channels}")
        if levels < 1:
            raise InputError(f"levels: expected at least 1, got {levels}")
        self.levels = levels
        widths = [1, *(min(channels << i, _MOST_CHANNELS) for i in range(levels))]
        deepest = widths[-1]
        self.down = nn.ModuleList(_Down(i, o) for i, o in itertools.pairwise(widths))
        self.bottom = _Down(deepest, deepest, halve=False)
        self.middle = _convolutions(deepest, deepest)
        self.of_image = nn.Linear(deepest, 1)
        self.up = nn.ModuleList(_Up(o, i) for i, o in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.of_pixels = nn.Conv2d(1, 1, 1)
        draw_normal(self, 0.01, generator)
        for layer in [module for module in self.modules() if isinstance(module, nn.Conv2d)]:
            if layer.in_channels > 4 and layer.out_channels > 1:
                _normalise(layer, generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What it thinks of each image, and of each pixel.

        Raises:
            InputError: other shapes, images too small to be halved. InputTypeError: whole numbers.
        """
        check_images(x)
        least = (1 << (self.levels - 1)) + 1
        if min(x.shape[-2:]) < least:
            raise InputError(f"x: expected at least {least} x {least} pixels, got {x.shape[-2]} x {x.shape[-1]}")
        skips = []
        for block in self.down:
            x, skip = block(x)
            skips.append(skip)
        x, _ = self.bottom(x)
        x = self.middle(x) + x
        of_image = self.of_image(leaky_relu(x, _SLOPE).mean((-2, -1)))
        for block in self.up:
            x = block(x, skips.pop())
        return of_image, self.of_pixels(x)


class _Down(nn.Module):
    """[B, inputs, Y, X] to half the size, and its features of the full size."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool = True) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2 if halve else 1)
        self.layers = _convolutions(inputs, outputs)
        self.halving = nn.Conv2d(outputs, outputs, 4, stride=2, padding=1) if halve else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(x)
        shortcut = self.shortcut(x)
        y = features if self.halving is None else self.halving(features)
        return _as_large(y, shortcut) + shortcut, features


class _Up(nn.Module):
    """[B, inputs, Y, X] and the features of a level of twice the size to that size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.layers = _convolutions(2 * inputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = _as_large(interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False), skip)
        return self.layers(torch.cat([x, skip], 1)) + self.shortcut(x)


def sobel_magnitude(x: Tensor, epsilon: float = 1e-4) -> Tensor:
    """sqrt(gx^2 + gy^2 + epsilon) of images [B, 1, Y, X], with Sobel's kernels / 4 and zeros around: what the second
    discriminator sees.

    Raises:
        InputError, InputTypeError: other shapes, whole numbers.
    """
    check_images(x)
    kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]], dtype=x.dtype, device=x.device) / 4
    gradients = conv2d(x, torch.stack([kernel, kernel.T])[:, None], padding=1)
    return (gradients.square().sum(1, keepdim=True) + epsilon).sqrt()


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(_SLOPE),
    )


def _as_large(x: Tensor, other: Tensor) -> Tensor:
    """`x` as large as the other: a row and a column of zeros more at the end, or one less."""
    rows, columns = (m - n for m, n in zip(other.shape[-2:], x.shape[-2:], strict=True))
    return pad(x, (0, columns, 0, rows)) if rows or columns else x


def _normalise(layer: nn.Conv2d, generator: torch.Generator | None) -> None:
    """Spectral normalisation whose first direction comes from the generator, as the starting values do."""
    with torch.random.fork_rng(devices=[], enabled=generator is not None):
        if generator is not None:
            torch.default_generator.manual_seed(int(torch.randint(1 << 62, (), generator=generator)))
        spectral_norm(layer)
