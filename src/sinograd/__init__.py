"""Differentiable CT reconstruction on PyTorch."""

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    full_scan,
    load_geometry,
    save_geometry,
    short_scan,
)
from sinograd.io import Scan, read, read_volume, save_page, save_preview, write_scan, write_volume
from sinograd.layers import (
    FBP,
    FDK,
    BilateralFilter2d,
    BilateralFilter3d,
    JointBilateralFilter2d,
    JointBilateralFilter3d,
    bilateral_parameter_groups,
)
from sinograd.models import DualDomainBilateral, load_model, save_model
from sinograd.ops import Backprojection, LinearOperator, XRayTransform
from sinograd.phantoms import Ellipsoids, abdomen, bone, shepp_logan_2d, shepp_logan_3d, tibia
from sinograd.physics import add_photon_noise, bowtie_transmission, low_dose
from sinograd.recon import CoverageWarning, coverage, fbp, fdk

__version__ = "0.1.0"

__all__ = [
    "FBP",
    "FDK",
    "Backprojection",
    "BilateralFilter2d",
    "BilateralFilter3d",
    "ConeBeam",
    "CoverageWarning",
    "CurvedDetector",
    "DualDomainBilateral",
    "Ellipsoids",
    "FanBeam",
    "FlatDetector",
    "Geometry",
    "Grid",
    "JointBilateralFilter2d",
    "JointBilateralFilter3d",
    "LinearOperator",
    "ParallelBeam",
    "Scan",
    "XRayTransform",
    "abdomen",
    "add_photon_noise",
    "bilateral_parameter_groups",
    "bone",
    "bowtie_transmission",
    "coverage",
    "fbp",
    "fdk",
    "full_scan",
    "load_geometry",
    "load_model",
    "low_dose",
    "read",
    "read_volume",
    "save_geometry",
    "save_model",
    "save_page",
    "save_preview",
    "shepp_logan_2d",
    "shepp_logan_3d",
    "short_scan",
    "tibia",
    "write_scan",
    "write_volume",
]
