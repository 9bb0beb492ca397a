"""Losses of training: differences between a prediction and its target.

To add one: a function or class that follows `Loss`, and its line in `sinograd.choices.LOSSES`.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.choices import LOSSES
    from sinograd.losses.errors import mae, mse
    from sinograd.losses.loss import Loss, as_loss, loss_schema
    from sinograd.losses.structural_similarity import SSIM

__all__ = ["LOSSES", "SSIM", "Loss", "as_loss", "loss_schema", "mae", "mse"]

attach(__name__)
