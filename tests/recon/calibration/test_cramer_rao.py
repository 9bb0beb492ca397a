"""Bounds of what a scan can tell. Truth: the spread over draws of the noise, and how bounds scale."""

from __future__ import annotations

import math

import pytest
import torch

import sinograd as sg
from recon.calibration.scans import body
from sinograd.errors import InputError
from sinograd.recon.calibration.cramer_rao import _bounds

GRID = sg.Grid((56, 56), 1.0)


def fan(offset: float = 0.5) -> sg.FanBeam:
    return sg.FanBeam.circular(
        source_to_origin=100,
        source_to_detector=200,
        angles=sg.full_scan(60),
        detector=sg.FlatDetector(48, 2.1),
        axis_offset=offset,
    )


def bound(photons: float = 1e3, **options: object) -> float:
    volume = body().voxelize(GRID)
    found = sg.recon.cramer_rao(volume, fan(), GRID, learn=("axis_offset",), photons=photons, **options)
    return found["axis_offset"]


def test_bounds_fall_with_photons_and_knowledge() -> None:
    assert bound(1e5, object_deviation=0) == pytest.approx(bound(1e3, object_deviation=0) / 10, rel=1e-6)
    assert bound(1e3) / 10 < bound(1e5) < bound(1e3)  # of an unknown object more is told, too
    assert bound(object_deviation=0) < bound() < 20 * bound(object_deviation=0)


def test_bounds_of_an_object_of_a_stated_deviation() -> None:
    """As dense algebra has them, and the same after more iterations."""
    grid, beam = sg.Grid((10, 10), 4.0), fan()[::5]
    volume = body().voxelize(grid).double()
    operator = sg.XRayTransform(beam, grid)
    columns = [operator(one.reshape(grid.shape)).flatten() for one in torch.eye(volume.numel(), dtype=torch.float64)]
    a, weights = torch.stack(columns, 1), 1e3 * (-operator(volume)).exp().flatten()
    h = 0.3 * 2.1 / 2
    ends = [sg.XRayTransform(fan(0.5 + sign * h)[::5], grid)(volume).flatten() for sign in (1, -1)]
    change = (ends[0] - ends[1]) / (2 * h)
    covariance = torch.diag(1 / weights) + 0.01**2 * a @ a.T  # of projections of an object of a normal distribution
    dense = float(change @ torch.linalg.solve(covariance, change)) ** -0.5

    def found(iterations: int, **options: float) -> float:
        options = {"learn": ("axis_offset",), "photons": 1e3, "iterations": iterations, **options}
        return sg.recon.cramer_rao(volume, beam, grid, **options)["axis_offset"]

    assert found(60, object_deviation=0.01) == pytest.approx(dense, rel=2e-4)  # differences over another step
    assert found(300) == pytest.approx(found(60), rel=1e-6)
    assert found(60) == found(60, object_deviation=float(volume.std()))
    assert found(60, object_deviation=1e-7) == pytest.approx(found(1, object_deviation=0), rel=1e-6)
    assert found(60, object_deviation=0.02) > dense


def test_no_criterion_is_better_than_its_bound() -> None:
    exact = body().project(fan()).float()
    found = []
    for seed in range(10):
        noisy = sg.add_photon_noise(exact, 1e3, generator=torch.Generator().manual_seed(seed))
        found.append(sg.calibrate(noisy, fan(0.6), learn=("axis_offset",)).values["axis_offset"])
    spread = float(torch.tensor(found).std())
    assert 0.6 * bound(object_deviation=0) < spread < 6 * bound()  # ten draws tell a spread to a quarter


def test_bounds_of_information() -> None:
    information = torch.tensor([[4.0, 0, 0], [0, 2.0, 2.0], [0, 2.0, 2.0]], dtype=torch.float64)
    assert _bounds(information).tolist() == [0.5, math.inf, math.inf]
    assert _bounds(torch.zeros(2, 2, dtype=torch.float64)).tolist() == [math.inf, math.inf]
    full = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(_bounds(full), torch.linalg.inv(full).diagonal().sqrt())


def test_bad_input() -> None:
    volume = torch.zeros(56, 56)
    with pytest.raises(InputError, match="expected some of"):
        sg.recon.cramer_rao(volume, fan(), GRID, learn=("angle",), photons=1e4)
    with pytest.raises(InputError, match="photons must be positive"):
        sg.recon.cramer_rao(volume, fan(), GRID, learn=("axis_offset",), photons=0)
    with pytest.raises(InputError, match="object_deviation: expected a number from 0, got -1"):
        sg.recon.cramer_rao(volume, fan(), GRID, learn=("axis_offset",), photons=1e4, object_deviation=-1)
    with pytest.raises(InputError, match="one number for all views, got motion"):
        sg.recon.cramer_rao(volume, fan(), GRID, learn=("motion",), photons=1e4)
    with pytest.raises(InputError, match="volume"):
        sg.recon.cramer_rao(volume[1:], fan(), GRID, learn=("axis_offset",), photons=1e4)
