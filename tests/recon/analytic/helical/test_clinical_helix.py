"""Helical scans of a clinical detector, 64 rows of 736 columns, a flying focal spot. Truth: analytic objects.

Amplitudes, evenness along z, windmills, and sharpness at half the radius of the field of view.
"""

from __future__ import annotations

import functools
import math
import warnings

import pytest
import torch
from torch import Tensor

import sinograd as sg
from helical_scans import LONG, ORBIT, REGIONS, collimation, disc
from sinograd.errors import CoverageWarning

# Shifts of the focal spot: 0.35 of a column and a quarter of a row at the axis either way, in four combinations. (At a
# quarter of a column sharpness without the shifts falls by 8 %.)
PANEL = sg.CurvedDetector((64, 736), (1.0947, 1.2858), offset=(0.0, 0.25 * 1.2858))
LEVER = 1 / (1 - ORBIT["source_to_origin"] / ORBIT["source_to_detector"])
AT_AXIS = ORBIT["source_to_origin"] / ORBIT["source_to_detector"]
ROW_SHIFT, COLUMN_SHIFT = 0.25 * 1.0947 * AT_AXIS * LEVER, 0.35 * 1.2858 * AT_AXIS * LEVER


def flying(views: int) -> Tensor:
    """[views, 2]: (row, column) shifts of the source, four positions in turn."""
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    shifts = signs * torch.tensor([ROW_SHIFT, COLUMN_SHIFT], dtype=torch.float64)
    return shifts[torch.arange(views) % 4]


def clinical(
    ratio: float, views: int, turns: float, panel: sg.CurvedDetector = PANEL, shifts: bool = True
) -> sg.ConeBeam:
    count = round(views * turns)
    angles = torch.arange(count, dtype=torch.float64) * (2 * math.pi / views)
    return sg.ConeBeam.helical(
        **ORBIT,
        angles=angles,
        detector=panel,
        pitch=ratio * collimation(panel),
        source_offset=flying(count) if shifts else (0.0, 0.0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.6, -1.0, 1.4])
def test_amplitude_and_evenness(ratio: float) -> None:
    geometry = clinical(ratio, 768, 2.6 if abs(ratio) > 0.8 else 3.4)
    grid = sg.Grid((9, 128, 128), (2.0, 1.8, 1.8))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CoverageWarning)
        volume = sg.helical_fbp(LONG.project(geometry), geometry, grid)
    for x, y, radius, value in REGIONS:
        along_z = volume[:, disc(grid, x, y, radius)].mean(1)
        print(ratio, value, float(along_z.mean()) / value - 1, float(along_z.max() - along_z.min()) / value)
        assert abs(float(along_z.mean()) / value - 1) < 0.005
        assert float(along_z.max() - along_z.min()) / value < 0.003


@pytest.mark.slow
def test_windmill_at_pitch_1() -> None:
    """A ball 80 mm from the axis; deviations from zero in a ring around it, also where it begins and ends along z."""
    geometry = clinical(1.0, 768, 3.0)
    ball = sg.Ellipsoids(0.02, 20.0, (80.0, 0.0, 0.0))
    grid = sg.Grid((21, 72, 72), (2.0, 1.5, 1.5), (80.0, 0.0, 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        volume = sg.helical_fbp(ball.project(geometry), geometry, grid, window="hann")
    ring = disc(grid, 0.0, 0.0, 50.0) & ~disc(grid, 0.0, 0.0, 24.0)
    z = (torch.arange(21) - 10) * 2.0
    rms = volume[:, ring].square().mean(1).sqrt() / 0.02
    print("windmill", [f"{a:g}: {b:.4f}" for a, b in zip(z.tolist(), rms.tolist(), strict=True)])
    assert float(rms.max()) < 0.005


ROD = (125.0, 0.0, 6.0)
# The rod alone, even along z: fewer rows, and columns up to it.
PART = sg.CurvedDetector((8, 400), (1.0947, 1.2858), offset=(0.0, 0.25 * 1.2858))


@functools.cache
def rod_projections(shifts: bool) -> Tensor:
    x, y, radius = ROD
    return sg.Ellipsoids(0.02, (radius, radius, 5000.0), (x, y, 0.0)).project(clinical(0.8, 2304, 1.9, PART, shifts))


def sharpness(flown: bool, used: bool) -> float:
    """MTF50 in 1/mm of the rod's edge at half the radius of the field of view, from its mean radial profile."""
    x, y, _ = ROD
    grid = sg.Grid((1, 96, 96), (1.0, 0.2, 0.2), (x, y, 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoverageWarning)
        volume = sg.helical_fbp(rod_projections(flown), clinical(0.8, 2304, 1.9, PART, used), grid)[0].double()
    steps = (torch.arange(96, dtype=torch.float64) - 47.5) * 0.2
    distance = (steps.square() + steps[:, None].square()).sqrt()
    edges = torch.arange(3.0, 9.05, 0.1, dtype=torch.float64)
    index = torch.bucketize(distance, edges)
    profile = torch.stack([volume[index == i].mean() for i in range(1, len(edges))])
    spread = -profile.diff() * torch.hann_window(len(profile) - 1, periodic=False, dtype=torch.float64)
    frequency = torch.arange(0.0, 1.5, 0.005, dtype=torch.float64)
    places = torch.arange(len(spread)) * 0.1
    mtf = torch.stack([(spread * torch.exp(-2j * math.pi * f * places)).sum().abs() for f in frequency])
    below = int((mtf / mtf[0] < 0.5).nonzero()[0])
    high, low = float(mtf[below - 1] / mtf[0]), float(mtf[below] / mtf[0])
    return float(frequency[below - 1]) + 0.005 * (high - 0.5) / (high - low)


@pytest.mark.slow
def test_sharpness_with_a_flying_focal_spot() -> None:
    static, flown, ignored = sharpness(False, False), sharpness(True, True), sharpness(True, False)
    print("MTF50", static, flown, ignored, flown / static - 1, ignored / flown - 1)
    assert abs(flown / static - 1) < 0.03
    assert ignored < 0.9 * flown
