"""Losses of training: differences between a prediction and its target.

To add one: a function or class that follows `Loss`, and its line in `sinograd.choices.LOSSES`.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.choices import ADVERSARIAL_LOSSES, LOSSES
    from sinograd.losses.adversarial import AdversarialLoss, LeastSquares, Wasserstein
    from sinograd.losses.charbonnier import Charbonnier
    from sinograd.losses.errors import mae, mse
    from sinograd.losses.jbfnet import JBFNetLoss
    from sinograd.losses.loss import Loss, as_loss, loss_schema
    from sinograd.losses.own import OwnLoss
    from sinograd.losses.perceptual import Perceptual
    from sinograd.losses.sobel import Sobel
    from sinograd.losses.structural_similarity import SSIM
    from sinograd.losses.structure_aware import StructureAware
    from sinograd.losses.vgg import VGGFeatures
    from sinograd.losses.weighted_sum import WeightedSum

__all__ = [
    "ADVERSARIAL_LOSSES",
    "LOSSES",
    "SSIM",
    "AdversarialLoss",
    "Charbonnier",
    "JBFNetLoss",
    "LeastSquares",
    "Loss",
    "OwnLoss",
    "Perceptual",
    "Sobel",
    "StructureAware",
    "VGGFeatures",
    "Wasserstein",
    "WeightedSum",
    "as_loss",
    "loss_schema",
    "mae",
    "mse",
]

attach(__name__)
