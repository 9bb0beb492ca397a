from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sinograd.phantoms import Ellipsoids, ball
from sinograd.phantoms.placement import apart, inside


def test_balls() -> None:
    """Balls are apart when their distance exceeds the sum of radii; one holds the other when r + d < R."""
    other = Ellipsoids(1.0, 1.0, [[d, 0.0, 0.0] for d in (0.0, 0.9, 2.9, 3.01, 9.0)])
    assert apart(other, ball(2.0)).tolist() == [False, False, False, True, True]
    assert inside(other, ball(2.0)).tolist() == [True, True, False, False, False]


def test_thin_ellipsoids_pass_close() -> None:
    """Needles within each other's bounding spheres, crossing at right angles 0.25 mm apart."""
    along_x = Ellipsoids(1.0, (10.0, 0.1, 0.1))
    along_y = Ellipsoids(1.0, (0.1, 10.0, 0.1), [[0.0, 0.0, 0.25], [0.0, 0.0, 0.15]])
    assert apart(along_y, along_x).tolist() == [True, False]


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_answers_hold_for_points_of_the_surfaces(seed: int) -> None:
    """No surface point of an ellipsoid that is inside lies outside, none of one that is apart lies inside."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    turns, _ = torch.linalg.qr(draw(2, 3, 3) - 0.5)
    turns = turns * torch.linalg.det(turns)[:, None, None]
    first, second = (Ellipsoids(1.0, 0.1 + 2 * draw(3) ** 2, 2 * draw(3), turn) for turn in turns)
    points = torch.nn.functional.normalize(draw(500, 3) - 0.5, dim=1)
    points = first.center + (points * first.semi_axes) @ first.rotation[0].T
    level = (((points - second.center) @ second.rotation[0] / second.semi_axes) ** 2).sum(-1)
    if bool(inside(first, second)):
        assert level.max() <= 1 + 1e-9
    if bool(apart(first, second)):
        assert level.min() >= 1 - 1e-9
