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
    assert bound(1e5) == pytest.approx(bound(1e3) / 10, rel=1e-6)
    assert bound(known_object=True) < bound() < 20 * bound(known_object=True)


def test_no_criterion_is_better_than_its_bound() -> None:
    exact = body().project(fan()).float()
    found = []
    for seed in range(10):
        noisy = sg.add_photon_noise(exact, 1e3, generator=torch.Generator().manual_seed(seed))
        found.append(sg.calibrate(noisy, fan(0.6), learn=("axis_offset",)).values["axis_offset"])
    spread = float(torch.tensor(found).std())
    assert 0.6 * bound(known_object=True) < spread < 6 * bound()  # ten draws tell a spread to a quarter


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
    with pytest.raises(InputError, match="one number for all views, got motion"):
        sg.recon.cramer_rao(volume, fan(), GRID, learn=("motion",), photons=1e4)
    with pytest.raises(InputError, match="volume"):
        sg.recon.cramer_rao(volume[1:], fan(), GRID, learn=("axis_offset",), photons=1e4)
