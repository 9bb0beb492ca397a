"""How good an image is: errors and similarity to a reference, noise power, sharpness of an edge.

Functions of tensors, differentiable, on the device of their arguments and in float64. A data range is always an
argument: it is never guessed from the values.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.metrics.errors import mse, psnr, rmse
    from sinograd.metrics.noise_power import (
        NoisePowerSpectrum,
        RadialSpectrum,
        noise_of_repeats,
        noise_power_spectrum,
        ring_of_centers,
    )
    from sinograd.metrics.structural_similarity import ssim
    from sinograd.metrics.task_transfer import TaskTransferFunction, task_transfer_function

__all__ = [
    "NoisePowerSpectrum",
    "RadialSpectrum",
    "TaskTransferFunction",
    "mse",
    "noise_of_repeats",
    "noise_power_spectrum",
    "psnr",
    "ring_of_centers",
    "rmse",
    "ssim",
    "task_transfer_function",
]

attach(__name__)
