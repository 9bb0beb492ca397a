"""Another centre that fits clearly better is noticed from a few rows, and only that. Truth: simulated scans."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.preparation.center.nominal import check_center

ORBIT = {"source_to_origin": 210.0, "source_to_detector": 350.0}
FAN = 2 * math.atan(48 / 350)


def geometry(kind: str, offset: float = 0.0) -> sg.Geometry:
    flat, tall = sg.FlatDetector(96, 1.0, offset), sg.FlatDetector((10, 96), 1.0, (0.0, offset))
    match kind:
        case "half turn":
            return sg.ParallelBeam(torch.arange(120) * math.pi / 120, tall)
        case "full turn":
            return sg.ParallelBeam(sg.full_scan(120), tall)
        case "fan":
            return sg.FanBeam.circular(**ORBIT, angles=sg.full_scan(120), detector=flat)
        case "short":
            return sg.ConeBeam.circular(**ORBIT, angles=sg.short_scan(100, FAN), detector=tall)
        case "helix":
            return sg.ConeBeam.helical(**ORBIT, angles=sg.full_scan(60), detector=tall, pitch=5.0)
        case _:
            return sg.ConeBeam.circular(**ORBIT, angles=sg.full_scan(120), detector=tall)


KINDS = ["half turn", "full turn", "fan", "short", "cone"]
THING = sg.Ellipsoids(
    [0.03, 0.03, -0.02, 0.04],
    [[20.0, 17.0, 20.0], [4.0, 3.0, 6.0], [5.0, 3.0, 5.0], [2.0, 2.0, 8.0]],
    [[1.0, 0.0, 0.0], [8.0, 3.0, 0.0], [-6.0, -7.0, 0.0], [2.0, 12.0, 0.0]],
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("photons", [1e3, 1e6])
def test_another_centre_is_clearly_better(kind: str, photons: float) -> None:
    generator = torch.Generator().manual_seed(1)
    p = sg.add_photon_noise(THING.project(geometry(kind, 3.2)), photons, generator=generator)
    check = check_center(p, geometry(kind))
    assert check is not None and check.is_clearly_better and check.criterion < check.nominal_criterion
    assert check.offset_pixels == pytest.approx(3.2, abs=max(0.05, 3 * check.standard_error))
    same = check_center(p, geometry(kind, 3.2))
    assert same is not None and not same.is_clearly_better


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said_of_what_tells_no_centre(kind: str) -> None:
    """Noise, an empty scan, a round object that stands where it should."""
    nominal = geometry(kind)
    noise = torch.randn(nominal.projection_shape, generator=torch.Generator().manual_seed(0))
    ball = sg.Ellipsoids([0.02], [[15.0, 15.0, 15.0]])
    for p in (noise, torch.zeros(nominal.projection_shape), ball.project(nominal) + 0.01 * noise):
        check = check_center(p, nominal)
        assert check is not None and not check.is_clearly_better


@pytest.mark.parametrize(("photons", "least"), [(1e3, 11), (1e4, 12)])
def test_one_row_of_a_half_turn(photons: float, least: int) -> None:
    """Ends of the half turn are all that is measured twice: some 30 independent rays."""
    nominal, shifted = (
        sg.ParallelBeam(torch.arange(90) * math.pi / 90, sg.FlatDetector(96, 1.0, offset)) for offset in (0.0, 3.2)
    )
    right, wrong = THING.project(nominal), THING.project(shifted)
    noticed = 0
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        same = check_center(sg.add_photon_noise(right, photons, generator=generator), nominal)
        assert same is not None and not same.is_clearly_better
        check = check_center(sg.add_photon_noise(wrong, photons, generator=generator), nominal)
        assert check is not None
        noticed += check.is_clearly_better
        assert not check.is_clearly_better or abs(check.offset_pixels - 3.2) < 3 * check.standard_error
    assert noticed >= least


def test_scans_whose_centre_cannot_be_found() -> None:
    helix = geometry("helix")
    assert check_center(torch.zeros(helix.projection_shape), helix) is None
    few = sg.ParallelBeam(torch.deg2rad(torch.arange(7) * 15.0), sg.FlatDetector(96, 1.0))
    assert check_center(THING.project(few), few) is None
    nominal = geometry("fan")
    assert check_center(torch.full(nominal.projection_shape, torch.nan), nominal) is None
