"""Differentiable CT reconstruction on PyTorch."""

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    detector_region,
    full_scan,
    load_geometry,
    save_geometry,
    shift_detector,
    short_scan,
)
from sinograd.io import (
    Calibration,
    Scan,
    ScanWarning,
    read,
    read_volume,
    save_page,
    save_preview,
    save_scan_preview,
    write_scan,
    write_volume,
)
from sinograd.layers import FBP, FDK
from sinograd.ops import Backprojection, LinearOperator, XRayTransform
from sinograd.phantoms import Ellipsoids, bone, shepp_logan_2d, shepp_logan_3d
from sinograd.physics import add_photon_noise
from sinograd.preparation import Preparation, PreparationWarning, prepare
from sinograd.recon import CoverageWarning, coverage, fbp, fdk

__version__ = "0.1.0"

__all__ = [
    "FBP",
    "FDK",
    "Backprojection",
    "Calibration",
    "ConeBeam",
    "CoverageWarning",
    "CurvedDetector",
    "Ellipsoids",
    "FanBeam",
    "FlatDetector",
    "Geometry",
    "Grid",
    "LinearOperator",
    "ParallelBeam",
    "Preparation",
    "PreparationWarning",
    "Scan",
    "ScanWarning",
    "XRayTransform",
    "add_photon_noise",
    "bone",
    "coverage",
    "detector_region",
    "fbp",
    "fdk",
    "full_scan",
    "load_geometry",
    "prepare",
    "read",
    "read_volume",
    "save_geometry",
    "save_page",
    "save_preview",
    "save_scan_preview",
    "shepp_logan_2d",
    "shepp_logan_3d",
    "shift_detector",
    "short_scan",
    "write_scan",
    "write_volume",
]
