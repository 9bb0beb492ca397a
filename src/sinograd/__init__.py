"""Differentiable CT reconstruction on PyTorch.

Names are imported when they are used first: `import sinograd` itself loads nothing, torch included. It raises
MissingPackageError where torch is too old, or this machine is none that torch and sinograd run on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.lazy import attach
from sinograd.supported import check_supported

if TYPE_CHECKING:
    from sinograd.data import (
        Calibration,
        Scan,
        Volume,
    )
    from sinograd.errors import (
        CenterWarning,
        CoverageWarning,
        PreparationWarning,
        ScanWarning,
        SinogradError,
        SinogradWarning,
    )
    from sinograd.geometry import (
        ConeBeam,
        CurvedDetector,
        FanBeam,
        FlatDetector,
        Geometry,
        Grid,
        LearnedGeometry,
        ParallelBeam,
        concatenate,
        detector_region,
        full_scan,
        load_geometry,
        save_geometry,
        shift_detector,
        short_scan,
    )
    from sinograd.io import (
        read,
        read_volume,
        write_scan,
        write_volume,
    )
    from sinograd.layers import (
        FBP,
        FDK,
        BilateralFilter2d,
        BilateralFilter3d,
        HelicalFBP,
        JointBilateralFilter2d,
        JointBilateralFilter3d,
        bilateral_parameter_groups,
    )
    from sinograd.models import (
        DualDomainBilateral,
        NetworkDenoiser,
        load_model,
        save_model,
    )
    from sinograd.ops import (
        Backprojection,
        LinearOperator,
        XRayTransform,
        phases,
        stack,
    )
    from sinograd.phantoms import (
        Ellipsoids,
        abdomen,
        bone,
        shepp_logan_2d,
        shepp_logan_3d,
        tibia,
    )
    from sinograd.physics import (
        add_photon_noise,
        bowtie_transmission,
        low_dose,
    )
    from sinograd.preparation import (
        Center,
        Preparation,
        find_center,
        prepare,
        rebin,
    )
    from sinograd.recon import (
        calibrate,
        coverage,
        fbp,
        fdk,
        helical_fbp,
        katsevich,
    )
    from sinograd.training import train
    from sinograd.view import (
        save_center_picture,
        save_page,
        save_preview,
        save_scan_preview,
        show,
        show_comparison,
        show_geometry,
    )
    from sinograd.workflows import (
        convert,
        denoise,
        make_pairs,
        reconstruct,
        simulate,
    )

__version__ = "0.1.0"

__all__ = [
    "FBP",
    "FDK",
    "Backprojection",
    "BilateralFilter2d",
    "BilateralFilter3d",
    "Calibration",
    "Center",
    "CenterWarning",
    "ConeBeam",
    "CoverageWarning",
    "CurvedDetector",
    "DualDomainBilateral",
    "Ellipsoids",
    "FanBeam",
    "FlatDetector",
    "Geometry",
    "Grid",
    "HelicalFBP",
    "JointBilateralFilter2d",
    "JointBilateralFilter3d",
    "LearnedGeometry",
    "LinearOperator",
    "NetworkDenoiser",
    "ParallelBeam",
    "Preparation",
    "PreparationWarning",
    "Scan",
    "ScanWarning",
    "SinogradError",
    "SinogradWarning",
    "Volume",
    "XRayTransform",
    "abdomen",
    "add_photon_noise",
    "bilateral_parameter_groups",
    "bone",
    "bowtie_transmission",
    "calibrate",
    "concatenate",
    "convert",
    "coverage",
    "denoise",
    "detector_region",
    "fbp",
    "fdk",
    "find_center",
    "full_scan",
    "helical_fbp",
    "katsevich",
    "load_geometry",
    "load_model",
    "low_dose",
    "make_pairs",
    "phases",
    "prepare",
    "read",
    "read_volume",
    "rebin",
    "reconstruct",
    "save_center_picture",
    "save_geometry",
    "save_model",
    "save_page",
    "save_preview",
    "save_scan_preview",
    "shepp_logan_2d",
    "shepp_logan_3d",
    "shift_detector",
    "short_scan",
    "show",
    "show_comparison",
    "show_geometry",
    "simulate",
    "stack",
    "tibia",
    "train",
    "write_scan",
    "write_volume",
]

check_supported()
attach(__name__)
