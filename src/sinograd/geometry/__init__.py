"""Where source, detector and voxels are. Pure torch, float64 on the CPU; knows no kernel."""

from .angles import full_scan, short_scan
from .beam import Geometry
from .cone import ConeBeam
from .detectors import CurvedDetector, Detector, FlatDetector
from .fan import FanBeam
from .files import load_geometry, save_geometry, scanner_names
from .grid import Grid
from .parallel import ParallelBeam
from .regions import detector_region, shift_detector

__all__ = [
    "ConeBeam",
    "CurvedDetector",
    "Detector",
    "FanBeam",
    "FlatDetector",
    "Geometry",
    "Grid",
    "ParallelBeam",
    "detector_region",
    "full_scan",
    "load_geometry",
    "save_geometry",
    "scanner_names",
    "shift_detector",
    "short_scan",
]
