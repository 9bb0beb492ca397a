"""DnCNN: a plain network that predicts the noise.

K. Zhang, W. Zuo, Y. Chen, D. Meng, L. Zhang, "Beyond a Gaussian denoiser: residual learning of deep CNN for image
denoising", IEEE Transactions on Image Processing 26(7), 3142-3155, 2017: 17 convolutions for noise of one level (20 for
any level), 64 kernels of 3 x 3 with zero padding, ReLU after all but the last, batch normalisation between; what comes
out is subtracted from the image; 556,096 parameters. The authors' KAIR folds the normalisation into the convolutions of
its trained networks: 555,137.

Where the paper and the authors' code (cszn/DnCNN, in PyTorch) differ:

- Biases: the paper is silent; the code has them in the first convolution alone, and so has this.
- Batch normalisation: the code's epsilon 1e-4 and momentum 0.95, as the noise hardly differs from batch to batch.
- Starting values: the paper's are He's, as here; the code's are orthogonal.
- Training: the paper uses SGD, momentum 0.9, from 1e-1 to 1e-4 in 50 epochs; the code Adam at 1e-3, a fifth of it after
  30, 60 and 90 epochs. Both take 128 patches of 40 x 40 and half the squared error.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.networks.network import Network, check_images
from sinograd.networks.starting_values import draw_he


class DnCNN(Network):
    """Images [B, 1, Y, X] to the same shape; each pixel depends on those up to `layers` away.

    Args:
        layers: convolutions, 3 or more.
        channels: kernels of each but the last.
        generator: where the starting values come from; None: torch's global one.
    """

    def __init__(self, layers: int = 17, channels: int = 64, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if layers < 3:
            raise InputError(f"layers: expected at least 3, got {layers}")
        if channels < 1:
            raise InputError(f"channels: expected at least 1, got {channels}")
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.middle = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels, eps=1e-4, momentum=0.95),
            )
            for _ in range(layers - 2)
        )
        self.last = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                draw_he(layer, 1.0 if layer is self.last else 0.0, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x)
        noise = self.first(x).relu()
        for layer in self.middle:
            noise = layer(noise).relu()
        return x - self.last(noise)
