"""Blocks of a decoder after BigGAN; all their convolutions and linear layers are spectrally normalised.

A. Brock, J. Donahue, K. Simonyan, "Large scale GAN training for high fidelity natural image synthesis", ICLR 2019,
appendix B; T. Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018, one power
iteration for each forward pass in training.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu
from torch.nn.utils.parametrizations import spectral_norm

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def normalised(layer: Layer) -> Layer:
    """The layer with its weights divided by their spectral norm."""
    spectral_norm(layer)
    return layer


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain and shift are linear in a code: (1 + W code) norm(x) + V code."""

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=1e-4, affine=False)
        self.gain = normalised(nn.Linear(code, channels, bias=False))
        self.shift = normalised(nn.Linear(code, channels, bias=False))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """[B, channels, Y, X], [B, code] to [B, channels, Y, X]."""
        return (1 + self.gain(code))[..., None, None] * self.norm(x) + self.shift(code)[..., None, None]


class UpBlock(nn.Module):
    """A residual block that doubles rows and columns: norm, ReLU, nearest x 2, 3 x 3, norm, ReLU, 3 x 3; 1 x 1 skip."""

    def __init__(self, inputs: int, outputs: int, code: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ConditionalBatchNorm(inputs, code), ConditionalBatchNorm(outputs, code)
        self.conv1 = normalised(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2 = normalised(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = normalised(nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """[B, inputs, Y, X], [B, code] to [B, outputs, 2 Y, 2 X]. The skip commutes with the repetition of pixels."""
        y = self.conv1(interpolate(relu(self.norm1(x, code)), scale_factor=2))
        return self.conv2(relu(self.norm2(y, code))) + interpolate(self.skip(x), scale_factor=2)


class SelfAttention(nn.Module):
    """Adds to each pixel a mean of all, weighted by likeness; the share `gamma` starts from 0.

    H. Zhang et al., "Self-attention generative adversarial networks", ICML 2019, as BigGAN has it: keys of an eighth
    and values of half the channels, both pooled 2 x 2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        few, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = normalised(nn.Conv2d(channels, few, 1, bias=False))
        self.key = normalised(nn.Conv2d(channels, few, 1, bias=False))
        self.value = normalised(nn.Conv2d(channels, half, 1, bias=False))
        self.out = normalised(nn.Conv2d(half, channels, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, Y, X] to the same shape."""
        queries = self.query(x).flatten(2)
        keys, values = (max_pool2d(of(x), 2).flatten(2) for of in (self.key, self.value))
        shares = torch.softmax(queries.transpose(1, 2) @ keys, dim=-1)
        mean = (values @ shares.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(mean)
