"""RED-CNN: a residual encoder and decoder of ten layers.

H. Chen et al., "Low-dose CT with a residual encoder-decoder convolutional neural network", IEEE Transactions on
Medical Imaging 36(12), 2524-2535, 2017, section II: five convolutions and five transposed ones, 96 kernels of 5 x 5
without padding, ReLU; the input and what the second and fourth layers give are added, before the ReLU, to what the
tenth, eighth and sixth give; 1,848,865 parameters with 96 channels.

Where paper and public code differ:

- The paper and SSinyu/RED-CNN end with a ReLU after the input was added, which needs data that are never negative
  (HU from -1024 to 3072 made 0 to 1). ldct-benchmark leaves it out, for data of mean 0; so does this, unless
  `final_relu`.
- SSinyu/RED-CNN means to halve the learning rate again and again but does so once. Its numbers: Adam at 1e-5, ten
  patches of 64^2 from each of 16 slices, 100 epochs. ldct-benchmark's: Adam at 9.58e-5, 92,994 steps of 73 patches of
  128^2. Both minimise the squared error.

Images below 21 x 21 are continued by their last rows and columns: without padding they would not last five layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.networks.encoder_decoder import encode_decode
from sinograd.networks.network import Network
from sinograd.networks.starting_values import draw_uniform

_LEAST = 5 * 4 + 1


class REDCNN(Network):
    """Images [B, 1, Y, X] to the same shape; each pixel depends on those up to 20 away.

    Args:
        channels: kernels of each layer but the last.
        final_relu: end with a ReLU, as in the paper.
        generator: where the starting values come from; None: torch's global one.
    """

    def __init__(
        self, channels: int = 96, *, final_relu: bool = False, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(f"channels: expected at least 1, got {channels}")
        self.channels, self.final_relu = channels, final_relu
        self.non_negative = final_relu
        self.encoder = nn.ModuleList(nn.Conv2d(channels if i else 1, channels, 5) for i in range(5))
        self.decoder = nn.ModuleList(nn.ConvTranspose2d(channels, channels if i < 4 else 1, 5) for i in range(5))
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        return encode_decode(x, self.encoder, self.decoder, least=_LEAST, final_relu=self.final_relu)
