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
from sinograd.layers import FBP, FDK
from sinograd.ops import Backprojection, LinearOperator, XRayTransform
from sinograd.recon import CoverageWarning, coverage, fbp, fdk

__version__ = "0.1.0"

__all__ = [
    "FBP",
    "FDK",
    "Backprojection",
    "ConeBeam",
    "CoverageWarning",
    "CurvedDetector",
    "FanBeam",
    "FlatDetector",
    "Geometry",
    "Grid",
    "LinearOperator",
    "ParallelBeam",
    "XRayTransform",
    "coverage",
    "fbp",
    "fdk",
    "full_scan",
    "load_geometry",
    "save_geometry",
    "short_scan",
]
