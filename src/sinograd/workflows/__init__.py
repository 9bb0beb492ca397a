"""The jobs of the commands as library functions. Their arguments are the options of the commands."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.workflows.bone import measure_bone
    from sinograd.workflows.calibration import calibrate_scan
    from sinograd.workflows.conversion import convert
    from sinograd.workflows.denoising import denoise
    from sinograd.workflows.invariance import report_invariance
    from sinograd.workflows.pairs import make_pairs
    from sinograd.workflows.reconstruction import reconstruct
    from sinograd.workflows.report import Bars, Report
    from sinograd.workflows.simulation import simulate

__all__ = [
    "Bars",
    "Report",
    "calibrate_scan",
    "convert",
    "denoise",
    "make_pairs",
    "measure_bone",
    "reconstruct",
    "report_invariance",
    "simulate",
]

attach(__name__)
