"""A sample that was left in all references is noticed, and clean references of any beam are not suspected."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

import sinograd as sg

VIEWS, ROWS, COLUMNS = 90, 16, 64
DETECTOR = sg.FlatDetector((ROWS, COLUMNS), 0.1)
FULL = sg.ParallelBeam(sg.full_scan(VIEWS), DETECTOR)
HALF = sg.ParallelBeam(torch.arange(VIEWS) * math.pi / VIEWS, DETECTOR)
CONE = sg.ConeBeam.circular(
    source_to_origin=100.0,
    source_to_detector=150.0,
    angles=sg.full_scan(VIEWS),
    detector=sg.FlatDetector((ROWS, COLUMNS), 0.15),
)

OBJECTS = {
    "dense": sg.Ellipsoids([0.5, 0.6], [[1.8, 1.0, 0.6], [0.3, 0.3, 0.3]], [[0, 0, 0], [0.8, 0.2, 0]]),
    "weak": sg.Ellipsoids([0.02, 0.03], [[1.8, 1.0, 3.0], [0.3, 0.3, 3.0]], [[0, 0, 0], [0.8, 0.2, 0]]),
    "off the axis": sg.Ellipsoids([0.5], [[0.5, 0.4, 0.5]], [[1.6, 0.5, 0.0]]),
    "two rods": sg.Ellipsoids([0.4, 0.8], [[0.4, 0.4, 9], [0.3, 0.3, 9]], [[1.5, 0, 0], [-1.2, 0.6, 0]]),
}
ROUND = sg.Ellipsoids([0.5], [[1.5, 1.5, 0.6]])
TRUNCATED = sg.Ellipsoids([0.2, 0.3], [[6.0, 3.8, 9], [1, 1, 1]], [[0, 0, 0], [0.8, 0.2, 0]])
PLATE = sg.Ellipsoids([0.5], [[30.0, 0.5, 30.0]])
LEAVING = sg.Ellipsoids([0.5], [[0.5, 0.4, 0.5]], [[4.5, 0.5, 0.0]])
TUBE = sg.Ellipsoids([0.3, -0.3], [[4.5, 4.5, 9], [2.0, 2.0, 9]])

U, V = np.meshgrid(np.linspace(-1, 1, COLUMNS), np.linspace(-1, 1, ROWS))
BEAMS = {
    "even": np.ones_like(U),
    "heel": 1 - 0.4 * U,
    "Gaussian": np.exp(-1.5 * V**2 - 0.7 * U**2),
    "bars": 1 + 0.3 * (np.sin(9 * U) > 0) - 0.2 * (np.abs(U) < 0.3),
}


def counts(line_integrals: np.ndarray, beam: np.ndarray, photons: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(photons * beam * np.exp(-line_integrals)).astype(np.float32)


def told(geometry: sg.Geometry, views: np.ndarray, flats: np.ndarray, taken: list[float] | None = None) -> str:
    when = None if taken is None else np.array(taken)
    scan = sg.Scan(views, geometry, kind="counts", calibration=sg.Calibration(reference=flats, reference_views=when))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sg.prepare(scan)
    return "\n".join(str(w.message) for w in caught if "references look as if" in str(w.message))


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize("thing", OBJECTS)
@pytest.mark.parametrize("geometry", [FULL, HALF, CONE], ids=["full", "half", "cone"])
def test_a_sample_left_in_all_flats(geometry: sg.Geometry, thing: str, beam: str) -> None:
    """As it stood in a view, or between two; clean flats of the same beam are not suspected."""
    exact = OBJECTS[thing].project(geometry, dtype=torch.float64).numpy()
    views = counts(exact, BEAMS[beam], 5e4, 1)
    for left in (exact[0], (exact[20] + exact[21]) / 2):
        flats = np.stack([counts(left, BEAMS[beam], 5e4, seed) for seed in (2, 3)])
        assert "as if the sample was left in them" in told(geometry, views, flats)
    clean = np.stack([counts(0 * left, BEAMS[beam], 5e4, seed) for seed in (2, 3)])
    assert not told(geometry, views, clean)


def test_the_number_is_that_of_the_sample() -> None:
    """A rod of 1.2 that stood 25 columns beside its place when the flat was taken."""
    ball = sg.Ellipsoids([0.6], [[1.0, 1.0, 9.0]], [[0.0, 0.0, 0.0]])
    beside = sg.Ellipsoids([0.6], [[1.0, 1.0, 9.0]], [[1.7, 0.0, 0.0]])
    exact = ball.project(HALF).numpy()
    flat = counts(beside.project(HALF[:1]).numpy(), BEAMS["heel"], 1e5, 1)
    text = told(HALF, counts(exact, BEAMS["heel"], 1e5, 0), flat)
    depth = float(text.split("down to -")[1].split(" ")[0])
    assert 1.0 < depth < 1.25


def test_before_and_after() -> None:
    exact = OBJECTS["dense"].project(FULL).numpy()
    flats = np.stack([counts(exact[i], BEAMS["bars"], 1e4, i) for i in (0, VIEWS - 1)])
    assert "sample was left" in told(FULL, counts(exact, BEAMS["bars"], 1e4, 5), flats, [0.0, float(VIEWS)])


def test_a_sinogram() -> None:
    geometry = sg.ParallelBeam(torch.arange(VIEWS) * math.pi / VIEWS, sg.FlatDetector(COLUMNS, 0.1))
    exact = OBJECTS["dense"].project(HALF).numpy()[:, ROWS // 2]
    beam = BEAMS["heel"][0]
    views = counts(exact, beam, 1e5, 0)
    assert "sample was left" in told(geometry, views, counts(exact[:1], beam, 1e5, 1))
    assert not told(geometry, views, counts(0 * exact[:1], beam, 1e5, 1))


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize(
    "thing", [ROUND, TRUNCATED, PLATE, LEAVING, TUBE], ids=["round", "truncated", "plate", "leaving", "tube"]
)
@pytest.mark.parametrize("photons", [200.0, 1e6])
def test_clean_flats_are_not_suspected(thing: sg.Ellipsoids, beam: str, photons: float) -> None:
    """Also where the beam changes: it declines, is refilled, brightens, moves along the rows."""
    exact = thing.project(FULL, dtype=torch.float64).numpy()
    flats = np.stack([counts(0 * exact[0], BEAMS[beam], photons, seed) for seed in range(3)])
    stage = np.arange(VIEWS) / VIEWS
    drifts = {
        "none": 1 + 0 * stage,
        "decline": 1 - 0.1 * stage,
        "refills": 1.1 - 0.2 * (5 * stage % 1),
        "brighter": 1.15 + 0 * stage,
    }
    for drift in drifts.values():
        light = BEAMS[beam] * drift[:, None, None]
        assert not told(FULL, counts(exact, light, photons, 9), flats)
    moved = BEAMS[beam] * np.exp(0.1 * V)
    assert not told(FULL, counts(exact, moved, photons, 9), flats)


def test_views_before_the_sample_came_in() -> None:
    exact = OBJECTS["dense"].project(FULL).numpy()
    exact[:4] = 0
    flats = np.stack([counts(0 * exact[0], BEAMS["heel"], 2e4, seed) for seed in range(3)])
    for level in (0.9, 1.0, 1.1):
        assert not told(FULL, counts(exact, level * BEAMS["heel"], 2e4, 9), flats)
