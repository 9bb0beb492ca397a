"""The criterion "reprojection" near the truth. Truth: exact projections, and means over draws of the noise."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from recon.calibration.scans import TRUTH, body, cone
from sinograd.errors import InputError
from sinograd.recon.calibration.level import make_level
from sinograd.recon.calibration.reprojection import READINGS, Reprojection, drawn

LEARN = ("source_to_detector", "axis_offset", "in_plane_rotation")


def test_noise_does_not_move_the_gradient() -> None:
    """On average over draws of the noise it is nearer that of exact projections than without what is subtracted.

    Each draw counts with both signs, so that only what is quadratic in it remains.
    """
    geometry, pairs = cone(32, 60), 2
    exact = body().project(geometry).float()
    clean = make_level(exact, geometry, LEARN, 32)
    variance = 1e-4 * exact.exp()

    def gradient(lines: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        level = dataclasses.replace(clean, projections=lines, variance=spread)
        still = torch.zeros(len(LEARN), dtype=torch.float64)
        return Reprojection(level).normal(still, list(range(len(LEARN)))).gradient

    expected = gradient(exact, 0 * variance)
    generator = torch.Generator().manual_seed(7)
    off: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for _ in range(pairs):
        noise = variance.sqrt() * torch.randn(exact.shape, generator=generator)
        for subtract, found in off.items():
            ends = [gradient(exact + sign * noise, subtract * variance) for sign in (1, -1)]
            found.append((ends[0] + ends[1]) / 2 - expected)
    left, bias = (float(torch.stack(found).mean(0)[0].abs()) for found in off.values())  # of the distance
    print(f"off by {left:.3g}, {bias:.3g} where nothing is subtracted")
    assert left < 0.5 * bias  # on 32 columns noise also changes the way of the conjugate gradients


def test_the_curvature_tells_how_the_gradient_changes() -> None:
    """Also where arguments nearly replace each other: the step from another geometry leads near the truth."""
    geometry = cone(48, 60)
    level = make_level(body().project(geometry).float(), geometry, LEARN, 48)
    criterion = Reprojection(level)
    away = torch.tensor([0.3, -0.2, 0.25], dtype=torch.float64)
    normal = criterion.normal(away, [0, 1, 2])
    step = -torch.linalg.solve(normal.curvature, normal.gradient)
    assert float((away + step).abs().max()) < 0.1


def test_dead_pixels_are_not_all_of_the_noise() -> None:
    variance = torch.ones(8, 40)
    variance[:, 3] = 1e8
    noise = drawn(variance)
    assert float(noise.abs().max()) == pytest.approx(10)  # a hundred times the median of the variances


def test_what_is_no_line_integral_is_named() -> None:
    geometry = cone(32, 12)
    with pytest.raises(InputError, match=r"projections: expected line integrals .* got values up to 2"):
        make_level(body().project(geometry).float() + 2000, geometry, LEARN, 32)


def test_noise_is_drawn_the_same_each_time() -> None:
    variance = torch.rand(5, 7, 9, generator=torch.Generator().manual_seed(0)) + 0.1
    one = drawn(variance)
    assert torch.equal(one, drawn(variance)) and one.numel() >= READINGS
    assert one.shape[1:] == variance.shape
    torch.testing.assert_close(one.square().mean(0), variance)
    assert abs(float((one / variance.sqrt()).mean())) < 5 / READINGS**0.5
    assert drawn(torch.ones(64, 64, 64)).shape[0] == 1


@pytest.mark.parametrize("name", ["tilt", "yaw"])
def test_the_least_is_where_the_truth_is(name: str) -> None:
    """Of exact projections; a scaled step moves images by about a pixel."""
    geometry: Any = cone(48, 60)
    level = make_level(body().project(geometry).float(), geometry, (name,), 48)
    criterion = Reprojection(level)
    costs = [criterion.cost(torch.tensor([place], dtype=torch.float64)) for place in (-0.3, 0.0, 0.3)]
    assert costs[1] < costs[0] and costs[1] < costs[2] and name in TRUTH
