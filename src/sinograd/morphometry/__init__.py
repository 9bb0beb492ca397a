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
    from sinograd.morphometry.analysis import BoneAnalysis, BoneMap, Measure, analyse
    from sinograd.morphometry.anisotropy import degree_of_anisotropy
    from sinograd.morphometry.ball import ball
    from sinograd.morphometry.calibration import DensityCalibration, calibrate_by_low_pass, calibrate_by_rods
    from sinograd.morphometry.connectivity import connectivity_density, euler_number
    from sinograd.morphometry.losses import BoneLoss, BoneTerm, NNBMDLoss, NNSPLoss, threshold_weights
    from sinograd.morphometry.maps import bmd_map, bvtv_map, sd_map, tmd_map
    from sinograd.morphometry.parameters import bmd, bvtv, tmd
    from sinograd.morphometry.registration import Registration, register_rigidly
    from sinograd.morphometry.surface import surface_area
    from sinograd.morphometry.thickness import thickness

__all__ = [
    "BoneAnalysis",
    "BoneLoss",
    "BoneMap",
    "BoneTerm",
    "DensityCalibration",
    "Measure",
    "NNBMDLoss",
    "NNSPLoss",
    "Registration",
    "accuracy_error",
    "adjusted_r2",
    "analyse",
    "ball",
    "bmd",
    "bmd_map",
    "bvtv",
    "bvtv_map",
    "calibrate_by_low_pass",
    "calibrate_by_rods",
    "connectivity_density",
    "degree_of_anisotropy",
    "deviation",
    "difference_of_averages",
    "euler_number",
    "mean_and_half_range",
    "precision_error",
    "psnr_decibels",
    "psnr_natural",
    "register_rigidly",
    "root_mean_square_error",
    "sd_map",
    "surface_area",
    "thickness",
    "threshold_weights",
    "tmd",
    "tmd_map",
]

attach(__name__)
