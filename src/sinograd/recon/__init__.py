"""Reconstruction: plain functions over the operators."""

from sinograd.recon.coverage import Coverage, CoverageWarning, coverage
from sinograd.recon.fbp import fbp
from sinograd.recon.fdk import fdk
from sinograd.recon.needed_rows import needed_rows
from sinograd.recon.ramp import WINDOWS, filter_rows, ramp_taps

__all__ = [
    "WINDOWS",
    "Coverage",
    "CoverageWarning",
    "coverage",
    "fbp",
    "fdk",
    "filter_rows",
    "needed_rows",
    "ramp_taps",
]
