"""Mean squared and mean absolute errors."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss


def mse(predicted: Tensor, target: Tensor, *, scale: float) -> Tensor:
    """Mean squared difference in units of `scale` squared, []; what is learnt is the mean of what can be."""
    return mse_loss(predicted, target) / scale**2


def mae(predicted: Tensor, target: Tensor, *, scale: float) -> Tensor:
    """Mean absolute difference in units of `scale`, []; what is learnt is the median of what can be."""
    return l1_loss(predicted, target) / scale
