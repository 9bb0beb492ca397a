"""Smooth versions of what a threshold does, safe for any values."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

FLOOR = 1e-4  # epsilon of equation 8


def soft_threshold(values: Tensor, threshold: float, softness: float) -> Tensor:
    """H_s(v - t) = 1 / (1 + exp((t - v) / s)), paper 001, equation 5; no exponential overflows."""
    return torch.sigmoid((values - threshold) / softness)


def soft_floor(values: Tensor, floor: float = FLOOR) -> Tensor:
    """plus(x) = e ln(1 + exp(x / e - 1)) + e, paper 001, equation 4: x far above the floor e, and never below it."""
    # Beyond 50 the logarithm is its argument to the last digit of float64.
    return floor * softplus(values / floor - 1, threshold=50.0) + floor


def safe_root(squares: Tensor, least: Tensor | float) -> Tensor:
    """The root, and 0 without a gradient where a square is not above `least`: rounding, or nothing at all."""
    some = squares > least
    return torch.where(some, torch.where(some, squares, 1.0).sqrt(), 0.0)
