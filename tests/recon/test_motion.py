"""Rigid motion, estimated and taken out. Truth: the motion put in, and the reconstruction of an object at rest."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import pytest
import torch

import sinograd as sg
from sinograd.geometry import spline
from sinograd.recon.calibration.descend import anderson
from sinograd.recon.motion import estimate_motion


def smooth_motion(views: int, ndim: int, mm: float, degrees: float) -> torch.Tensor:
    """About its mean, at most so large."""
    generator = torch.Generator().manual_seed(5)
    shifts = ndim
    motion = spline(torch.randn(8, 6 if ndim == 3 else 3, dtype=torch.float64, generator=generator), views)
    motion = motion - motion.mean(0)
    motion[:, :shifts] *= mm / motion[:, :shifts].abs().max()
    motion[:, shifts:] *= math.radians(degrees) / motion[:, shifts:].norm(dim=1).max()
    return motion


def body(radius: float) -> sg.Ellipsoids:
    generator = torch.Generator().manual_seed(2)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    centers = [[0.0, 0, 0], *((2 * draw(50, 3) - 1) * radius / 2).tolist()]
    axes = [[0.85 * radius, 0.7 * radius, 0.8 * radius], *(draw(50, 3) * 0.15 * radius + 2).tolist()]
    return sg.Ellipsoids([0.01, *(0.01 * draw(50)).tolist()], axes, centers, [0.3, *(3 * draw(50)).tolist()])


def quiet_fdk(projections: torch.Tensor, geometry: Any, grid: sg.Grid) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sg.errors.CoverageWarning)
        return (sg.fdk if isinstance(geometry, sg.ConeBeam) else sg.fbp)(projections, geometry, grid, window="hann")


def errors(geometry: Any, photons: float, grid: sg.Grid, knots: int) -> dict[str, float]:
    """RMSE to the object of reconstructions at rest, moving, and moving with the motion that was found."""
    views, scene = geometry.views, body(95.0)
    motion = smooth_motion(views, geometry.ndim, 3.0, 3.0)
    moving = dataclasses.replace(geometry.recipe, motion=motion).geometry()
    rest, moved = (
        sg.add_photon_noise(scene.project(g).float(), photons, generator=torch.Generator().manual_seed(1))
        for g in (geometry, moving)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sg.errors.CalibrationWarning)
        result = estimate_motion(moved, geometry, knots=knots, columns=geometry.columns, iterations=15)
    assert result.after < 0.3 * result.before
    # place and turn of the object are no part of what is estimated
    found = dataclasses.replace(geometry.recipe, motion=result.motion - (result.motion - motion).mean(0)).geometry()
    truth = scene.voxelize(grid)
    rmse = lambda volume: float((volume - truth).square().mean().sqrt())  # noqa: E731
    return {
        "rest": rmse(quiet_fdk(rest, geometry, grid)),
        "moving": rmse(quiet_fdk(moved, geometry, grid)),
        "true motion": rmse(quiet_fdk(moved, moving, grid)),
        "found": rmse(quiet_fdk(moved, found, grid)),
    }


def test_a_head_that_moves_in_a_plane() -> None:
    """A fan beam, 3 mm and 3 degrees."""
    geometry = sg.FanBeam.circular(
        source_to_origin=600, source_to_detector=1000, angles=sg.full_scan(160), detector=sg.FlatDetector(128, 3.2)
    )
    got = errors(geometry, 1e4, sg.Grid((96, 96), 2.1), knots=12)
    assert got["true motion"] < 1.1 * got["rest"]
    assert got["moving"] > 1.3 * got["rest"]
    assert got["found"] < 1.15 * got["rest"]


def test_a_head_that_moves() -> None:
    """A cone beam, 3 mm and 3 degrees, of 48 columns."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=600,
        source_to_detector=1000,
        angles=sg.full_scan(72),
        detector=sg.FlatDetector((48, 48), 409.6 / 48),
    )
    got = errors(geometry, 1e4, sg.Grid((36, 36, 36), 5.5), knots=10)
    assert got["true motion"] < 1.05 * got["rest"]
    assert got["found"] < 1.1 * got["rest"]


def test_reconstructions_follow_a_moving_object() -> None:
    """Truth: central differences of fdk of a geometry that has motion."""
    geometry = sg.ConeBeam.circular(
        source_to_origin=50, source_to_detector=75, angles=sg.full_scan(12), detector=sg.FlatDetector((8, 10), 1.0)
    )
    generator = torch.Generator().manual_seed(0)
    grid = sg.Grid((4, 5, 6), 0.8, (0.13, -0.21, 0.17))
    projections = torch.rand(12, 8, 10, dtype=torch.float64, generator=generator)
    weights = torch.randn(grid.shape, dtype=torch.float64, generator=generator)
    first = 0.03 * torch.randn(12, 6, dtype=torch.float64, generator=generator)

    def value(motion: torch.Tensor) -> torch.Tensor:
        moving = dataclasses.replace(geometry.recipe, motion=motion).geometry()
        return (quiet_fdk(projections, moving, grid) * weights).sum()

    followed = first.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(followed), followed)
    for view, column in ((3, 0), (5, 2), (7, 3), (2, 5)):
        ends = []
        for sign in (1, -1):
            moved = first.clone()
            moved[view, column] += sign * 1e-6
            ends.append(float(value(moved)))
        assert float(gradient[view, column]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-6)


def test_accelerated_steps_solve_linear_equations() -> None:
    """Of 3 unknowns in 4 steps; truth: the solution."""
    matrix = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.8, 0.1], [0.1, 0.0, 0.5]], dtype=torch.float64)
    right = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    point, points, steps = torch.zeros(3, dtype=torch.float64), [], []
    for _ in range(6):
        points.append(point)
        steps.append(matrix @ point + right - point)
        point = anderson(points, steps)
    expected = torch.linalg.solve(torch.eye(3, dtype=torch.float64) - matrix, right)
    torch.testing.assert_close(point, expected, rtol=1e-2, atol=1e-2)


def test_bad_input() -> None:
    geometry = sg.FanBeam.circular(
        source_to_origin=50, source_to_detector=75, angles=sg.full_scan(12), detector=sg.FlatDetector(10, 1.0)
    )
    with pytest.raises(sg.errors.InputError, match="does not match projections"):
        estimate_motion(torch.zeros(12, 9), geometry)
    with pytest.raises(sg.errors.InputError, match="at least 4, got 3"):
        estimate_motion(torch.zeros(12, 10), geometry, knots=3)
    with pytest.raises(sg.errors.InputError, match="expected finite values"):
        estimate_motion(torch.full((12, 10), math.nan), geometry)
    with pytest.raises(sg.errors.InputTypeError, match="expected a Geometry"):
        estimate_motion(torch.zeros(12, 10), None)  # type: ignore[arg-type]


def test_steps_that_are_all_alike() -> None:
    """As where each is cut to the longest one: the next is taken as it is."""
    points = [torch.tensor([float(n)]) for n in range(3)]
    assert float(anderson(points, [torch.ones(1)] * 3)) == 3.0
