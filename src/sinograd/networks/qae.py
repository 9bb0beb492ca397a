"""QAE: an autoencoder of quadratic neurons.

F. Fan et al., "Quadratic autoencoder (Q-AE) for low-dose CT denoising", IEEE Transactions on Medical Imaging 39(6),
2035-2050, 2020. In place of w x + b each layer has

    (w_r x + b_r) (w_g x + b_g) + w_b x^2 + b_b

(the paper's c is b_b here), then a ReLU: five convolutions and five transposed ones, 15 channels. The fifth and the
sixth layer are without padding, the others keep the size; input, second and fourth layer are added to what the last,
the eighth and the sixth give, before the ReLU.

Where paper and public code differ:

- FengleiFan/QAE has 3 x 3 kernels in its code, which makes 49,818 parameters, but states 5 x 5, which makes 137,658,
  the "137,000" that F. Wagner et al. (Medical Physics 49(8), 2022) compare with. 5 x 5 is the default here;
  ldct-benchmark's checkpoint has 3 x 3.
- The paper starts w_g from a truncated normal distribution, its code from zero (the paper's way diverged in
  ldct-benchmark). Here as in the code: w_r truncated at two standard deviations, b_g one, all else zero, so that every
  layer starts linear. The standard deviation is the code's 0.1 for 3 x 3 kernels and 0.3 / kernel for others: with 0.1
  for 5 x 5 each layer enlarges its input, the untrained output is ten times the image, and training is slow.
- The paper's code ends with a ReLU (HU from -300 to 300 made 0 to 1); ldct-benchmark leaves it out, for data of mean
  0; so does this, unless `final_relu`.
- Training: the code uses Adam at 4e-4 for 10 epochs, then 2e-4 for 20, batches of 50 patches of 64^2; ldct-benchmark
  2.84e-5, 94,025 steps of 125 patches of 36^2. Both minimise the squared error.

Images smaller than a kernel are continued by their last rows and columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from sinograd.errors import InputError
from sinograd.networks.encoder_decoder import encode_decode
from sinograd.networks.network import Network


class QuadraticConvolution(nn.Module):
    """[B, inputs, Y, X] to [B, outputs, Y', X'] by quadratic neurons; `transposed` by transposed convolutions.

    Args:
        kernel: width, odd. padding: as of torch's convolutions.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, padding: int, transposed: bool = False) -> None:
        super().__init__()
        self.padding, self.transposed = padding, transposed
        shape = (inputs, outputs, kernel, kernel) if transposed else (outputs, inputs, kernel, kernel)
        self.weight_r, self.weight_g, self.weight_b = (nn.Parameter(torch.zeros(shape)) for _ in range(3))
        self.bias_r, self.bias_g, self.bias_b = (nn.Parameter(torch.zeros(outputs)) for _ in range(3))

    @torch.no_grad()
    def draw(self, generator: torch.Generator | None) -> None:
        """Starting values; see the module."""
        deviation = 0.3 / self.weight_r.shape[-1]
        nn.init.trunc_normal_(self.weight_r, std=deviation, a=-2 * deviation, b=2 * deviation, generator=generator)
        self.bias_g.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """The quadratic form, without a ReLU."""
        convolve = conv_transpose2d if self.transposed else conv2d
        r = convolve(x, self.weight_r, self.bias_r, padding=self.padding)
        g = convolve(x, self.weight_g, self.bias_g, padding=self.padding)
        return r * g + convolve(x * x, self.weight_b, self.bias_b, padding=self.padding)

    def extra_repr(self) -> str:
        """Shape of the kernels and kind of convolution."""
        return f"{list(self.weight_r.shape)}, padding={self.padding}, transposed={self.transposed}"


class QAE(Network):
    """Images [B, 1, Y, X] to the same shape; with kernels of 5 each pixel depends on those up to 20 away.

    Args:
        kernel: width of all kernels, odd.
        channels: of each layer but the last.
        final_relu: end with a ReLU, as in the paper's code.
        generator: where the starting values come from; None: torch's global one.
    """

    def __init__(
        self,
        kernel: int = 5,
        channels: int = 15,
        *,
        final_relu: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise InputError(f"kernel: expected an odd number of at least 3, got {kernel}")
        if channels < 1:
            raise InputError(f"channels: expected at least 1, got {channels}")
        self.kernel, self.channels, self.final_relu = kernel, channels, final_relu
        self.non_negative = final_relu
        same = kernel // 2
        self.encoder = nn.ModuleList(
            QuadraticConvolution(channels if i else 1, channels, kernel, padding=same if i < 4 else 0) for i in range(5)
        )
        self.decoder = nn.ModuleList(
            QuadraticConvolution(channels, channels if i < 4 else 1, kernel, padding=same if i else 0, transposed=True)
            for i in range(5)
        )
        for layer in (*self.encoder, *self.decoder):
            assert isinstance(layer, QuadraticConvolution)
            layer.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        return encode_decode(x, self.encoder, self.decoder, least=self.kernel, final_relu=self.final_relu)
