"""CNN-10: three convolutions.

H. Chen et al., "Low-dose CT via convolutional neural network", Biomedical Optics Express 8(2), 679-694, 2017; as
ldct-benchmark (E. Eulig et al., Medical Physics 51(12), 2024) builds it: 64 kernels 9 x 9, 32 kernels 3 x 3, one
kernel 5 x 5, ReLU between them, zero padding, no normalisation; 24,513 parameters.

The paper and the public code differ in training alone. ldct-benchmark's numbers, found by a search over
hyper-parameters: Adam at 1.58e-4, 86,188 steps of 68 patches of 92^2, squared error.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinograd.networks.network import Network, check_images
from sinograd.networks.starting_values import draw_uniform


class CNN10(Network):
    """Images [B, 1, Y, X] to the same shape; each pixel depends on those up to 7 away.

    Args:
        generator: where the starting values come from; None: torch's global one.
    """

    def __init__(self, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 9, padding=4),
            nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 5, padding=2),
        )
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x)
        return self.layers(x)
