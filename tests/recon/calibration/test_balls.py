"""Calibration with balls. Truth: the geometry and the positions that the scan was made with."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

import sinograd as sg
from recon.calibration.scans import TRUTH, cone, wrong
from sinograd.geometry.vectors import images
from sinograd.recon.calibration.balls import calibrate_from_balls, find_balls

BALLS = torch.tensor(
    [[12, 0, -14], [-3, 11, -9], [-12, -5, -3], [5, -12, 3], [11, 6, 8], [-8, 9, 13]], dtype=torch.float64
)
LEARN = ("axis_offset", "in_plane_rotation", "tilt", "yaw", "source_to_detector")


def scene(turn: float = 40.0, over: bool = False) -> tuple[sg.Ellipsoids, torch.Tensor]:
    """Balls of 1.2 mm, somewhere near the axis, and where they are."""
    pose = Rotation.from_euler("zxy", [turn, 180.0 if over else 2.0, -1.5], degrees=True)
    world = torch.from_numpy(pose.apply(BALLS.numpy())) + torch.tensor([0.6, -0.8, 0.5])
    return sg.Ellipsoids([0.3] * len(BALLS), [[1.2] * 3] * len(BALLS), world.tolist()), world


def test_shadows_are_where_balls_are() -> None:
    """Truth: the images of their centres; those of balls lie up to some hundredths of a pixel beside them."""
    geometry = cone(96, 6)
    balls, world = scene()
    truth = images(geometry.vectors, world, True) + 47.5
    for centers, expected in zip(find_balls(balls.project(geometry)), truth, strict=True):
        distance = (centers[:, None] - expected).norm(dim=2).min(1).values
        assert len(centers) >= 4
        assert float(distance.median()) < 0.1


@pytest.mark.parametrize(("turn", "over"), [(40.0, False), (215.0, True)])
def test_balls_tell_the_geometry(turn: float, over: bool) -> None:
    columns, views = 96, 24
    projections = scene(turn, over)[0].project(cone(columns, views)).float()
    noisy = sg.add_photon_noise(projections, 1e4, generator=torch.Generator().manual_seed(0))
    result = calibrate_from_balls(noisy, wrong(columns, views, LEARN), BALLS, learn=LEARN)
    assert result.after < 0.1 < 1.0 < result.before
    errors = {name: result.values[name] - TRUTH[name] for name in LEARN}
    assert abs(errors["axis_offset"]) < 0.02
    assert abs(math.degrees(errors["in_plane_rotation"])) < 0.05
    assert abs(math.degrees(errors["tilt"])) < 0.5 and abs(math.degrees(errors["yaw"])) < 0.5
    assert abs(errors["source_to_detector"]) < 0.3
    assert all(abs(errors[name]) < 4 * result.standard_errors[name] for name in LEARN)


def test_bad_input() -> None:
    geometry = cone(32, 8)
    empty = torch.zeros(geometry.projection_shape)
    with pytest.raises(sg.errors.InputError, match="at least 4, got 3"):
        calibrate_from_balls(empty, geometry, BALLS[:3])
    with pytest.raises(sg.errors.CalibrationError, match="found 0 shadows"):
        calibrate_from_balls(empty, geometry, BALLS)
    with pytest.raises(sg.errors.InputError, match="share between 0 and 1"):
        find_balls(empty, threshold=2.0)
    with pytest.raises(sg.errors.InputTypeError, match="expected a ConeBeam"):
        calibrate_from_balls(empty, None, BALLS)  # type: ignore[arg-type]
