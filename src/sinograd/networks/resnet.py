"""ResNet: residual blocks that predict the noise of CT images.

A. D. Missert, S. Leng, L. Yu, C. H. McCollough, "Noise subtraction for low-dose CT images using a deep convolutional
neural network", Fifth International Conference on Image Formation in X-Ray CT, 399-402, 2018; as ldct-benchmark
(E. Eulig et al., Medical Physics 51(12), 2024) builds it: a convolution 9 x 9 to 128 channels, ten blocks, a
convolution 3 x 3 to one channel, which is subtracted from the image. A block adds to its input: a convolution 3 x 3,
one of 3 x 3 in 8 groups, both with batch normalisation and ReLU, and one of 1 x 1. Zero padding; 1,843,329 parameters.

The architecture is that of the public code, not checked against the paper. ldct-benchmark's training: Adam at 1e-4,
20,000 steps of 64 patches of 64^2, squared error, images of mean 0 and deviation 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.networks.network import Network, check_images
from sinograd.networks.starting_values import draw_uniform

_GROUPS = 8


class ResNet(Network):
    """Images [B, 1, Y, X] to the same shape; each pixel depends on those up to 2 `blocks` + 5 away.

    Args:
        blocks: how many residual blocks.
        channels: of the blocks, a multiple of 8.
        generator: where the starting values come from; None: torch's global one.
    """

    def __init__(self, blocks: int = 10, channels: int = 128, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if blocks < 1:
            raise InputError(f"blocks: expected at least 1, got {blocks}")
        if channels < 1 or channels % _GROUPS:
            raise InputError(f"channels: expected a multiple of {_GROUPS}, got {channels}")
        self.first = nn.Conv2d(1, channels, 9, padding=4)
        self.blocks = nn.ModuleList(_block(channels) for _ in range(blocks))
        self.last = nn.Conv2d(channels, 1, 3, padding=1)
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x)
        y = self.first(x)
        for block in self.blocks:
            y = y + block(y)
        return x - self.last(y)


def _block(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, groups=_GROUPS),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1),
    )
