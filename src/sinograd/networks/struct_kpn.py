"""StructKPN: a network that predicts for each pixel the kernel that filters it.

L. Xu, Y. Zhang, Y. Liu, D. Wang, M. Zhou, J. Ren, Z. Ye, "Low-dose CT denoising using a structure-preserving kernel
prediction network", ICIP 2021, arXiv:2105.14758, figure 1 and equation 1: a convolution 3 x 3 to 88 channels, ReLU,
another one; 24 residual blocks of two convolutions 3 x 3 in two groups with a ReLU between; 1 x 1 to 441 channels,
ReLU, 1 x 1 to the 21 x 21 weights of each pixel's neighbours, which a softmax makes positive, with the sum 1. So no
pixel leaves the range of its neighbourhood. 1,981,763 parameters. Images are mirrored at their edges for the
filtering. Its loss is `structure-aware`.

The paper's values are those of a CT window (centre 40, width 400) made 0 to 1, and both images are clipped to it:
`offset` -160 and `scale` 400 of a `NetworkDenoiser`, whose input you clip.

Where paper and public code (XenonLamb/StructKPN) differ, and what is known of the code:

- Equation 1 is a convolution, the code a correlation, as here: the kernels are the same, turned by half a turn. The
  paper does not mention the softmax.
- The code does not run as it stands (`self.temp` is never set, tabs among spaces).
- Training there: Adam at 1e-4 with a cosine schedule of period 40 *steps*, so that the rate swings all the time; 6,000
  steps of 128 patches of 64^2, none with more than 80 % zeros; flips and quarter turns. The checkpoint that is kept is
  the one with the best PSNR on the test set.
- It holds all 441 maps of an image, 462 MB for 512^2 in float32, several times. Here softmax and filtering see some
  rows at a time, which are computed again for the gradients; so are the blocks of large images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from sinograd.errors import InputError
from sinograd.networks.network import Network, check_images, padded
from sinograd.networks.starting_values import draw_uniform

_TILE = 1 << 13  # pixels whose kernels are in memory at a time: 14 MB a copy
_LARGE = 1 << 16  # pixels from which on blocks are computed again for the gradients
_SEGMENT = 5  # blocks that are computed again together
_GROUPS = 2


class StructKPN(Network):
    """Images [B, 1, Y, X] to the same shape; each pixel depends on those up to 2 `blocks` + 2 + `kernel` // 2 away.

    Args:
        kernel: width of the kernels, odd; the paper tries 15, 19, 21, 23 and 27.
        channels: of the convolutions, even.
        blocks: how many residual blocks.
        slices: neighbouring slices that are the channels of the input, [B, slices, Y, X]; the one in their middle is
            filtered.
        generator: where the starting values come from; None: torch's global one.

    Raises:
        InputError: another kind of number.
    """

    def __init__(
        self,
        kernel: int = 21,
        channels: int = 88,
        blocks: int = 24,
        slices: int = 1,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(f"kernel: expected an odd number of at least 1, got {kernel}")
        if channels < 1 or channels % _GROUPS:
            raise InputError(f"channels: expected an even number of at least 2, got {channels}")
        if blocks < 1:
            raise InputError(f"blocks: expected at least 1, got {blocks}")
        self.take_slices(slices)
        self.kernel = kernel
        self.first = nn.Sequential(
            nn.Conv2d(slices, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.blocks = nn.ModuleList(_Residual(channels) for _ in range(blocks))
        self.predictor = nn.Sequential(nn.Conv2d(channels, kernel**2, 1), nn.ReLU(), nn.Conv2d(kernel**2, kernel**2, 1))
        if generator is not None:
            draw_uniform(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """The denoised images; ValueError for other shapes, TypeError for whole numbers."""
        check_images(x, self.slices)
        rows, columns = x.shape[-2:]
        reach = self.kernel // 2
        x = padded(x, least=reach + 1)
        features = self._features(x)
        middle = self.slices // 2
        around = pad(x[:, middle : middle + 1], (reach,) * 4, mode="reflect")[:, 0]
        step = max(1, _TILE // (x.shape[0] * x.shape[3]))
        parts = [
            _again(self._filtered, features[:, :, i : i + step], around[:, i : i + step + 2 * reach])
            for i in range(0, x.shape[2], step)
        ]
        return torch.cat(parts, 2)[..., :rows, :columns]

    @torch.no_grad()
    def kernels(self, x: Tensor, row: int, column: int) -> Tensor:
        """The kernels of one pixel, [B, kernel, kernel] (y, x): the weights of its neighbours.

        Raises:
            InputError: another shape, a pixel outside the image. InputTypeError: whole numbers.
        """
        check_images(x, self.slices)
        if not (0 <= row < x.shape[2] and 0 <= column < x.shape[3]):
            raise InputError(f"row, column: expected a pixel of {x.shape[2]} x {x.shape[3]}, got ({row}, {column})")
        features = self._features(padded(x, least=self.kernel // 2 + 1))
        logits = self.predictor(features[:, :, row : row + 1, column : column + 1])
        return logits.softmax(1).reshape(-1, self.kernel, self.kernel)

    def _features(self, x: Tensor) -> Tensor:
        features = self.first(x)
        if x.shape[0] * x.shape[2] * x.shape[3] < _LARGE:
            return self._through(self.blocks, features)
        for i in range(0, len(self.blocks), _SEGMENT):
            features = _again(self._through, self.blocks[i : i + _SEGMENT], features)
        return features

    def _through(self, blocks: nn.ModuleList, features: Tensor) -> Tensor:
        for block in blocks:
            features = block(features)
        return features

    def _filtered(self, features: Tensor, around: Tensor) -> Tensor:
        return softmax_filter(self.predictor(features), around)


class _Residual(nn.Module):
    """Two convolutions in groups, added to their input; nothing after."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=_GROUPS),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, groups=_GROUPS),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).add_(x)


def softmax_filter(logits: Tensor, around: Tensor) -> Tensor:
    """Each pixel's neighbours, weighted by the softmax of its channels: [B, 1, Y, X] of one channel.

    Args:
        logits: [B, k * k, Y, X], of the neighbours in the order (y, x).
        around: the image with k // 2 more pixels on all sides, [B, Y + k - 1, X + k - 1].

    Raises:
        InputError: shapes that do not fit.
    """
    batch, count, rows, columns = logits.shape
    kernel = round(count**0.5)
    if kernel**2 != count or around.shape != (batch, rows + kernel - 1, columns + kernel - 1):
        expected = [batch, rows + kernel - 1, columns + kernel - 1]
        raise InputError(f"around: expected {expected} for {count} = {kernel}^2 weights, got {list(around.shape)}")
    weights = logits.softmax(1).unflatten(1, (kernel, kernel))
    neighbours = around.unfold(2, kernel, 1).movedim(-1, 1)  # [B, x, Y + k - 1, X], a view
    result: Tensor | None = None
    for i in range(kernel):
        part = (weights[:, i] * neighbours[:, :, i : i + rows]).sum(1, keepdim=True)
        result = part if result is None else result + part
    assert result is not None
    return result


def _again(function: Callable[..., Tensor], *values: Tensor | nn.ModuleList) -> Tensor:
    """function(*values), whose intermediate results are not kept but computed again for the gradients."""
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return function(*values)
    return checkpoint(function, *values, use_reentrant=False, preserve_rng_state=False)
