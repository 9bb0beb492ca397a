"""Random starting values of convolutions and fully connected layers, drawn from a generator."""

from __future__ import annotations

import math

import torch
from torch import nn

LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d, nn.ConvTranspose3d, nn.Linear)


@torch.no_grad()
def draw_uniform(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """PyTorch's own: weights and biases of each layer uniform within 1 / sqrt(fan-in)."""
    for layer in module.modules():
        if isinstance(layer, LAYERS):
            bound = 1 / math.sqrt(layer.weight[0].numel())  # of a transposed one its fan-out, as PyTorch does
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def draw_he(layer: nn.Conv2d, slope: float, generator: torch.Generator | None = None) -> None:
    """He et al. 2015: weights normal with variance 2 / ((1 + slope^2) fan-in), biases 0; slope 1: linear layers."""
    nn.init.kaiming_normal_(layer.weight, a=slope, generator=generator)
    if layer.bias is not None:
        layer.bias.zero_()


@torch.no_grad()
def draw_normal(module: nn.Module, deviation: float, generator: torch.Generator | None = None) -> None:
    """Weights normal with this standard deviation, biases 0."""
    for layer in module.modules():
        if isinstance(layer, LAYERS):
            layer.weight.normal_(0.0, deviation, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
