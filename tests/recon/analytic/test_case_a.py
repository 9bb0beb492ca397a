"""Accuracy on case A: the numbers that peers reached on the same exact projections, and every kind of circular scan.

RTK, LEAP and a plain float64 textbook FDK: RMSE 0.00401, 0.00178 in flat regions, ratio of means 0.99809 in the ball
of 75 mm (the cone takes what is missing). In the slab |z| < 30 mm the ratio is 1 for whatever measures every ray.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import sinograd as sg
from recon import accuracy, textbook
from recon.accuracy import (
    BALL,
    CIRCLE,
    COARSE_SLAB,
    OBJECT,
    SLAB,
    SLICE,
    coarse_cone,
    cone,
    fan,
    measured,
    score,
    truth,
)
from sinograd.recon.analytic import redundancy

BALL_ROWS = 160  # that see the ball
COARSE_FULL_RMSE = 0.00747  # of the full scan in the coarse slab, which has more edges than the ball


def even(views: int, degrees: float, last: bool) -> torch.Tensor:
    """From 0 to `degrees`, with or without the last angle."""
    return torch.linspace(0, math.radians(degrees), views + (not last), dtype=torch.float64)[:views]


def uneven(views: int) -> torch.Tensor:
    t = torch.arange(views, dtype=torch.float64) / views
    return 2 * math.pi * (t + 0.1 * torch.sin(2 * math.pi * t))


def jitter(views: int, *shape: int) -> torch.Tensor:
    """Uniform between -1 and 1."""
    return 2 * torch.rand(views, *shape, dtype=torch.float64) - 1


# a number of views to the angles and what else is special
SCANS = {
    "full": lambda n: (sg.full_scan(n), {}),
    "inclusive endpoints": lambda n: (even(n + 1, 360, last=True), {}),
    "400 degrees": lambda n: (even(n * 10 // 9 + 1, 400, last=True), {}),
    "400 degrees, uneven overlap": lambda n: (even(n, 400, last=True), {}),
    "two turns": lambda n: (even(2 * n, 720, last=False), {}),
    "two turns, float32": lambda n: (even(2 * n, 720, last=False).float(), {}),
    "two turns that interleave": lambda n: (
        torch.cat([sg.full_scan(n), sg.full_scan(n, start=2 * math.pi + 0.003)]),
        {},
    ),
    "two turns, jittered": lambda n: (even(2 * n, 720, last=False) + 1e-4 * jitter(2 * n), {}),
    "same turn twice": lambda n: (sg.full_scan(n).repeat(2), {}),
    "uneven angles": lambda n: (uneven(n), {}),
    "jittered angles": lambda n: (sg.full_scan(n) + 0.3 * 2 * math.pi / n * jitter(n), {}),
    "backwards": lambda n: (-sg.full_scan(n), {}),
    "any start": lambda n: (sg.full_scan(n, start=4.321), {}),
    "golden angle": lambda n: (torch.arange(n, dtype=torch.float64) * math.pi * (3 - math.sqrt(5)), {}),
    "axis offset": lambda n: (sg.full_scan(n), {"axis_offset": 7.3}),
    "axis offset, other side": lambda n: (sg.full_scan(n), {"axis_offset": -7.3}),
    "wobbling axis": lambda n: (sg.full_scan(n), {"axis_offset": jitter(n)}),
    "source offset": lambda n: (sg.full_scan(n), {"source_offset": (9.0, -12.0)}),
    "flying focal spot": lambda n: (sg.full_scan(n), {"source_offset": jitter(n, 2) * torch.tensor([0.0, 2.0])}),
    "detector shifts": lambda n: (sg.full_scan(n), {"shifts": 4 * jitter(n, 2)}),
    "yaw": lambda n: (sg.full_scan(n), {"yaw": 0.1}),
    "half fan": lambda n: (sg.full_scan(n), {"offset": 100.0}),
    "half fan, other side": lambda n: (sg.full_scan(n), {"offset": -100.0}),
    "half fan, narrow overlap": lambda n: (sg.full_scan(n), {"offset": 150.0}),
    "curved": lambda n: (sg.full_scan(n), {"curved": True}),
    "curved half fan": lambda n: (sg.full_scan(n), {"curved": True, "offset": -100.0}),
}

# value, semi-axes, centre (of 115 mm), degrees about z
ELLIPSOIDS = [
    (1.0, 0.6900, 0.920, 0.810, 0, 0, 0, 0),
    (-0.8, 0.6624, 0.874, 0.780, 0, -0.0184, 0, 0),
    (-0.2, 0.1100, 0.310, 0.220, 0.22, 0, 0, -18),
    (-0.2, 0.1600, 0.410, 0.280, -0.22, 0, 0, 18),
    (0.1, 0.2100, 0.250, 0.410, 0, 0.35, -0.15, 0),
    (0.1, 0.0460, 0.046, 0.050, 0, 0.1, 0.25, 0),
    (0.1, 0.0460, 0.046, 0.050, 0, -0.1, 0.25, 0),
    (0.1, 0.0460, 0.023, 0.050, -0.08, -0.605, 0, 0),
    (0.1, 0.0230, 0.023, 0.020, 0, -0.606, 0, 0),
    (0.1, 0.0230, 0.046, 0.020, 0.06, -0.605, 0, 0),
]


def test_the_object_and_its_projections_are_case_as() -> None:
    """The voxels sampled and the rays intersected here, ellipsoid by ellipsoid, as the reference does."""
    grid, geometry = sg.Grid((9, 32, 32), (12.0, 8.0, 8.0)), cone(sg.full_scan(5), rows=8)
    z, y, x = (a.numpy() for a in grid.axes())
    volume, line = np.zeros(grid.shape), np.zeros((5, 8, 256))
    for value, a, b, c, x0, y0, z0, phi in ELLIPSOIDS:
        turn = np.deg2rad(phi)
        rotation = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        to_ball, middle = rotation / (115 * np.array([[a], [b], [c]])), 115 * np.array([x0, y0, z0])
        for sx, sy, sz in itertools.product((-0.25, 0.25), repeat=3):
            points = np.stack(np.meshgrid(z + 12 * sz, y + 8 * sy, x + 8 * sx, indexing="ij")[::-1], -1)
            volume += value / 8 * (((points - middle) @ to_ball.T) ** 2).sum(-1).__le__(1)
        for i, angle in enumerate(np.arange(5) * 2 * np.pi / 5):
            across, depth = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
            u, v = textbook.centred(256, 1.6)[None, :, None], textbook.centred(8, 1.6)[:, None, None]
            ray = 1500 * depth + u * across + v * np.array([0, 0, 1.0])
            p, s = ray @ to_ball.T, to_ball @ (-1000 * depth - middle)
            qa, qb, qc = (p * p).sum(-1), p @ s, s @ s - 1
            chord = 2 * np.sqrt(np.maximum(qb**2 - qa * qc, 0)) / qa
            line[i] += value * chord * np.linalg.norm(ray, axis=-1)
    assert np.abs(truth(grid).numpy() - volume).max() < 1e-6
    assert np.abs(measured(geometry).numpy() - line).max() < 1e-4


def test_full_scan() -> None:
    geometry = cone(sg.full_scan(360))
    found = score(sg.fdk(measured(geometry), geometry, BALL), BALL)
    assert found.rmse <= 1.01 * 0.00401
    assert found.flat <= 1.01 * 0.00178
    assert abs(found.ratio - 1) < 0.002


@pytest.mark.parametrize("curved", [False, True], ids=["flat", "curved"])
def test_short_scan(curved: bool) -> None:
    kind = sg.CurvedDetector if curved else sg.FlatDetector
    geometry = sg.ConeBeam.short_scan(**CIRCLE, views=211, detector=kind((BALL_ROWS, 256), 1.6))
    found = score(sg.fdk(measured(geometry), geometry, BALL), BALL)
    assert found.rmse <= 0.0048
    assert abs(found.ratio - 1) < 0.002


def test_short_scan_shows_which_way_conjugate_rays_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Parker's sign, which is for detectors that run the other way, the mean stays and the RMSE does not."""
    geometry = sg.FanBeam.short_scan(**CIRCLE, views=420, detector=sg.FlatDetector(512, 0.8))
    sinogram = measured(geometry)
    right = score(sg.fbp(sinogram, geometry, SLICE), SLICE)

    def mirrored(angles: torch.Tensor, fan: torch.Tensor, divergent: bool) -> tuple[torch.Tensor, torch.Tensor]:
        return angles + math.pi + 2 * fan, -fan

    monkeypatch.setattr(redundancy, "conjugate", mirrored)
    wrong = score(sg.fbp(sinogram, geometry, SLICE), SLICE)
    assert right.rmse < 0.0037
    assert wrong.rmse > 3 * right.rmse
    assert abs(wrong.ratio - 1) < 0.02


@pytest.mark.parametrize("name", ["uneven angles", "half fan", "half fan, narrow overlap"])
def test_amplitude_at_full_resolution(name: str) -> None:
    angles, more = SCANS[name](360)
    geometry = cone(angles, rows=68, **more)
    check_amplitude(sg.fdk(measured(geometry), geometry, SLAB), SLAB, 1.05 * 0.00506)


@pytest.mark.parametrize("name", SCANS)
def test_amplitude(name: str) -> None:
    """At half the resolution."""
    angles, more = SCANS[name](180)
    geometry = coarse_cone(angles, **more)
    check_amplitude(sg.fdk(measured(geometry), geometry, COARSE_SLAB), COARSE_SLAB, 1.05 * COARSE_FULL_RMSE)


def check_amplitude(reconstruction: torch.Tensor, grid: sg.Grid, rmse: float) -> None:
    """The slab's mean within 0.2 % of the truth, in the middle too; no more error than the full scan has."""
    found = score(reconstruction, grid)
    assert abs(found.ratio - 1) < 0.002
    middle = torch.hypot(*torch.meshgrid(*grid.axes()[1:], indexing="ij")) < 20
    assert abs(reconstruction[:, middle].mean() / truth(grid)[:, middle].mean() - 1) < 0.002
    assert found.rmse < rmse


def test_weights_are_no_worse_than_parkers() -> None:
    geometry = sg.ConeBeam.short_scan(**CIRCLE, views=120, detector=sg.FlatDetector((38, 128), 3.2))
    gamma = np.arctan(textbook.centred(128, 3.2 / 1500))
    angles = np.linspace(0, math.pi + geometry.fan_angle, 120)
    parker = torch.from_numpy(textbook.parker_weights(angles, gamma, geometry.fan_angle))
    projections = measured(geometry)
    own = score(sg.fdk(projections, geometry, COARSE_SLAB), COARSE_SLAB)
    book = score(sg.fdk(projections, geometry, COARSE_SLAB, weights=parker), COARSE_SLAB)
    assert own.rmse <= book.rmse
    assert own.flat <= book.flat
    assert abs(own.ratio - book.ratio) < 1e-3
    assert abs(own.ratio - 1) < 0.002


@pytest.mark.parametrize("offset", [100.0, -150.0])
def test_weights_are_no_worse_than_wangs(offset: float) -> None:
    geometry = coarse_cone(sg.full_scan(180), offset=offset)
    gamma = np.arctan((textbook.centred(128, 3.2) + offset) / 1500)
    overlap = math.atan((64 * 3.2 - abs(offset)) / 1500)
    wang = (1 + np.sin(np.pi / 2 * np.clip(np.sign(offset) * gamma / overlap, -1, 1))) / 2
    projections = measured(geometry)
    own = score(sg.fdk(projections, geometry, COARSE_SLAB), COARSE_SLAB)
    given = torch.from_numpy(wang).expand(180, -1)
    book = score(sg.fdk(projections, geometry, COARSE_SLAB, weights=given), COARSE_SLAB)
    assert own.rmse <= 1.01 * book.rmse
    assert own.flat <= 1.01 * book.flat


def test_view_order_does_not_matter() -> None:
    geometry = coarse_cone(sg.full_scan(180))
    projections, order = measured(geometry), torch.randperm(180)
    shuffled = sg.fdk(projections[order], geometry[order], COARSE_SLAB)
    assert (shuffled - sg.fdk(projections, geometry, COARSE_SLAB)).abs().max() < 1e-5


@pytest.mark.parametrize(
    "turned",
    [{"tilt": 0.05}, {"tilt": -0.03, "in_plane_rotation": -0.02, "yaw": 0.1}],
    ids=["tilt", "all"],
)
def test_turned_detectors(turned: dict[str, float]) -> None:
    """Resampled to upright ones: the amplitude stays, edges lose some sharpness."""
    geometry = coarse_cone(sg.full_scan(180), **turned)
    reconstruction = sg.fdk(measured(geometry), geometry, COARSE_SLAB)
    check_amplitude(reconstruction, COARSE_SLAB, 1.2 * COARSE_FULL_RMSE)
    assert score(reconstruction, COARSE_SLAB).flat < 0.0033


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_fan(offset: float) -> None:
    geometry = fan(sg.full_scan(720), offset=offset)
    found = score(sg.fbp(measured(geometry), geometry, SLICE), SLICE)
    assert found.rmse <= 1.02 * 0.00361
    assert abs(found.ratio - 1) < 0.002


def test_a_part_of_the_volume_is_that_part() -> None:
    """What BALL and SLAB rely on."""
    geometry = cone(sg.full_scan(12), rows=40)
    projections = measured(geometry)
    whole = sg.fdk(projections, geometry, sg.Grid((20, 32, 32), 4.0))
    part = sg.fdk(projections, geometry, sg.Grid((10, 12, 16), 4.0, center=(8.0, -4.0, 0.0)))
    assert torch.equal(part, whole[5:15, 9:21, 10:26])
    assert accuracy.BALL.axes()[0][0] == -76.5
    assert OBJECT.bounds()[1].max() < 110
