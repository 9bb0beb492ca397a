"""Redundancy weights: the same line measured twice counts once. Truth: the lines themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.recon.analytic.redundancy import conjugate

DISTANCES = dict(source_to_origin=300.0, source_to_detector=450.0)
COLUMNS, VIEWS = 101, 360


def fan(angles: Tensor, curved: bool = False, offset: float = 0.0) -> sg.FanBeam:
    kind = sg.CurvedDetector if curved else sg.FlatDetector
    return sg.FanBeam.circular(**DISTANCES, angles=angles, detector=kind(COLUMNS, 2.0, offset=offset))


def weights(geometry: sg.Geometry) -> Tensor:
    grid = sg.Grid((4, 4), 10.0)
    return sg.FBP(geometry, grid).weights  # type: ignore[arg-type]


def lines(geometry: sg.Geometry) -> tuple[Tensor, Tensor]:
    """Direction (rad) and signed distance to the axis of every ray, [views, columns]."""
    origin, direction = geometry.rays()
    distance = origin[..., 0] * direction[..., 1] - origin[..., 1] * direction[..., 0]
    return torch.atan2(direction[..., 1], direction[..., 0]), distance


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    return torch.atan2((a - b).sin(), (a - b).cos()).abs()


@pytest.mark.parametrize("curved", [False, True])
def test_the_conjugate_of_a_ray_is_the_same_line(curved: bool) -> None:
    angles = torch.tensor([0.0, 0.7, 2.0, 5.0], dtype=torch.float64)
    u = 2.0 * (torch.arange(COLUMNS, dtype=torch.float64) - 50) / 450
    gamma = u if curved else u.atan()
    direction, distance = lines(fan(angles, curved))
    for column in (0, 20, 50, 99):
        other, fan_angle = conjugate(angles, gamma[column].expand(4), True)
        assert torch.allclose(fan_angle, gamma[COLUMNS - 1 - column])
        back, there = lines(fan(other, curved))
        back, there = back[:, COLUMNS - 1 - column], there[:, COLUMNS - 1 - column]
        assert (angle_between(back, direction[:, column] + math.pi) < 1e-9).all()
        assert torch.allclose(there, -distance[:, column])


def test_the_conjugate_of_a_parallel_ray_is_the_same_line() -> None:
    angles = torch.tensor([0.0, 0.7, 2.0, 5.0], dtype=torch.float64)
    other, s = conjugate(angles, torch.full((4,), 3.0, dtype=torch.float64), False)
    assert (s == -3).all()
    assert (angle_between(other, angles + math.pi) < 1e-9).all()


def open_scan(degrees: float, start: float = 0.3) -> Tensor:
    count = round(degrees * VIEWS / 360) + 1
    return start + torch.linspace(0, math.radians(degrees), count, dtype=torch.float64)


FAN_DEGREES = math.degrees(2 * math.atan(COLUMNS / 450))  # to the outer edges
SCANS = {
    "full": fan(sg.full_scan(VIEWS)),
    "short": fan(open_scan(180 + FAN_DEGREES)),
    "short, curved": fan(open_scan(180 + 25.8), curved=True),
    "more than short": fan(open_scan(260)),
    "nearly full": fan(open_scan(340)),
    "backwards": fan(-open_scan(260)),
    "half fan": fan(sg.full_scan(VIEWS), offset=60.0),
    "half fan, other side, curved": fan(sg.full_scan(VIEWS), curved=True, offset=-60.0),
    "a gap": fan(torch.cat([open_scan(200), open_scan(139.5, start=0.3 + math.radians(220))])),
}


@pytest.mark.parametrize("name", SCANS)
def test_weights_of_a_ray_and_its_conjugate_add_up_to_one(name: str) -> None:
    """Looked up between the measured rays; a ray measured once counts whole."""
    geometry = SCANS[name]
    weight = weights(geometry)
    assert weight.dtype == torch.float64
    assert weight.shape == (len(geometry), COLUMNS)
    assert ((weight > 0) & (weight <= 1)).all()
    angles = geometry.angles
    assert angles is not None
    u = 2.0 * (torch.arange(COLUMNS, dtype=torch.float64) - 50) + geometry.detector.column_offset
    curved = isinstance(geometry.detector, sg.CurvedDetector)
    gamma = (u / 450) if curved else (u / 450).atan()
    other = angles[:, None] + math.pi - 2 * gamma
    partner, measured = look_up(weight, angles, gamma, other, -gamma.expand_as(other))
    total = weight + partner
    assert measured.double().mean() > 0.1
    assert (total[measured] - 1).abs().quantile(0.98) < 1e-3
    assert (total[measured] - 1).abs().max() < 0.06  # in the corners, where weights change within a view
    alone = nothing_near(angles, gamma, other)
    assert (weight[alone] > 1 - 1e-5).all()


def look_up(weight: Tensor, angles: Tensor, gamma: Tensor, a: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Weights interpolated at rays (a, g), and which of them lie between four measured ones."""
    turn = 2 * math.pi
    order = torch.argsort(torch.remainder(angles, turn))
    known = torch.remainder(angles, turn)[order]
    step = turn / VIEWS
    wanted = torch.remainder(a, turn)
    after = torch.searchsorted(known, wanted) % len(known)
    before = (after - 1) % len(known)
    span = torch.remainder(known[after] - known[before], turn)
    t = torch.remainder(wanted - known[before], turn) / span
    column = torch.searchsorted(gamma, g.contiguous()).clamp(1, len(gamma) - 1)
    s = (g - gamma[column - 1]) / (gamma[column] - gamma[column - 1])
    measured = (span < 1.5 * step) & (s >= -1e-6) & (s <= 1 + 1e-6)
    rows = weight[order]

    def at(view: Tensor) -> Tensor:
        return rows[view, column - 1] * (1 - s) + rows[view, column] * s

    return at(before) * (1 - t) + at(after) * t, measured


def nothing_near(angles: Tensor, gamma: Tensor, a: Tensor) -> Tensor:
    """Conjugates more than a step from every view or more than a column beside the detector."""
    wrapped = torch.remainder(angles, 2 * math.pi)
    nearest = torch.stack([angle_between(a, w) for w in wrapped]).amin(0)
    column = gamma[1] - gamma[0]
    beside = (-gamma > gamma.max() + column) | (-gamma < gamma.min() - column)
    return (nearest > 2 * math.pi / VIEWS) | beside


@pytest.mark.parametrize(
    "geometry",
    [
        fan(sg.full_scan(360)),
        fan(sg.full_scan(360), curved=True),
        fan(torch.linspace(0, 2 * math.pi, 361, dtype=torch.float64)),
        fan(torch.linspace(0, math.radians(400), 401, dtype=torch.float64)),
        sg.ParallelBeam(sg.full_scan(360), sg.FlatDetector(COLUMNS, 1.0)),
    ],
    ids=["fan", "curved", "inclusive", "400 degrees", "parallel"],
)
def test_full_scans_count_every_ray_half(geometry: sg.Geometry) -> None:
    assert (weights(geometry) - 0.5).abs().max() < 1e-6


def test_half_a_turn_of_a_parallel_beam() -> None:
    angles = torch.deg2rad(torch.arange(181, dtype=torch.float64))
    detector = sg.FlatDetector(COLUMNS, 1.0)
    assert (weights(sg.ParallelBeam(angles[:-1], detector)) - 1).abs().max() < 1e-6
    both = weights(sg.ParallelBeam(angles, detector))
    assert (both[1:-1] - 1).abs().max() < 1e-6
    assert (both[[0, -1]] - 0.5).abs().max() < 1e-6


def test_weights_fall_smoothly_to_the_ends_of_the_scan() -> None:
    """No step between neighbouring rays: that is what makes streaks."""
    weight = weights(SCANS["more than short"])
    assert weight.diff(dim=0).abs().max() < 0.05
    assert weight.diff(dim=1).abs().max() < 0.1
    assert weight[[0, -1]].max() < 0.02  # 260 degrees measure all of the first and last view again


def test_weights_of_a_half_fan_fall_to_the_short_side() -> None:
    weight = weights(SCANS["half fan"])[0]
    assert weight[0] < 0.1
    assert (weight[-20:] > 1 - 1e-5).all()
    assert (weight.diff() > -1e-9).all()
    assert np.allclose(weights(SCANS["half fan"]), weight)  # the same in every view
