"""The arc that each view stands for. Truth: arithmetic on small sets of angles."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sinograd.geometry import full_scan
from sinograd.recon.analytic.angular import AngularSampling, angular_sampling

TURN = 2 * math.pi


def degrees(*angles: float) -> Tensor:
    return torch.deg2rad(torch.tensor(angles, dtype=torch.float64))


def steps(sampling: AngularSampling) -> list[float]:
    return [round(s, 6) for s in torch.rad2deg(sampling.steps).tolist()]


def gaps(sampling: AngularSampling) -> list[tuple[float, float]]:
    return [(round(math.degrees(low), 6), round(math.degrees(high), 6)) for low, high in sampling.gaps]


@given(
    st.lists(st.floats(1.0, 2.5), min_size=3, max_size=60),
    st.floats(-20, 20),
    st.randoms(use_true_random=False),
    st.sampled_from([-1, 1]),
)
def test_steps_of_a_closed_scan_add_up_to_a_turn(lengths: list[float], start: float, random, sign: int) -> None:
    """Whatever the order, the direction and the start, with steps of up to 2.5 times the shortest."""
    ends = torch.tensor(lengths, dtype=torch.float64).cumsum(0)
    angles = start + sign * TURN * ends / ends[-1]
    order = list(range(len(angles)))
    random.shuffle(order)
    sampling = angular_sampling(angles[order])
    assert sampling.closed
    assert sampling.gaps == ()
    assert sampling.steps.sum().item() == pytest.approx(TURN)
    assert (sampling.steps > 0).all()
    assert torch.isinf(sampling.depth(angles)).all()


def test_steps_follow_the_trapezoid_rule_in_the_order_of_the_views() -> None:
    angles = degrees(90, 0, 60, 180, 140, 250, 300)
    # sorted 0, 60, 90, 140, 180, 250, 300: half the distance between the neighbours
    assert steps(angular_sampling(angles)) == [40, 60, 45, 55, 45, 60, 55]


@pytest.mark.parametrize("shift", [0.0, -720.0, 3600.0, 1e-13])
def test_turns_do_not_matter(shift: float) -> None:
    plain, turned = full_scan(12), full_scan(12) + math.radians(shift)
    assert torch.allclose(angular_sampling(turned).steps, angular_sampling(plain).steps)


def test_inclusive_endpoints_share_a_step() -> None:
    sampling = angular_sampling(torch.linspace(0, TURN, 37, dtype=torch.float64))
    assert sampling.closed
    assert steps(sampling) == [5, *[10] * 35, 5]


def test_duplicated_angles_share_a_step() -> None:
    sampling = angular_sampling(full_scan(36).repeat_interleave(2))
    assert sampling.closed
    assert steps(sampling) == [5] * 72
    three = angular_sampling(degrees(0, 90, 90, 90, 180, 270))
    assert three.steps.sum().item() == pytest.approx(TURN)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("nudge", [1e-4, -1e-4, 0.2, 0.9, 5.0, 9.0])
def test_turns_that_overlap_leave_no_gaps(nudge: float, wrapped: bool) -> None:
    """A second turn a few of its 10 degrees off the first, or hardly any, as encoders are."""
    angles = torch.cat([full_scan(36), full_scan(36, start=TURN + math.radians(nudge))])
    sampling = angular_sampling(torch.atan2(angles.sin(), angles.cos()) if wrapped else angles)
    assert sampling.closed
    assert sampling.steps.sum().item() == pytest.approx(TURN)
    assert steps(sampling) == [5] * 72


def test_an_open_scan_keeps_whole_steps_at_its_ends() -> None:
    sampling = angular_sampling(degrees(*range(0, 181, 10)))
    assert steps(sampling) == [10] * 19
    assert gaps(sampling) == [(185, 355)]
    depth = torch.rad2deg(sampling.depth(degrees(-5, 0, 90, 180, 185, 270)))
    assert depth.tolist() == pytest.approx([0, 5, 95, 5, 0, -85], abs=1e-9)


def test_gaps_are_found_and_not_stepped_over() -> None:
    kept = [a for a in range(0, 360, 10) if not 100 < a < 150]
    sampling = angular_sampling(degrees(*kept))
    assert not sampling.closed
    assert gaps(sampling) == [(105, 145)]
    assert max(steps(sampling)) == pytest.approx(10)
    assert sum(steps(sampling)) == pytest.approx(320)


def test_gaps_across_zero() -> None:
    sampling = angular_sampling(degrees(*range(60, 301, 10)))
    assert gaps(sampling) == [(305, 415)]
    assert torch.rad2deg(sampling.depth(degrees(55, 180, 0))).tolist() == pytest.approx([0, 125, -55], abs=1e-9)


def test_arcs_that_cross_zero() -> None:
    sampling = angular_sampling(degrees(*range(-90, 91, 10)))
    assert gaps(sampling) == [(95, 265)]
    assert torch.rad2deg(sampling.depth(degrees(-90, 0, 360, 95))).tolist() == pytest.approx([5, 95, 95, 0], abs=1e-9)


def test_several_gaps() -> None:
    kept = [*range(0, 91, 5), *range(150, 211, 5), *range(300, 341, 5)]
    sampling = angular_sampling(degrees(*kept))
    assert sorted(gaps(sampling)) == [(92.5, 147.5), (212.5, 297.5), (342.5, 357.5)]


def test_a_missing_view_is_no_gap() -> None:
    """Steps are taken as they are up to three median steps."""
    sampling = angular_sampling(degrees(*[a for a in range(0, 360, 10) if a != 100]))
    assert sampling.closed
    assert sum(steps(sampling)) == pytest.approx(360)
    assert max(steps(sampling)) == pytest.approx(15)


@pytest.mark.parametrize("angles", [degrees(33), degrees(33, 33, 33), degrees(0, 360)])
def test_a_single_direction(angles: Tensor) -> None:
    sampling = angular_sampling(angles)
    assert not sampling.closed
    assert len(sampling.arcs) == 1
    assert torch.isfinite(sampling.steps).all()
    assert (sampling.steps >= 0).all()
    assert 0 < sampling.steps.sum() < TURN


def test_a_step_that_the_object_bears_is_no_gap() -> None:
    """Up to a quarter of a radian, 14.3 degrees: the views on both sides stand for half of it each."""
    sampling = angular_sampling(degrees(*range(0, 101), *range(114, 360)))
    assert sampling.closed
    assert max(steps(sampling)) == 7.5
    assert gaps(angular_sampling(degrees(*range(0, 101), *range(116, 360)))) == [(100.5, 115.5)]


@pytest.mark.parametrize("apart", [1e-4, 0.02, 1.0])
def test_pairs_leave_no_gaps(apart: float) -> None:
    """Of 24 pairs every view stands for half a step between them."""
    angles = torch.stack([full_scan(24), full_scan(24) + math.radians(apart)], 1).flatten()
    sampling = angular_sampling(angles)
    assert sampling.closed
    assert steps(sampling) == [7.5] * 48


@given(st.integers(60, 400), st.integers(0, 10**6))
def test_random_angles_leave_no_gaps(views: int, seed: int) -> None:
    """Unless one is longer than half a radian."""
    angles = TURN * torch.rand(views, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ordered = angles.sort().values
    longest = float(torch.cat([ordered.diff(), ordered[:1] + TURN - ordered[-1:]]).max())
    sampling = angular_sampling(angles)
    if longest < 0.25:
        assert sampling.closed
        assert sampling.steps.sum().item() == pytest.approx(TURN)
    assert sampling.closed or longest > 0.25


def test_the_ends_of_half_a_turn_are_neighbours_for_parallel_beams() -> None:
    angles = degrees(3, 10, 50, 90, 120, 160, 170)
    assert steps(angular_sampling(angles, parallel=True)) == [10, 23.5, 40, 35, 35, 25, 11.5]
    assert sum(steps(angular_sampling(angles, parallel=True))) == 180
