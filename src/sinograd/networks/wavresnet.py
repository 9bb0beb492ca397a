"""WavResNet: a residual network on the contourlet bands of an image.

E. Kang, W. Chang, J. Yoo, J. C. Ye, "Deep convolutional framelet denoising for low-dose CT via wavelet residual
network", IEEE Transactions on Medical Imaging 37(6), 1358-1369, 2018, and the authors' code (eunh/low_dose_CT): 15
bands of a non-subsampled contourlet transform (`contourlets`) to 128 channels by a convolution, batch normalisation and
ReLU, two more of them, six modules of three such layers with a skip and a ReLU; what enters the modules and what the
last one gives, 896 channels, through two more layers and a convolution to 15 bands, which are added to those of the
input. 4,172,175 parameters, all convolutions 3 x 3 with padding; weights start normal with deviation 0.001.

As the transform is linear and exact, the image of the network's bands is added to the input image. Images are mirrored
at their edges for the transform, by up to 32 pixels.

Training there: half the squared error of the bands (attenuation in 1/cm times 1000), SGD with momentum 0.9, a rate
from 1e-2 to 1e-5 in 500 epochs, twice that for biases, batches of 10 patches of 55^2, weight decay 1e-2, gradients
clipped at 1e-3; images are denoised in tiles of 55 that overlap by 10, which this needs not. Their transform has the
same bands with other filters: see `contourlets`. The code of the 2016 challenge adds the input to the lowest band
alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from sinograd.errors import InputError
from sinograd.networks.contourlets import BANDS, contourlets, from_contourlets
from sinograd.networks.network import Network, check_images
from sinograd.networks.starting_values import draw_normal

_AROUND = 32  # pixels that are mirrored at the edges


class WavResNet(Network):
    """Images [B, 1, Y, X] to the same shape.

    Args:
        channels: of all but the last convolution.
        modules: of three layers with a skip.
        slices: neighbouring slices that are the channels of the input, [B, slices, Y, X], each with its bands; the one
            in their middle is denoised.
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: no channels, no modules, another number of slices.
    """

    def __init__(
        self, channels: int = 128, modules: int = 6, slices: int = 1, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("modules", modules)):
            if value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.take_slices(slices)
        self.first = nn.Sequential(
            *_layer(BANDS * slices, channels), *_layer(channels, channels), *_layer(channels, channels)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(part for _ in range(3) for part in _layer(channels, channels))) for _ in range(modules)
        )
        self.last = nn.Sequential(
            *_layer((modules + 1) * channels, channels),
            *_layer(channels, channels),
            nn.Conv2d(channels, BANDS, 3, padding=1),
        )
        draw_normal(self, 0.001, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x, self.slices)
        bands = _inside(contourlets(_mirrored(x)), x).flatten(1, 2)
        y = self.first(bands)
        features = [y]
        for block in self.blocks:
            y = relu(block(y) + y)
            features.append(y)
        change = from_contourlets(_mirrored(self.last(torch.cat(features, 1)))[:, None])
        middle = self.slices // 2
        return x[:, middle : middle + 1] + _inside(change, x)


def _layer(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()


def _margins(x: Tensor) -> tuple[int, int]:
    rows, columns = (min(_AROUND, n - 1) for n in x.shape[-2:])
    return rows, columns


def _mirrored(x: Tensor) -> Tensor:
    rows, columns = _margins(x)
    return pad(x, (columns, columns, rows, rows), mode="reflect")


def _inside(y: Tensor, x: Tensor) -> Tensor:
    rows, columns = _margins(x)
    return y[..., rows : rows + x.shape[-2], columns : columns + x.shape[-1]]
