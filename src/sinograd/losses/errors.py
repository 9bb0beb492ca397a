"""Mean squared and mean absolute errors."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import l1_loss


def mse(predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
    """Mean squared difference in units of `scale` squared, []; what is learnt is the mean of what can be."""
    return (predicted - target).square().mean() / scale**2  # torch's mse_loss fails in nested vmap and in its jvp


def mae(predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
    """Mean absolute difference in units of `scale`, []; what is learnt is the median of what can be."""
    return l1_loss(predicted, target) / scale
