"""Bone micro-structure: densities, bone volume, thickness, surface, connectivity, anisotropy.

Values are densities in mg/cm3, [Z, Y, X]; lengths in mm. Not imported with sinograd.
"""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.morphometry.agreement import (
        accuracy_error,
        adjusted_r2,
        deviation,
        difference_of_averages,
        mean_and_half_range,
        precision_error,
        psnr_decibels,
        psnr_natural,
        root_mean_square_error,
    )
    from sinograd.morphometry.ball import ball
    from sinograd.morphometry.maps import bmd_map, bvtv_map, sd_map, tmd_map
    from sinograd.morphometry.parameters import bmd, bvtv, tmd

__all__ = [
    "accuracy_error",
    "adjusted_r2",
    "ball",
    "bmd",
    "bmd_map",
    "bvtv",
    "bvtv_map",
    "deviation",
    "difference_of_averages",
    "mean_and_half_range",
    "precision_error",
    "psnr_decibels",
    "psnr_natural",
    "root_mean_square_error",
    "sd_map",
    "tmd",
    "tmd_map",
]

attach(__name__)
