"""From latents and the denoised image back to the image."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from sinograd.errors import InputError
from sinograd.invariance.act_norm import ActNorm
from sinograd.invariance.decoder_blocks import SelfAttention, UpBlock, normalised

_START = 4  # rows and columns of the first features


@dataclass(frozen=True)
class DecoderSize:
    """Sizes of a decoder.

    Attributes:
        channels: of the first features and of the output of each block, which doubles rows and columns from 4.
        part: latents that each block has of its own; the first features have what is left.
        hidden: width of the three hidden layers before the classes.
        classes: of which each latent gets shares.
        embedding: length of the embedded shares.
    """

    channels: tuple[int, ...] = (1536, 1536, 768, 384, 192, 96)
    part: int = 20
    hidden: int = 2000
    classes: int = 1000
    embedding: int = 128

    @property
    def image(self) -> int:
        """Rows and columns of the image."""
        return _START << (len(self.channels) - 1)


class Decoder(nn.Module):
    """Latents [B, latent] and condition [B, 1, Y, Y] to images [B, 1, Y, Y].

    A perceptron makes shares of classes of all latents; they are embedded, and with a part of the latents they are the
    code of each block. The condition, resized to nearest neighbours, is a channel of the input of each block and of the
    last convolution. Attention stands before the last block. The perceptron, the embedding of the classes and ActNorm
    are not spectrally normalised: with a softmax behind them, all latents would have nearly the same shares.

    Args:
        latent: length of the latents.
        size: see there.
        conditional: whether there is a condition.
    """

    def __init__(self, latent: int, size: DecoderSize, conditional: bool) -> None:
        super().__init__()
        blocks = len(size.channels) - 1
        self.part, self.first, self.conditional = size.part, latent - blocks * size.part, conditional
        if self.first < 1:
            raise InputError(f"latent: expected more than {blocks} blocks x {size.part}, got {latent}")
        widths, layers = (latent, size.hidden, size.hidden, size.hidden), []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.01)]
        self.classes = nn.Sequential(*layers, nn.Linear(size.hidden, size.classes))
        self.embed = nn.Linear(size.classes, size.embedding, bias=False)
        self.start = normalised(nn.Linear(self.first, _START * _START * size.channels[0]))
        extra, code = int(conditional), size.part + size.embedding
        self.blocks = nn.ModuleList(
            UpBlock(size.channels[i] + extra, size.channels[i + 1], code) for i in range(blocks)
        )
        self.attention = SelfAttention(size.channels[-2])
        self.norm = ActNorm(size.channels[-1])
        self.last = normalised(nn.Conv2d(size.channels[-1] + extra, 1, 3, padding=1))

    def forward(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """As the class says."""
        embedded = self.embed(torch.softmax(self.classes(z), dim=1))
        first, *parts = z.split([self.first, *[self.part] * len(self.blocks)], dim=1)
        x = self.start(first).view(len(z), -1, _START, _START)
        for i, (block, part) in enumerate(zip(self.blocks, parts, strict=True)):
            if i == len(self.blocks) - 1:
                x = self.attention(x)
            x = block(self._beside(x, condition), torch.cat([part, embedded], dim=1))
        return self.last(self._beside(self.norm(x), condition))

    def _beside(self, x: Tensor, condition: Tensor | None) -> Tensor:
        if condition is None:
            return x
        return torch.cat([x, interpolate(condition, size=x.shape[2:], mode="nearest")], dim=1)
