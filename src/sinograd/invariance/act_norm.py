"""Activation normalisation: a shift and a scale for each channel, which start from the first batch.

D. P. Kingma, P. Dhariwal, "Glow: generative flow with invertible 1x1 convolutions", NeurIPS 2018, section 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sinograd.errors import InputError

_CONSTANT = 1e-6  # a deviation below it is that of a constant channel


class ActNorm(nn.Module):
    """`scale (x + shift)` for each channel of [B, C] or [B, C, Y, X].

    The first call in training mode sets both so that its output has mean 0 and deviation 1 over the batch (and the
    pixels); a constant channel keeps scale 1. Before that call it is the identity. Afterwards both are parameters.

    Args:
        channels: C.
    """

    initialised: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.scale = nn.Parameter(torch.ones(channels))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised values, as `x`; InputError where the first batch has one value a channel."""
        if self.training and not bool(self.initialised):
            self._start(x.detach())
        return self.columns(self.scale, x) * (x + self.columns(self.shift, x))

    def inverse(self, y: Tensor) -> Tensor:
        """`x` of `forward(x) = y`; starts nothing."""
        return y / self.columns(self.scale, y) - self.columns(self.shift, y)

    def log_determinant(self) -> Tensor:
        """Sum of log |scale| over the channels, []: that of a vector [C]."""
        return self.scale.abs().log().sum()

    @staticmethod
    def columns(values: Tensor, x: Tensor) -> Tensor:
        """[C] to a shape that broadcasts to `x`."""
        return values.view(1, -1, *[1] * (x.ndim - 2))

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        values = x.transpose(0, 1).flatten(1)
        if values.shape[1] < 2:
            raise InputError("ActNorm: expected at least 2 vectors in the first batch of training, got 1")
        deviation = values.std(dim=1)
        self.shift.copy_(-values.mean(dim=1))
        self.scale.copy_(torch.where(deviation > _CONSTANT, 1 / deviation, torch.ones_like(deviation)))
        self.initialised.fill_(True)
