"""Geometry from the projections themselves: `calibrate`, and the criteria that it minimises."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.recon.calibration.balls import calibrate_from_balls, find_balls
    from sinograd.recon.calibration.calibrate import calibrate
    from sinograd.recon.calibration.cramer_rao import cramer_rao
    from sinograd.recon.calibration.result import Calibrated

__all__ = ["Calibrated", "calibrate", "calibrate_from_balls", "cramer_rao", "find_balls"]

attach(__name__)
