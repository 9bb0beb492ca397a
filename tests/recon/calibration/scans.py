"""Scans with known geometry, of ellipsoids whose line integrals are exact."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

import sinograd as sg

SOURCE_TO_ORIGIN, SOURCE_TO_DETECTOR, WIDTH = 100.0, 200.0, 102.4

TRUTH = {
    "source_to_detector": SOURCE_TO_DETECTOR,
    "axis_offset": 1.0,
    "tilt": math.radians(1.5),
    "in_plane_rotation": math.radians(-1.5),
    "yaw": math.radians(1.0),
}

ERRORS = {  # 5 % of the width, 2 degrees, 1 %
    "source_to_detector": 0.01 * SOURCE_TO_DETECTOR,
    "axis_offset": 0.05 * WIDTH * SOURCE_TO_ORIGIN / SOURCE_TO_DETECTOR,
    "tilt": math.radians(2.0),
    "in_plane_rotation": math.radians(2.0),
    "yaw": math.radians(-2.0),
}


def cone(columns: int, views: int, **changes: float) -> sg.ConeBeam:
    """The true geometry with other arguments."""
    detector = sg.FlatDetector((columns, columns), WIDTH / columns)
    arguments: dict[str, Any] = {**TRUTH, **changes}
    return sg.ConeBeam.circular(
        source_to_origin=SOURCE_TO_ORIGIN, angles=sg.full_scan(views), detector=detector, **arguments
    )


def wrong(columns: int, views: int, learn: tuple[str, ...]) -> sg.ConeBeam:
    """The geometry with errors in what is to be learnt."""
    return cone(columns, views, **{name: TRUTH[name] + ERRORS[name] for name in learn})


def body(seed: int = 0, radius: float = 22.0, count: int = 40) -> sg.Ellipsoids:
    """An ellipsoid with others in it."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    centers = [[0.0, 0.0, 0.0], *((2 * draw(count, 3) - 1) * radius / 2).tolist()]
    axes = [[0.8 * radius, 0.7 * radius, 0.8 * radius], *(draw(count, 3) * radius / 5 + 0.5).tolist()]
    return sg.Ellipsoids([0.02, *(0.03 * draw(count)).tolist()], axes, centers, [0.3, *(3 * draw(count)).tolist()])


def measured(geometry: sg.Geometry, photons: float = 1e4, seed: int = 0) -> Tensor:
    """Line integrals of the body with the noise of so many photons a ray."""
    exact = body().project(geometry).float()
    return sg.add_photon_noise(exact, photons, generator=torch.Generator().manual_seed(seed))


def pixels_of_axis(columns: int) -> float:
    """Pixels by which an axis offset of 1 mm moves the image of the axis."""
    return SOURCE_TO_DETECTOR / SOURCE_TO_ORIGIN * columns / WIDTH
