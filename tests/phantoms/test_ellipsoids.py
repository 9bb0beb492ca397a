from __future__ import annotations

import math

import pytest
import torch

from sinograd.geometry import Grid
from sinograd.phantoms import Ellipsoids, ball, balls


def test_one_number_serves_all_ellipsoids() -> None:
    pair = Ellipsoids([1.0, 2.0], 3.0)
    assert len(pair) == 2
    assert pair.semi_axes.tolist() == [[3.0, 3.0, 3.0]] * 2
    assert pair.center.tolist() == [[0.0, 0.0, 0.0]] * 2
    assert torch.equal(pair.rotation, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))


def test_angle_turns_counter_clockwise_seen_from_plus_z() -> None:
    long = Ellipsoids(1.0, (3.0, 1.0, 1.0), rotation=math.pi / 2)
    assert torch.allclose(long.rotation[0, :, 0], torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    quarter = Ellipsoids(1.0, (3.0, 0.5, 1.0), rotation=math.pi / 4)
    image = quarter.voxelize(Grid((9, 9)), supersampling=1)
    assert image[6, 6] == 1  # (x, y) = (2, 2) lies on the long axis, (2, -2) does not
    assert image[2, 6] == 0


def test_bounds_hold_the_surface() -> None:
    one = Ellipsoids(1.0, (3.0, 1.0, 0.5), (1.0, -2.0, 4.0), _any_rotation())
    on_sphere = torch.nn.functional.normalize(torch.randn(20000, 3, dtype=torch.float64), dim=1)
    surface = one.center + (on_sphere * one.semi_axes) @ one.rotation[0].T
    lower, upper = one.bounds()
    assert bool((surface >= lower - 1e-12).all()) and bool((surface <= upper + 1e-12).all())
    assert torch.allclose(surface.amin(0), lower[0], atol=5e-3)
    assert torch.allclose(surface.amax(0), upper[0], atol=5e-3)


def test_sum_index_and_translation() -> None:
    both = ball(1.0, 0.1) + ball(2.0, 0.2, (1.0, 2.0, 3.0))
    assert both.value.tolist() == [0.1, 0.2]
    assert both[1].semi_axes.tolist() == [[2.0, 2.0, 2.0]]
    assert len(both[:0]) == 0 and len(both[:0] + both) == 2
    moved = both.translated((1.0, 0.0, -1.0))
    assert moved.center.tolist() == [[1.0, 0.0, -1.0], [2.0, 2.0, 2.0]]
    assert repr(both) == "<Ellipsoids: 2, values 0.1 to 0.2>"


def test_voxels_of_a_ball_hold_its_volume() -> None:
    """The volume 4/3 pi r^3, and the exact inside of the sampling points."""
    grid = Grid((30, 31, 32), spacing=(0.5, 0.4, 0.3), center=(0.2, -0.1, 0.3))
    volume = ball(2.5, 0.7, (0.1, 0.2, -0.3)).voxelize(grid, supersampling=3, dtype=torch.float64)
    mass = volume.sum().item() * 0.5 * 0.4 * 0.3
    assert mass == pytest.approx(0.7 * 4 / 3 * math.pi * 2.5**3, rel=2e-3)


@pytest.mark.parametrize("supersampling", [1, 2, 3])
def test_voxels_are_means_over_points_of_the_definition(supersampling: int) -> None:
    """Against the definition |R^T (p - c) / a| <= 1 evaluated at every point of every voxel."""
    rotation = _any_rotation()
    axes, centers = [[2.0, 0.7, 1.1], [1.0, 4.0, 0.4]], [[0.3, -0.4, 0.2], [-0.5, 0.6, -0.7]]
    phantom = Ellipsoids([0.5, -0.2], axes, centers, torch.stack([rotation, rotation.T]))
    grid = Grid((9, 11, 13), spacing=(0.5, 0.45, 0.4), center=(0.1, 0.2, 0.3))

    fine = [
        torch.cat([a + ((s + 0.5) / supersampling - 0.5) * d for s in range(supersampling)])
        for a, d in zip(grid.axes(), grid.spacing, strict=True)
    ]
    z, y, x = torch.meshgrid(*fine, indexing="ij")
    points = torch.stack([x, y, z], dim=-1)
    expected = torch.zeros_like(x)
    for value, axis, center, turn in zip(
        *(phantom.value, phantom.semi_axes, phantom.center, phantom.rotation), strict=True
    ):
        expected += value * ((((points - center) @ turn / axis) ** 2).sum(-1) <= 1)
    expected = expected.unflatten(0, (-1, 9)).unflatten(2, (-1, 11)).unflatten(4, (-1, 13)).mean(dim=(0, 2, 4))

    actual = phantom.voxelize(grid, supersampling=supersampling, dtype=torch.float64)
    assert torch.allclose(actual, expected, atol=1e-12)


def test_two_dimensional_grid_is_the_plane_z_0() -> None:
    phantom = ball(2.0, 1.0, (0.3, 0.0, 1.2))
    flat = phantom.voxelize(Grid((20, 21), spacing=0.3), supersampling=1)
    solid = phantom.voxelize(Grid((1, 20, 21), spacing=0.3), supersampling=1)
    assert torch.equal(flat, solid[0])
    assert flat.sum().item() * 0.09 == pytest.approx(math.pi * (4 - 1.44), rel=0.02)


def test_outside_the_grid_is_nothing() -> None:
    phantom = balls(0.5, 1.0, [[50.0, 0.0, 0.0], [0.0, -50.0, 0.0], [0.0, 0.0, 50.0]])
    assert phantom.voxelize(Grid((4, 4, 4))).abs().max() == 0
    assert phantom[:0].voxelize(Grid((4, 4, 4))).abs().max() == 0


def test_scaling() -> None:
    """Attenuation x length is what does not change when an object is rescaled."""
    phantom = Ellipsoids([0.5, -0.2], [[2.0, 0.7, 1.1], [1.0, 2.0, 0.4]], [[0.3, -0.4, 0.2], [-0.5, 0.6, -0.7]])
    larger = phantom.scaled(10.0)
    small, large = Grid((8, 8, 8), 0.5), Grid((8, 8, 8), 5.0)
    assert torch.equal(larger.voxelize(large), phantom.voxelize(small))
    weaker = phantom.scaled(10.0, keep_line_integrals=True)
    assert torch.allclose(weaker.value, phantom.value / 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(value=1.0, semi_axes=(1.0, 0.0, 1.0)), "semi_axes must be positive, got 0"),
        (dict(value=[1.0, 2.0], semi_axes=torch.ones(3, 3)), "value 2, semi_axes 3"),
        (dict(value=1.0, semi_axes=torch.ones(2, 2)), r"semi_axes must have shape \(3,\) or \[n, 3\]"),
        (dict(value=math.nan, semi_axes=1.0), "value must be finite"),
        (dict(value=1.0, semi_axes=1.0, center=(0.0, 1.0)), r"center must have shape"),
        (dict(value=1.0, semi_axes=1.0, rotation=2 * torch.eye(3)), "orthonormal right-handed"),
        (dict(value=1.0, semi_axes=1.0, rotation=torch.diag(torch.tensor([1.0, 1.0, -1.0]))), "right-handed"),
        (dict(value=1.0, semi_axes=1.0, rotation=torch.eye(2)), "rotation must be angles"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ellipsoids(**arguments)


def test_bad_calls() -> None:
    with pytest.raises(ValueError, match="factor must be positive"):
        ball(1.0).scaled(-1.0)
    with pytest.raises(ValueError, match="offset must be"):
        ball(1.0).translated((1.0, 2.0))
    with pytest.raises(ValueError, match="supersampling must be at least 1"):
        ball(1.0).voxelize(Grid((4, 4)), supersampling=0)
    with pytest.raises(TypeError, match="dtype must be a floating-point type"):
        ball(1.0).voxelize(Grid((4, 4)), dtype=torch.int32)
    with pytest.raises(ValueError, match="radius must be a positive number"):
        ball(-1.0)
    with pytest.raises(AttributeError):
        ball(1.0).value = torch.ones(1)  # pyright: ignore[reportAttributeAccessIssue]


def _any_rotation() -> torch.Tensor:
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5)))
    return turn * torch.linalg.det(turn)
