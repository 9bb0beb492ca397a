"""The plan that RED-CNN and QAE share: five layers down, five up, and additions from one side to the other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from sinograd.networks.network import check_images, padded


def encode_decode(x: Tensor, encoder: nn.ModuleList, decoder: nn.ModuleList, *, least: int, final_relu: bool) -> Tensor:
    """Images [B, 1, Y, X] to the same shape, continued to `least` rows and columns where they have fewer.

    What enters the first, third and fifth layer is added to what the last, the third last and the fifth last give; a
    ReLU follows each layer (and addition), the last one only with `final_relu`.

    Raises:
        ValueError: other shapes. TypeError: whole numbers.
    """
    check_images(x)
    rows, columns = x.shape[-2:]
    y = padded(x, least=least)
    skips = []
    for i, layer in enumerate(encoder):
        if i in (0, 2, 4):
            skips.append(y)
        y = relu(layer(y))
    for i, layer in enumerate(decoder):
        y = layer(y)
        if i in (0, 2, 4):
            y = y + skips.pop()
        if i < 4 or final_relu:
            y = relu(y)
    return y[..., :rows, :columns]
