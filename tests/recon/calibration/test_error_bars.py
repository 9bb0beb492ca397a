"""How exact calibrations of noisy cone beams are, and whether their standard errors hold, against the true geometry."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

import sinograd as sg
from recon.calibration.scans import TRUTH, cone, measured, pixels_of_axis, wrong
from sinograd.errors import CalibrationWarning

AXIS_AND_ROLL = ("axis_offset", "in_plane_rotation")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_axis_and_roll_of_a_finer_cone_beam(seed: int) -> None:
    """From 5 % of the width and 2 degrees, 10,000 photons a ray, 96 columns and views."""
    columns, views = 96, 96
    projections = measured(cone(columns, views), seed=seed)
    result = sg.calibrate(projections, wrong(columns, views, AXIS_AND_ROLL), learn=AXIS_AND_ROLL)
    error = {name: result.values[name] - TRUTH[name] for name in AXIS_AND_ROLL}
    axis, roll = error["axis_offset"] * pixels_of_axis(columns), math.degrees(error["in_plane_rotation"])
    print(f"axis {axis:+.4f} pixels, roll {roll:+.4f} degrees, standard errors {dict(result.standard_errors)}")
    assert abs(axis) < 0.05 and abs(roll) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["reprojection", "redundancy"])
def test_the_truth_lies_within_two_standard_errors(criterion: str) -> None:
    """In at least 90 of 100 draws of the noise."""
    columns, views, within = 48, 48, torch.zeros(len(AXIS_AND_ROLL))
    exact, start = cone(columns, views), wrong(columns, views, AXIS_AND_ROLL)
    for seed in range(100):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)  # a search that ends before its steps are short
            result = sg.calibrate(measured(exact, seed=seed), start, learn=AXIS_AND_ROLL, criterion=criterion)
        ratios = [abs(result.values[name] - TRUTH[name]) / result.standard_errors[name] for name in AXIS_AND_ROLL]
        within += torch.tensor(ratios) < 2
    print(f"within two standard errors: {dict(zip(AXIS_AND_ROLL, within.int().tolist(), strict=True))} of 100")
    assert (within >= 90).all()
