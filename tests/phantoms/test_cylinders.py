"""Water and rods. Truth: chords of circles, tabulated attenuation, sine waves, FDK."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from sinograd.choices import PHANTOMS
from sinograd.errors import InputError
from sinograd.phantoms.catalogue import placed, scanned_by
from sinograd.phantoms.cylinders import ROD_DIAMETERS, rods, water


def test_water_has_the_chords_of_a_circle() -> None:
    """2 mu sqrt(r^2 - s^2), in the plane of the circle to rounding and beside it to 0.03 %."""
    geometry = sg.ParallelBeam([0.0, 0.7], sg.FlatDetector((3, 41), (100.0, 6.0)))
    offset = 6.0 * (torch.arange(41, dtype=torch.float64) - 20)
    chord = 2 * 0.0193 * (100.0**2 - offset**2).clamp(min=0).sqrt()
    projections = water().project(geometry, dtype=torch.float64)
    torch.testing.assert_close(projections[:, 1], chord.expand(2, 41), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(projections[:, 0, 12:29], chord[12:29].expand(2, 17), rtol=3e-4, atol=0)


def test_the_value_is_waters_at_70_kev() -> None:
    """NISTIR 5632: 0.2059 cm^2/g at 60 keV, 0.1837 at 80 keV; between them as a power of the energy."""
    at_70 = 0.2059 * (0.1837 / 0.2059) ** (math.log(70 / 60) / math.log(80 / 60))
    assert water().value.item() == pytest.approx(at_70 / 10, rel=5e-3)


def test_water_is_zero_hounsfield_units_after_fdk() -> None:
    """Through the scanner that the phantom names, with fewer elements."""
    geometry = scanned_by("water", None, 288, (8, 184))
    phantom, width = placed("water", 0, geometry, None)
    grid = sg.Grid((3, 64, 64), (2.0, 4.0, 4.0))
    image = (
        sg.Volume(sg.fdk(phantom.project(geometry), geometry, grid), grid, unit="1/mm").to("HU", water=0.0193).values
    )
    y, x = (axis for axis in grid.axes()[1:])
    distance = (x**2 + y[:, None] ** 2).sqrt()
    assert width == 200.0
    assert image[1][distance < 80].mean().abs() < 5 and image[1][distance < 80].std() < 10
    assert (image[1][distance > 110] + 1000).mean().abs() < 20


def test_rods_stand_two_diameters_apart() -> None:
    phantom = rods(radius=100.0, value=0.02, contrast=0.01)
    assert len(phantom) == 1 + 6 * 21 and phantom.value.tolist() == [0.02] + 126 * [0.01]
    for group, fraction in enumerate(ROD_DIAMETERS):
        part = phantom[1 + 21 * group : 22 + 21 * group]
        assert torch.allclose(part.semi_axes[:, :2], torch.tensor(50.0 * fraction, dtype=torch.float64))
        centers = part.center[:, :2]
        between = torch.cdist(centers, centers) + 1e9 * torch.eye(21)
        assert torch.allclose(between.min(1).values, torch.tensor(200.0 * fraction, dtype=torch.float64))
        angles = torch.atan2(centers[:, 1], centers[:, 0]).rad2deg()
        assert (((angles - 60 * group + 180) % 360) - 180).abs().max() < 30
        middle = torch.tensor([math.cos(math.radians(60 * group)), math.sin(math.radians(60 * group))])
        assert torch.allclose(centers.mean(0), 50 * middle.double())


def test_rods_do_not_touch_and_lie_within_the_cylinder() -> None:
    body, *parts = rods(radius=40.0).semi_axes[:, 0].tolist()
    centers = rods(radius=40.0).center[1:, :2]
    radii = torch.tensor(parts)
    between = torch.cdist(centers, centers) - radii - radii[:, None] + 1e9 * torch.eye(len(radii))
    assert between.min() > 0
    assert (centers.norm(dim=1) + radii).max() < 0.9 * body


def test_a_row_of_rods_is_a_wave_of_its_line_pairs() -> None:
    """Through the 6 mm rods of the last row: the strongest frequency is 1 / (2 d)."""
    grid = sg.Grid((1, 512, 1), (1.0, 0.25, 0.25), center=(50 + 12 * math.sqrt(3) / 2 * 5 / 3, 0.0, 0.0))
    profile = rods().voxelize(grid, supersampling=1)[0, :, 0].double()
    profile = profile[512 // 2 - 144 : 512 // 2 + 144]  # six rods, 72 mm
    spectrum = torch.fft.rfft(profile - profile.mean()).abs()
    assert int(spectrum.argmax()) / 72.0 == pytest.approx(1 / (2 * 6.0))


@pytest.mark.parametrize("name", ["water", "rods"])
@pytest.mark.parametrize("radius", [0.0, -1.0, math.inf])
def test_bad_radius(name: str, radius: float) -> None:
    with pytest.raises(InputError, match=f"radius must be a positive number, got {radius}"):
        PHANTOMS.load(name)(radius)
