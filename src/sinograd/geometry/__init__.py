"""Where source, detector and voxels are. Pure torch, float64 on the CPU; knows no kernel."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.geometry.angles import full_scan, short_scan
    from sinograd.geometry.base import Geometry
    from sinograd.geometry.circular import Circular, Helical, ShortScan
    from sinograd.geometry.concatenation import concatenate
    from sinograd.geometry.cone import ConeBeam
    from sinograd.geometry.detectors import CurvedDetector, Detector, FlatDetector
    from sinograd.geometry.fan import FanBeam
    from sinograd.geometry.files import load_geometry, save_geometry, scanner_names
    from sinograd.geometry.grid import Grid
    from sinograd.geometry.learned import LearnedGeometry
    from sinograd.geometry.motion import spline
    from sinograd.geometry.parallel import ParallelBeam
    from sinograd.geometry.regions import detector_region, shift_detector
    from sinograd.geometry.vector_recipe import Vectors

__all__ = [
    "Circular",
    "ConeBeam",
    "CurvedDetector",
    "Detector",
    "FanBeam",
    "FlatDetector",
    "Geometry",
    "Grid",
    "Helical",
    "LearnedGeometry",
    "ParallelBeam",
    "ShortScan",
    "Vectors",
    "concatenate",
    "detector_region",
    "full_scan",
    "load_geometry",
    "save_geometry",
    "scanner_names",
    "shift_detector",
    "short_scan",
    "spline",
]

attach(__name__)
