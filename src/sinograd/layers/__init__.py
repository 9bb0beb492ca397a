"""Modules that hold parameters over the functions of `sinograd.recon`."""

from sinograd.layers.filtered_backprojection import FBP, FDK
from sinograd.layers.unrolled import Unrolled

__all__ = ["FBP", "FDK", "Unrolled"]
