"""Criteria of projections alone. Truth: the geometry that exact line integrals of ellipsoids were made in."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from recon.calibration.scans import ERRORS, TRUTH, body, cone, measured, pixels_of_axis, wrong
from sinograd.errors import CalibrationError, InputError
from sinograd.recon.calibration.epipolar import epipolar_mismatch
from sinograd.recon.calibration.redundancy import opposite_mismatch

ORBIT = {"source_to_origin": 100.0, "source_to_detector": 200.0, "angles": sg.full_scan(90)}


def fan(offset: float, curved: bool = False) -> sg.FanBeam:
    detector = sg.CurvedDetector(64, 1.6) if curved else sg.FlatDetector(64, 1.6)
    return sg.FanBeam.circular(**ORBIT, detector=detector, axis_offset=offset)


def parallel(offset: float) -> sg.ParallelBeam:
    return sg.ParallelBeam(sg.full_scan(90), sg.FlatDetector(64, 0.8), axis_offset=offset)


MAKES = {"fan": fan, "curved": lambda t: fan(t, True), "parallel": parallel}


@pytest.mark.parametrize("name", MAKES)
def test_opposite_rays_agree_in_the_right_geometry(name: str) -> None:
    make = MAKES[name]
    projections = body().project(make(0.5))
    costs = [float(opposite_mismatch(projections, make(0.5 + t))) for t in (-0.8, -0.4, 0.0, 0.4, 0.8)]
    assert costs[2] < 0.1 * min(costs[1], costs[3]) and costs[1] < costs[0] and costs[3] < costs[4]


@pytest.mark.parametrize("name", MAKES)
def test_opposite_rays_find_the_axis(name: str) -> None:
    make = MAKES[name]
    exact = body().project(make(0.5)).float()
    noisy = sg.add_photon_noise(exact, 1e4, generator=torch.Generator().manual_seed(3))
    result = sg.calibrate(noisy, make(2.5), learn=("axis_offset",), criterion="redundancy")
    assert abs(result.values["axis_offset"] - 0.5) < 0.05 * 0.8 and result.criterion == "redundancy"


def test_epipolar_planes_agree_in_the_right_geometry() -> None:
    right = cone(48, 48)
    projections = body().project(right)
    least = float(epipolar_mismatch(projections, right))
    pixel = 1 / pixels_of_axis(48)
    for name, step in (("axis_offset", pixel), ("in_plane_rotation", math.radians(2))):
        for sign in (-1, 1):
            moved = cone(48, 48, **{name: TRUTH[name] + sign * step})
            assert float(epipolar_mismatch(projections, moved)) > 1.2 * least, name


def test_epipolar_planes_find_axis_and_roll() -> None:
    """From 5 % of the width and 2 degrees."""
    names = ("axis_offset", "in_plane_rotation")
    result = sg.calibrate(measured(cone(48, 48)), wrong(48, 48, names), learn=names, criterion="redundancy")
    assert abs(result.values["axis_offset"] - TRUTH["axis_offset"]) * pixels_of_axis(48) < 0.1
    roll = math.degrees(result.values["in_plane_rotation"] - TRUTH["in_plane_rotation"])
    assert abs(roll) < 0.5 < 0.3 * math.degrees(ERRORS["in_plane_rotation"])


@pytest.mark.parametrize("name", ["fan", "cone"])
def test_gradients_are_those_of_differences(name: str) -> None:
    """To the offset of the axis and to the projections, away from where interpolation has kinks."""
    make, measure = (fan, opposite_mismatch) if name == "fan" else (cone_at, epipolar_mismatch)
    offset = torch.tensor(0.613, dtype=torch.float64, requires_grad=True)
    projections = body().project(make(0.5)).double().requires_grad_()
    change = torch.randn(projections.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    to_offset, to_projections = torch.autograd.grad(measure(projections, make(offset)), [offset, projections])
    with torch.no_grad():
        step = 1e-7
        ends = [float(measure(projections, make(0.613 + side * step))) for side in (1, -1)]
        assert float(to_offset) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)
        ends = [float(measure(projections + side * 1e-5 * change, make(0.613))) for side in (1, -1)]
        assert float((to_projections * change).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4)


def cone_at(offset: float) -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        **{**ORBIT, "angles": sg.full_scan(24)}, detector=sg.FlatDetector((20, 32), 3.2), axis_offset=offset
    )


def test_scans_without_redundancy() -> None:
    half = sg.ParallelBeam(torch.arange(40) * math.pi / 80, sg.FlatDetector(64, 0.8))
    with pytest.raises(InputError, match="no ray of the scan was measured from both sides"):
        opposite_mismatch(torch.rand(40, 64), half)
    arc = sg.ConeBeam.circular(**ORBIT, detector=sg.CurvedDetector((16, 32), 3.0))
    with pytest.raises((InputError, CalibrationError), match="need a flat detector"):
        sg.calibrate(torch.rand(90, 16, 32), arc, criterion="redundancy")
