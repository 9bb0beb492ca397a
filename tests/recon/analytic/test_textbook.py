"""Every scan that the books treat, against filtered backprojection written from the books in float64 NumPy.

Where rays are measured twice and not evenly, the books' own redundancy weights are given to both; how sinograd's
compare with them is in test_case_a.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import sinograd as sg
from recon import textbook
from sinograd.phantoms import shepp_logan_3d

OBJECT = shepp_logan_3d(115.0)
DISTANCES = (1000.0, 1500.0)
CIRCLE = dict(source_to_origin=DISTANCES[0], source_to_detector=DISTANCES[1])
PIXEL = (8.0, 7.0)
# unequal spacings and an off-centre middle, so that no two axes can be exchanged unseen
VOXELS = sg.Grid((40, 38, 36), (4.0, 5.0, 5.5), center=(3.0, -2.0, 5.0))
PIXELS = sg.Grid((40, 36), (5.0, 5.5), center=(3.0, -2.0))
DETECTORS = pytest.mark.parametrize("curved", [False, True], ids=["flat", "curved"])


def detector(shape: tuple[int, ...], curved: bool, offset: float = 0.0) -> sg.FlatDetector | sg.CurvedDetector:
    kind = sg.CurvedDetector if curved else sg.FlatDetector
    return kind(shape, PIXEL[-len(shape) :], offset=(0.0, offset) if len(shape) == 2 else offset)


def fan_angles(columns: int, curved: bool) -> np.ndarray:
    u = textbook.centred(columns, PIXEL[1] / DISTANCES[1])
    return u if curved else np.arctan(u)


def difference(ours: torch.Tensor, book: np.ndarray) -> float:
    """RMS of the difference over RMS of the truth."""
    assert ours.shape == book.shape
    return float(np.sqrt(np.mean((ours.double().numpy() - book) ** 2) / np.mean(book**2)))


@DETECTORS
def test_fdk_of_a_full_scan(curved: bool) -> None:
    geometry = sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(60), detector=detector((40, 56), curved))
    projections = OBJECT.project(geometry, dtype=torch.float64)
    axes = tuple(a.numpy() for a in VOXELS.axes())
    book = textbook.fdk(projections.numpy(), *textbook.full_turn(60), 0.5, DISTANCES, PIXEL, axes, curved)
    assert difference(sg.fdk(projections, geometry, VOXELS), book) < 1e-10
    assert difference(sg.fdk(projections.float(), geometry, VOXELS), book) < 1e-5


@DETECTORS
def test_fdk_of_a_short_scan_with_parkers_weights(curved: bool) -> None:
    geometry = sg.ConeBeam.short_scan(**CIRCLE, views=61, detector=detector((40, 56), curved))
    projections = OBJECT.project(geometry, dtype=torch.float64)
    angles = np.linspace(0, math.pi + geometry.fan_angle, 61)
    parker = textbook.parker_weights(angles, fan_angles(56, curved), geometry.fan_angle)
    axes = tuple(a.numpy() for a in VOXELS.axes())
    book = textbook.fdk(projections.numpy(), angles, angles[1], parker, DISTANCES, PIXEL, axes, curved)
    given = sg.fdk(projections, geometry, VOXELS, weights=torch.from_numpy(parker))
    assert difference(given, book) < 1e-10


@DETECTORS
@pytest.mark.parametrize("side", [-1, 1])
def test_fdk_of_a_half_fan_with_wangs_weights(curved: bool, side: int) -> None:
    """The book's detector is centred: the columns that the moved one lacks are zeros there."""
    missing = 12
    offset = side * missing / 2 * PIXEL[1]
    half = sg.ConeBeam.circular(
        **CIRCLE, angles=sg.full_scan(60), detector=detector((40, 56 - missing), curved, offset)
    )
    projections = OBJECT.project(half, dtype=torch.float64)
    before, after = (missing, 0) if side > 0 else (0, missing)
    gamma = fan_angles(56, curved)
    overlap = -gamma[before] if side > 0 else gamma[-1 - after]
    wang = (1 + np.sin(np.pi / 2 * np.clip(side * gamma / overlap, -1, 1))) / 2
    padded = np.pad(projections.numpy(), ((0, 0), (0, 0), (before, after)))
    axes = tuple(a.numpy() for a in VOXELS.axes())
    book = textbook.fdk(padded, *textbook.full_turn(60), wang, DISTANCES, PIXEL, axes, curved)
    own = slice(before, 56 - after)
    given = torch.from_numpy(wang[own]).expand(60, -1)
    assert difference(sg.fdk(projections, half, VOXELS, weights=given), book) < 1e-10


@DETECTORS
def test_fbp_of_a_fan(curved: bool) -> None:
    geometry = sg.FanBeam.circular(**CIRCLE, angles=sg.full_scan(90), detector=detector((56,), curved))
    sinogram = OBJECT.project(geometry, dtype=torch.float64)
    axes = tuple(a.numpy() for a in PIXELS.axes())
    book = textbook.fan_fbp(sinogram.numpy(), *textbook.full_turn(90), 0.5, DISTANCES, PIXEL[1], axes, curved)
    assert difference(sg.fbp(sinogram, geometry, PIXELS), book) < 1e-10
    assert difference(sg.fbp(sinogram.float(), geometry, PIXELS), book) < 1e-5


@DETECTORS
def test_fbp_of_a_short_fan_scan_with_parkers_weights(curved: bool) -> None:
    geometry = sg.FanBeam.short_scan(**CIRCLE, views=91, detector=detector((56,), curved), start=0.0)
    sinogram = OBJECT.project(geometry, dtype=torch.float64)
    angles = np.linspace(0, math.pi + geometry.fan_angle, 91)
    parker = textbook.parker_weights(angles, fan_angles(56, curved), geometry.fan_angle)
    axes = tuple(a.numpy() for a in PIXELS.axes())
    book = textbook.fan_fbp(sinogram.numpy(), angles, angles[1], parker, DISTANCES, PIXEL[1], axes, curved)
    given = sg.fbp(sinogram, geometry, PIXELS, weights=torch.from_numpy(parker))
    assert difference(given, book) < 1e-10


@pytest.mark.parametrize("turn", [1.0, 2.0], ids=["half a turn", "a full turn"])
def test_fbp_of_a_parallel_beam(turn: float) -> None:
    angles = np.arange(90) * (turn * np.pi / 90)
    geometry = sg.ParallelBeam(torch.from_numpy(angles), sg.FlatDetector(56, 5.0))
    sinogram = OBJECT.project(geometry, dtype=torch.float64)
    axes = tuple(a.numpy() for a in PIXELS.axes())
    book = textbook.parallel_fbp(sinogram.numpy(), angles, angles[1], 1 / turn, 5.0, axes)
    assert difference(sg.fbp(sinogram, geometry, PIXELS), book) < 1e-10
    assert difference(sg.fbp(sinogram.float(), geometry, PIXELS), book) < 1e-5


def test_fbp_of_a_parallel_beam_slice_by_slice() -> None:
    angles = np.arange(60) * (np.pi / 60)
    geometry = sg.ParallelBeam(torch.from_numpy(angles), sg.FlatDetector((12, 56), (9.0, 5.0)))
    projections = OBJECT.project(geometry, dtype=torch.float64)
    grid = sg.Grid((12, *PIXELS.shape), (9.0, *PIXELS.spacing), (*PIXELS.center, 0.0))
    axes = tuple(a.numpy() for a in PIXELS.axes())
    book = textbook.parallel_fbp(projections.numpy(), angles, angles[1], 1.0, 5.0, axes)
    assert difference(sg.fbp(projections, geometry, grid), book) < 1e-10
