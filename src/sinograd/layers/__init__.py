"""Modules that hold parameters over the functions of `sinograd.recon` and `sinograd.ops`."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.layers.bilateral import (
        BilateralFilter2d,
        BilateralFilter3d,
        JointBilateralFilter2d,
        JointBilateralFilter3d,
        bilateral_parameter_groups,
    )
    from sinograd.layers.filtered_backprojection import (
        FBP,
        FDK,
    )
    from sinograd.layers.helical_fbp import (
        HelicalFBP,
    )
    from sinograd.layers.unrolled import (
        Unrolled,
    )

__all__ = [
    "FBP",
    "FDK",
    "BilateralFilter2d",
    "BilateralFilter3d",
    "HelicalFBP",
    "JointBilateralFilter2d",
    "JointBilateralFilter3d",
    "Unrolled",
    "bilateral_parameter_groups",
]

attach(__name__)
