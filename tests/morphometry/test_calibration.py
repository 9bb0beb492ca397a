"""Calibration and registration. Truth: lines and movements that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

import sinograd as sg
from sinograd.errors import InputError, UnitError
from sinograd.morphometry import calibrate_by_low_pass, calibrate_by_rods, register_rigidly

SLOPE, INTERCEPT = 0.8, -12.0  # mg/cm3 of HU
RODS = ((-8.0, 0.0), (0.0, 8.0), (8.0, 0.0), (0.0, -8.0))
DENSITIES = (0.0, 100.0, 400.0, 800.0)


def phantom() -> sg.Volume:
    grid = sg.Grid((4, 60, 60), (1.0, 0.5, 0.5), (2.0, -1.0, 5.0))
    _, y, x = grid.axes()
    values = torch.zeros(grid.shape, dtype=torch.float64)
    for (a, b), density in zip(RODS, DENSITIES, strict=True):
        values[:, (y[:, None] - b) ** 2 + (x - a) ** 2 <= 9] = (density - INTERCEPT) / SLOPE
    return sg.Volume(values, grid, "HU")


def test_rods() -> None:
    volume = phantom()
    line = calibrate_by_rods(volume, RODS, DENSITIES, radius_mm=2.0)
    assert (line.slope, line.intercept) == (pytest.approx(SLOPE), pytest.approx(INTERCEPT))
    assert (line.unit, line.points) == ("HU", 4) and line.residual < 1e-9 and line.correlation == pytest.approx(1)
    calibrated = line(volume)
    assert calibrated.unit == "mg/cm3" and float(calibrated.values.max()) == pytest.approx(800)
    assert calibrated.provenance["density_calibration"]["slope"] == line.slope
    noisy = volume.with_values(
        volume.values + 20 * torch.randn(volume.shape, generator=torch.Generator().manual_seed(0))
    )
    found = calibrate_by_rods(noisy, RODS, DENSITIES, radius_mm=2.0, slices=(1, 4))
    means = [(d - INTERCEPT) / SLOPE for d in DENSITIES]
    assert found.slope == pytest.approx(SLOPE, rel=0.02) and 0 < found.residual < 5
    assert np.polyval([found.slope, found.intercept], means) == pytest.approx(DENSITIES, abs=10)


def test_low_pass_correlation() -> None:
    """A noisy, sharper and scaled copy: the line is found, and the noise stays out of the slope."""
    drawn = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(drawn.standard_normal((26, 44, 44)), (3, 6, 6))
    truth = 200 + 100 * smooth / smooth.std()
    grid = sg.Grid(truth.shape, (0.34, 0.172, 0.172))
    measured = (truth - 30) / 0.9 + drawn.normal(0, 100, truth.shape)
    line = calibrate_by_low_pass(sg.Volume(measured, grid, "HU"), sg.Volume(truth, grid, "mg/cm3"))
    assert line.slope == pytest.approx(0.9, rel=0.02) and line.intercept == pytest.approx(30, abs=5)
    plain = np.polyfit(measured.ravel(), truth.ravel(), 1)[0]
    assert plain < 0.6  # what voxels without the low pass would say
    mask = np.zeros(truth.shape, bool)
    mask[8:18, 15:30, 15:30] = True
    masked = calibrate_by_low_pass(sg.Volume(measured, grid, "HU"), sg.Volume(truth, grid, "mg/cm3"), mask=mask)
    assert masked.points == 2250 and masked.slope == pytest.approx(0.9, rel=0.1)
    again = calibrate_by_low_pass(line(sg.Volume(measured, grid, "HU")), sg.Volume(truth, grid, "mg/cm3"))
    assert again.unit == "mg/cm3" and again.slope == pytest.approx(1, abs=1e-6)
    assert again(line(sg.Volume(measured, grid, "HU"))).unit == "mg/cm3"


def test_bad_calibrations() -> None:
    volume = phantom()
    line = calibrate_by_rods(volume, RODS, DENSITIES, radius_mm=2.0)
    other = sg.Volume(volume.values, sg.Grid(volume.shape), "mg/cm3")
    cases: tuple[tuple[Any, type[Exception], str], ...] = (
        (lambda: line(volume.with_unit("1/mm")), UnitError, "the calibration is of values in HU, and the volume is in"),
        (lambda: calibrate_by_rods(volume.with_unit(None), RODS, DENSITIES, radius_mm=2), UnitError, "unit unknown"),
        (lambda: calibrate_by_rods(volume, RODS[:3], DENSITIES, radius_mm=2), InputError, "centers_mm"),
        (lambda: calibrate_by_rods(volume, RODS[:1], (1.0,), radius_mm=2), InputError, "at least 2 points"),
        (lambda: calibrate_by_rods(volume, RODS, (5.0,) * 4, radius_mm=2), InputError, "expected different values"),
        (lambda: calibrate_by_rods(volume, ((40.0, 0.0), RODS[0]), (0, 1), radius_mm=2), InputError, "not inside"),
        (lambda: calibrate_by_rods(volume, RODS, DENSITIES, radius_mm=0), InputError, "radius_mm must be positive"),
        (lambda: calibrate_by_rods(volume, RODS, DENSITIES, radius_mm=2, slices=(3, 9)), InputError, "slices"),
        (lambda: calibrate_by_low_pass(volume, volume), UnitError, "calibration by a reference needs mg/cm³"),
        (lambda: calibrate_by_low_pass(volume.with_unit("1"), other), UnitError, "got a volume with no unit"),
        (lambda: calibrate_by_low_pass(volume, other), InputError, "reference is on another grid"),
        (lambda: calibrate_by_low_pass(other, other, diameter=9), InputError, "larger than the volume"),
        (
            lambda: calibrate_by_low_pass(other.with_values(volume.values * 0), other, diameter=3),
            InputError,
            "different",
        ),
    )
    for call, kind, words in cases:
        with pytest.raises(kind, match=words):
            call()


def test_a_known_movement() -> None:
    """Blobs turned by 4 degrees about z and moved by (1.5, -1, 0.8) mm, in another unit: found to 0.1 voxels."""
    pytest.importorskip("SimpleITK")
    drawn = np.random.default_rng(3)
    balls = drawn.uniform(-11, 11, (30, 3))
    grid = sg.Grid((24, 40, 40), (1.2, 0.8, 0.8))

    def sampled(points: np.ndarray) -> np.ndarray:
        return sum(np.exp(-((points - ball) ** 2).sum(-1) / 8) for ball in balls)

    z, y, x = np.meshgrid(*(axis.numpy() for axis in grid.axes()), indexing="ij")
    points = np.stack([x, y, z], -1)
    angle, shift = math.radians(4), np.array([1.5, -1.0, 0.8])
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    fixed = sg.Volume(100 * sampled(points), grid, "mg/cm3")
    moving = sg.Volume(300 * sampled((points - shift) @ turn) - 50, grid, "HU")
    found = register_rigidly(moving, fixed)
    np.testing.assert_allclose(found.rotation, turn, atol=2e-3)
    np.testing.assert_allclose(found.translation, shift, atol=0.08)
    assert found.angle == pytest.approx(angle, rel=0.02) and found.correlation > 0.999
    assert found.volume.unit == "HU" and found.volume.grid.equals(grid)
    inner = (slice(4, -4), slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(found.volume.values.numpy()[inner], 3 * fixed.values.numpy()[inner] - 50, atol=6)
    with pytest.raises(InputError, match="moving: expected different values, got 0 everywhere"):
        register_rigidly(moving.with_values(torch.zeros(grid.shape)), fixed)
    with pytest.raises(InputError, match="levels: expected a whole number of at least 1, got 0"):
        register_rigidly(moving, fixed, levels=0)
