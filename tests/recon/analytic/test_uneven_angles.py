"""Amplitudes and errors for angles however uneven. Truth: a voxelized phantom, and the textbook's filtered
backprojection in NumPy with trapezoid weights by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.recon import textbook
from torch import Tensor

import sinograd as sg
from sinograd.recon.analytic.angular import balanced

Array = NDArray[np.float64]
TURN = 2 * math.pi
OBJECT = sg.Ellipsoids(
    [0.02, 0.01, -0.01], [[50, 40, 45], [10, 10, 10], [8, 13, 10]], [[0, 0, 0], [17, 5, 0], [-15, -10, 0]]
)
GRID = sg.Grid((54, 54), 2.0)  # around the centre, of which alone is judged
TRUTH = OBJECT.voxelize(GRID).double()
Y, X = torch.meshgrid(*GRID.axes(), indexing="ij")
CENTRE = torch.hypot(X, Y) < 54
DISTANCES = dict(source_to_origin=200.0, source_to_detector=400.0)


def evenly(views: int, turn: float = TURN) -> Array:
    return np.arange(views) * (turn / views)


def random(views: int, seed: int = 0, turn: float = TURN) -> Array:
    return np.random.default_rng(seed).uniform(0, turn, views)


def bursts(views: int, taken: int, of: int) -> Array:
    return evenly(views)[np.arange(views) % of < taken]


def pairs(views: int, apart: float = 0.0004) -> Array:
    return np.stack([evenly(views), evenly(views) + apart], 1).ravel()


def some(views: int, share: float, seed: int = 0) -> Array:
    return evenly(views)[np.random.default_rng(seed).random(views) < share]


FULL_TURNS: dict[str, Array] = {
    **{f"random {views}": random(views) for views in (100, 500)},
    "random, other": random(100, 2),
    "in random order": np.random.default_rng(1).permutation(evenly(360)),
    **{
        f"{k} of {n}": bursts(1000, k, n)
        for k, n in [(5, 25), (10, 20), (4, 10), (2, 8), (5, 40), (20, 50), (10, 50), (5, 60)]
    },
    "30 % dropped": some(480, 0.7),
    "60 % dropped": some(720, 0.4),
    "0.25 and 1 degree": np.radians(np.r_[np.arange(0, 120, 0.25), np.arange(120, 360, 1.0)]),
    "0.25 and 0.7 degrees": np.radians(np.r_[np.arange(0, 120, 0.25), np.arange(120, 360, 0.7)]),
    "pairs": pairs(120),
    "few pairs": pairs(36),
    "golden": np.arange(300) * (math.pi * (3 - 5**0.5)),
    "turns with offsets": np.concatenate([evenly(60) + TURN * k + 0.011 * k for k in range(4)]),
    "smoothly uneven": evenly(300) + 0.4 * np.sin(evenly(300)),
}


def fan(angles: Array | Tensor, curved: bool = False, columns: int = 140, **more: object) -> sg.FanBeam:
    kind = sg.CurvedDetector if curved else sg.FlatDetector
    offset = more.pop("offset", 0.0)
    detector = kind(columns, 2.0, offset=offset)
    return sg.FanBeam.circular(**DISTANCES, angles=torch.as_tensor(angles), detector=detector, **more)  # type: ignore[arg-type]


def parallel(angles: Array) -> sg.ParallelBeam:
    return sg.ParallelBeam(torch.as_tensor(angles), sg.FlatDetector(140, 1.0))


def trapezoid(angles: Array, turn: float = TURN) -> Array:
    """Half of the steps to both neighbours, by NumPy."""
    wrapped = np.mod(angles, turn)
    order = np.argsort(wrapped, kind="stable")
    steps = np.diff(np.r_[wrapped[order], wrapped[order[0]] + turn])
    arcs = np.empty_like(wrapped)
    arcs[order] = (steps + np.roll(steps, 1)) / 2
    return arcs


def measured(image: Tensor | Array) -> tuple[float, float]:
    """Amplitude and RMSE in the centre."""
    values, truth = torch.as_tensor(image).double()[CENTRE], TRUTH[CENTRE]
    amplitude = float((values * truth).sum() / truth.square().sum())
    return amplitude, float((values - truth).square().mean().sqrt())


def check(geometry: sg.FanBeam | sg.ParallelBeam, by_hand: Array | None = None) -> float:
    """No warning, which would be an error here; the amplitude within 0.5 %; at most 1.2 times the error by hand.
    Returns the error.
    """
    amplitude, error = measured(sg.fbp(OBJECT.project(geometry).double(), geometry, GRID))
    assert amplitude == pytest.approx(1, abs=0.005)
    if by_hand is not None:
        assert error <= 1.2 * measured(by_hand)[1]
    assert sg.coverage(geometry).complete
    return error


@pytest.mark.parametrize("name", FULL_TURNS)
def test_a_full_turn_of_a_parallel_beam(name: str) -> None:
    geometry = parallel(FULL_TURNS[name])
    arcs = trapezoid(FULL_TURNS[name])
    half_turn = trapezoid(FULL_TURNS[name], math.pi)
    sinogram = OBJECT.project(geometry).double().numpy()
    axes = tuple(axis.numpy() for axis in GRID.axes())
    by_hand = [
        textbook.parallel_fbp(sinogram * arc[:, None], FULL_TURNS[name], 1.0, 1.0, 1.0, axes)  # type: ignore[arg-type]
        for arc in (arcs / 2, half_turn)
    ]
    check(geometry, min(by_hand, key=lambda image: measured(image)[1]))


@pytest.mark.parametrize("name", FULL_TURNS)
def test_a_full_turn_of_a_fan_beam(name: str) -> None:
    angles = FULL_TURNS[name]
    geometry = fan(angles)
    axes = tuple(axis.numpy() for axis in GRID.axes())
    sinogram, distances = OBJECT.project(geometry).double().numpy(), (200.0, 400.0)
    by_hand = textbook.fan_fbp(sinogram, angles, 1.0, trapezoid(angles)[:, None] / 2, distances, 2.0, axes)  # type: ignore[arg-type]
    check(geometry, by_hand)


@pytest.mark.parametrize("name", ["random 500", "2 of 8", "pairs"])
def test_a_full_turn_of_a_curved_detector(name: str) -> None:
    check(fan(FULL_TURNS[name], curved=True))


@cache
def error_of_even_views(views: int, curved: bool = False) -> float:
    """RMSE of a fan beam with evenly spaced views."""
    geometry = fan(evenly(views), curved)
    return measured(sg.fbp(OBJECT.project(geometry), geometry, GRID))[1]


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize(("views", "offset"), [(576, 0.2), (576, 1.5), (1152, 0.9)])
def test_an_alternating_focal_spot(views: int, offset: float, curved: bool) -> None:
    """No worse than a still one, whose errors are those of its columns."""
    flying = fan(evenly(views), curved, source_offset=offset * (-1.0) ** torch.arange(views))
    assert check(flying) <= 1.1 * error_of_even_views(288, curved)


PARTS: dict[str, Callable[[], sg.FanBeam | sg.ParallelBeam]] = {
    "half a turn of a parallel beam": lambda: parallel(random(100, 0, math.pi)),
    "half a turn of a parallel beam, other": lambda: parallel(random(100, 1, math.pi)),
    "more than half a turn of a parallel beam": lambda: parallel(random(300, 3, math.radians(200))),
    "a short scan": lambda: fan(random(300, 4, math.radians(230))),
    "a short scan of a curved detector": lambda: fan(random(300, 5, math.radians(230)), curved=True),
    "pairs in a short scan": lambda: fan(pairs(180)[pairs(180) < math.radians(230)]),
    "a very uneven short scan": lambda: fan(math.radians(230) * np.linspace(0, 1, 200) ** 2),
    "a half fan": lambda: fan(random(500, 6), columns=100, offset=50.0),
    "a half fan of few views": lambda: fan(random(100, 7), columns=100, offset=50.0),
    "pairs in a half fan": lambda: fan(pairs(120), columns=100, offset=50.0),
}


@pytest.mark.parametrize("name", PARTS)
def test_scans_that_measure_parts_of_the_rays_twice(name: str) -> None:
    check(PARTS[name]())


@pytest.mark.parametrize("gap", [5, 9, 12, 14, 20])
def test_a_gap_is_filled_from_the_other_side(gap: float) -> None:
    """720 views without some: as good as with them."""
    whole = evenly(720)
    rest = whole[(whole < 1) | (whole > 1 + math.radians(gap))]
    assert check(fan(rest)) <= 1.03 * error_of_even_views(720)


@pytest.mark.parametrize(("gap", "complete"), [(8, True), (13, True), (20, False), (40, False)])
def test_a_gap_measured_from_neither_side(gap: int, complete: bool) -> None:
    """Half a turn of a parallel beam: 13 degrees are borne, 20 missing; the warning gives the loss."""
    angles = np.radians(np.r_[np.arange(0, 90, 0.5), np.arange(90 + gap, 180, 0.5)])
    geometry = parallel(angles)
    if complete:
        check(geometry)
        return
    with pytest.warns(sg.CoverageWarning, match=r"degrees missing around") as caught:
        image = sg.fbp(OBJECT.project(geometry), geometry, GRID)
    share = sg.coverage(geometry).missing
    assert share == pytest.approx(gap / 180, abs=0.006)
    words = f"amplitudes about {100 * share:.1f} % low where rays are missing"
    assert isinstance(caught[0].message, sg.CoverageWarning) and words in caught[0].message.details
    assert 1 - measured(image)[0] == pytest.approx(share, rel=0.25)  # which directions are missing matters a little


@pytest.mark.parametrize("seed", [1, 5, 6, 10, 12])
def test_twenty_random_views_of_a_parallel_beam(seed: int) -> None:
    """Steps of up to 73 degrees, with their conjugates between them. The amplitude was 0.974 to 1.012."""
    geometry, angles = parallel(random(20, seed)), random(20, seed)
    axes = tuple(axis.numpy() for axis in GRID.axes())
    sinogram = OBJECT.project(geometry).double().numpy() * trapezoid(angles, math.pi)[:, None]
    check(geometry, textbook.parallel_fbp(sinogram, angles, 1.0, 1.0, 1.0, axes))  # type: ignore[arg-type]


@pytest.mark.parametrize("views_and_seed", [(40, 11), (40, 18), (30, 39), (30, 58), (25, 45)])
def test_few_random_views_of_a_fan_beam(views_and_seed: tuple[int, int]) -> None:
    """Steps of 40 to 104 degrees, the longest with views on the other side: amplitudes were 0.9942 to 1.0082."""
    angles = random(*views_and_seed)
    geometry = fan(angles)
    sinogram, axes = OBJECT.project(geometry).double().numpy(), tuple(axis.numpy() for axis in GRID.axes())
    weights = trapezoid(angles)[:, None] / 2
    check(geometry, textbook.fan_fbp(sinogram, angles, 1.0, weights, (200.0, 400.0), 2.0, axes))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [10, 21])
def test_twenty_random_views_of_a_fan_beam_are_told(seed: int) -> None:
    """Up to 35 degrees between directions, which no weights make up for: the warning gives the error to expect."""
    geometry = fan(random(20, seed))
    with pytest.warns(sg.CoverageWarning, match="amplitudes are off by up to about") as caught:
        image = sg.fbp(OBJECT.project(geometry), geometry, GRID)
    told = float(str(caught[0].message).split("up to about ")[1].split(" ")[0]) / 100
    assert 0.005 < abs(measured(image)[0] - 1) < told < 0.03


@pytest.mark.parametrize("turn", [TURN, math.radians(250)])
def test_harmonics_of_directions_average_out(turn: float) -> None:
    """By the definition, with shares that fall to the ends of a short scan."""
    angles = torch.from_numpy(random(40, 11)[random(40, 11) < turn]).sort().values
    arcs = torch.from_numpy(np.gradient(angles.numpy()))
    shares = torch.from_numpy(np.random.default_rng(0).uniform(0.4, 0.6, len(angles))) * (TURN / turn)
    weights = (balanced(arcs, angles, shares) * shares).numpy()
    assert weights.sum() == pytest.approx(math.pi)
    for harmonic in (2, 4):
        assert abs(np.exp(1j * harmonic * angles.numpy()) @ weights) < 1e-12
    few = torch.tensor([0.0, 0.1, 0.2, 3.0, 4.0, 5.0], dtype=torch.float64)
    assert torch.equal(balanced(torch.ones(6).double(), few, torch.ones(6).double()), torch.ones(6).double())


@pytest.mark.parametrize("kind", ["parallel", "fan"])
def test_gradients_to_uneven_angles(kind: str) -> None:
    """The same image with and without, whatever the rule for the weights; the gradient against finite differences."""
    angles = torch.from_numpy(random(20, 1) if kind == "parallel" else random(40, 11))

    def make(a: Tensor) -> sg.ParallelBeam | sg.FanBeam:
        return sg.ParallelBeam(a, sg.FlatDetector(50, 3.0)) if kind == "parallel" else fan(a)

    sinogram = OBJECT.project(make(angles), dtype=torch.float64)
    grid = sg.Grid((20, 20), 5.0)

    def value(a: Tensor) -> Tensor:
        return sg.fbp(sinogram, make(a), grid).square().sum()

    leaf = angles.clone().requires_grad_()
    assert float(value(leaf).detach()) == pytest.approx(float(value(angles)), rel=1e-9)
    (gradient,) = torch.autograd.grad(value(leaf), leaf)
    direction = torch.randn(len(angles), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-6
    expected = float(value(angles + step * direction) - value(angles - step * direction)) / (2 * step)
    assert float(gradient @ direction) == pytest.approx(expected, rel=1e-3)


def test_pairs_of_a_cone_beam() -> None:
    """Every view twice, 0.0004 rad apart: the amplitude was 0.09."""
    ball = sg.Ellipsoids([0.02], [[18.0, 14.0, 16.0]], [[0.0, 0.0, 0.0]])
    grid = sg.Grid((8, 32, 32), 1.5)
    detector = sg.FlatDetector((32, 80), 1.5)
    angles = torch.as_tensor(pairs(72))
    geometry = sg.ConeBeam.circular(source_to_origin=150, source_to_detector=225, angles=angles, detector=detector)
    image, truth = sg.fdk(ball.project(geometry), geometry, grid), ball.voxelize(grid)
    assert float((image * truth).sum() / truth.square().sum()) == pytest.approx(1, abs=0.008)


@pytest.mark.parametrize(("views", "seed"), [(30, 1), (20, 4), (40, 4)])
def test_few_random_views_of_half_a_turn(views: int, seed: int) -> None:
    """Steps of up to 0.6 rad: an amplitude as that of weights by hand (0.6 to 0.9 of it where a step is a gap)."""
    angles = random(views, seed, math.pi)
    assert 0.28 < np.diff(np.sort(np.append(angles, angles.min() + math.pi))).max() < math.pi / 4
    geometry = parallel(angles)
    sinogram = OBJECT.project(geometry).double()
    weighted = sinogram.numpy() * trapezoid(angles, math.pi)[:, None]
    axes = tuple(axis.numpy() for axis in GRID.axes())
    by_hand = measured(textbook.parallel_fbp(weighted, angles, 1.0, 1.0, 1.0, axes))  # type: ignore[arg-type]
    amplitude, error = measured(sg.fbp(sinogram, geometry, GRID))
    assert amplitude == pytest.approx(by_hand[0], abs=0.005) and error <= 1.2 * by_hand[1]
