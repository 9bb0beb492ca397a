"""Numbers that stay positive while an optimiser moves them freely."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Where a value stops shrinking: at exp(-14) of the knee, a millionth.
LOWEST = -14.0


def positive(raw: Tensor, knee: float) -> Tensor:
    """`raw` itself from `knee` upwards, knee * exp(raw / knee - 1) below: smooth once, always positive.

    An optimiser therefore moves values above the knee as if they were bare, and their logarithms below it.
    """
    logarithm = (raw / knee - 1).clamp(LOWEST, 0)
    return torch.where(raw >= knee, raw, knee * logarithm.exp())


def inverse_of_positive(value: float, knee: float) -> float:
    """The raw number that `positive` maps to this value."""
    return value if value >= knee else knee * (1 + max(math.log(value / knee), LOWEST))
