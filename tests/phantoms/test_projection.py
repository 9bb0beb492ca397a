from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from sinograd.geometry import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    ParallelBeam,
    full_scan,
    short_scan,
)
from sinograd.phantoms import Ellipsoids, ball, balls, shepp_logan_3d

FLAT = FlatDetector((20, 24), (5.0, 4.5), offset=(3.0, -4.0))
CIRCLE = dict(source_to_origin=100.0, source_to_detector=150.0, angles=full_scan(7, start=0.3))

GEOMETRIES: dict[str, Geometry] = {
    "cone": ConeBeam.circular(**CIRCLE, detector=FLAT),
    "cone, tilted": ConeBeam.circular(**CIRCLE, detector=FLAT, tilt=0.1, in_plane_rotation=0.2, yaw=0.1, axis_offset=3),
    "cone, curved": ConeBeam.circular(**CIRCLE, detector=CurvedDetector((20, 24), (5.0, 4.5))),
    "helical": ConeBeam.helical(**CIRCLE, detector=FLAT, pitch=20.0),
    "fan": FanBeam.circular(**CIRCLE, detector=FlatDetector(60, 2.0, offset=5.0), axis_offset=2.0),
    "fan, curved": FanBeam.circular(**CIRCLE, detector=CurvedDetector(60, 2.0)),
    "parallel": ParallelBeam(short_scan(5, 0.0), FLAT, tilt=0.1),
    "parallel, 2-D": ParallelBeam(short_scan(5, 0.0), FlatDetector(60, 1.4)),
}


def some_ellipsoids() -> Ellipsoids:
    generator = torch.Generator().manual_seed(7)
    turns, _ = torch.linalg.qr(torch.randn(6, 3, 3, dtype=torch.float64, generator=generator))
    turns = turns * torch.linalg.det(turns)[:, None, None]
    axes = torch.tensor([[30, 20, 25], [2, 2, 18], [1, 15, 12], [3, 0.5, 0.2], [5, 5, 5], [0.1, 20, 3]])
    centers = 15 * torch.rand(6, 3, dtype=torch.float64, generator=generator) - 7.5
    return Ellipsoids([0.02, 0.3, -0.1, 1.0, 0.05, 0.2], axes, centers, turns)


def chords(phantom: Ellipsoids, origin: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The textbook quadratic |M (origin + t direction - center)|^2 = 1, one ellipsoid at a time."""
    total = torch.zeros(origin.shape[:-1], dtype=torch.float64)
    for value, axes, center, turn in zip(
        phantom.value, phantom.semi_axes, phantom.center, phantom.rotation, strict=True
    ):
        o, d = (origin - center) @ turn / axes, direction @ turn / axes
        a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - 1
        total += value * 2 * (b * b - a * c).clamp(min=0).sqrt() / a
    return total


@pytest.mark.parametrize("name", GEOMETRIES)
def test_projection_is_the_root_difference_of_the_quadratic(name: str) -> None:
    geometry = GEOMETRIES[name]
    phantom = some_ellipsoids()
    expected = chords(phantom, *geometry.rays())
    actual = phantom.project(geometry, dtype=torch.float64)
    assert actual.shape == geometry.projection_shape
    assert torch.allclose(actual, expected, rtol=0, atol=1e-9)  # the quadratic's own error near silhouettes
    assert expected.abs().max() > 0.5


@pytest.mark.parametrize("impact", [0.0, 1.0, 4.5, 4.999, 5.0, 7.0])
def test_chord_of_a_ball_at_a_known_distance(impact: float) -> None:
    """2 sqrt(r^2 - b^2), with a parallel beam along +y at angle 0 and u = x."""
    geometry = ParallelBeam([0.0], FlatDetector((1, 1), 1.0))
    value = ball(5.0, 0.3, (impact, 2.0, 0.0)).project(geometry, dtype=torch.float64).item()
    assert value == pytest.approx(0.3 * 2 * math.sqrt(max(25 - impact**2, 0)), abs=1e-12)


def test_small_far_ball_in_exact_arithmetic() -> None:
    """A ball a million times smaller than its distance: the quadratic loses all digits, this must not."""
    distance, detector, radius = 1000, 1500, Fraction(1, 1024)
    x, z = Fraction(1, 2048), Fraction(1, 4096)  # where the ball is; the ray is the y axis
    geometry = ConeBeam.circular(
        source_to_origin=distance,
        source_to_detector=detector,
        angles=[0.0],
        detector=FlatDetector((1, 1), 1.0),
    )
    phantom = ball(float(radius), 1.0, (float(x), 0.0, float(z)))
    exact = 2 * math.sqrt(radius * radius - x * x - z * z)
    assert phantom.project(geometry, dtype=torch.float64).item() == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("rows", [64, 1])
def test_parallel_projections_hold_the_mass(rows: int) -> None:
    """The integral of a parallel projection is the integral of the object, in every view."""
    if rows > 1:
        geometry = ParallelBeam(full_scan(4, start=0.2), FlatDetector((64, 80), (0.5, 0.4)))
        mass = sum(0.1 * k * 4 / 3 * math.pi * k * (k + 1) * (k + 2) for k in (1, 2, 3))
        element = 0.5 * 0.4
    else:
        geometry = ParallelBeam(full_scan(4, start=0.2), FlatDetector(400, 0.08))
        mass = sum(0.1 * k * math.pi * k * (k + 1) for k in (1, 2, 3))
        element = 0.08
    axes = torch.tensor([[k, k + 1.0, k + 2.0] for k in (1, 2, 3)])
    phantom = Ellipsoids([0.1, 0.2, 0.3], axes, [[0, 1.0, 0], [2.0, 0, 0], [-1.0, 1.0, 0]], [0.1, 0.7, 2.0])
    sums = phantom.project(geometry, dtype=torch.float64).flatten(1).sum(1) * element
    assert torch.allclose(sums, torch.full((4,), mass, dtype=torch.float64), rtol=2e-3)


def test_projections_hold_the_mass_of_the_voxels() -> None:
    """The voxels' sum is the projections' integral."""
    phantom = shepp_logan_3d(10.0)
    geometry = ParallelBeam(full_scan(3), FlatDetector((100, 100), 0.2))
    integral = phantom.project(geometry, dtype=torch.float64).sum(dim=(1, 2)) * 0.2**2
    mass = phantom.voxelize(Grid((50, 50, 50), 0.4), dtype=torch.float64).sum() * 0.4**3
    assert torch.allclose(integral, mass.expand(3), rtol=3e-3)


@pytest.mark.parametrize("name", ["cone", "fan", "parallel"])
def test_line_integrals_do_not_know_the_unit_of_length(name: str) -> None:
    """From metres to micrometres: attenuation x length stays."""
    phantom = some_ellipsoids()
    expected = phantom.project(GEOMETRIES[name], dtype=torch.float64)
    for factor in (1e3, 1e-6):
        detector = GEOMETRIES[name].detector
        flat = FlatDetector(
            detector.shape,
            tuple(factor * s for s in detector.spacing),
            tuple(factor * o for o in FLAT.offset) if name != "fan" else 5.0 * factor,
        )
        circle = {k: v if k == "angles" else v * factor for k, v in CIRCLE.items()}
        if name == "parallel":
            geometry = ParallelBeam(short_scan(5, 0.0), flat, tilt=0.1)
        elif name == "fan":
            geometry = FanBeam.circular(**circle, detector=flat, axis_offset=2.0 * factor)
        else:
            geometry = ConeBeam.circular(**circle, detector=flat)
        scaled = phantom.scaled(factor, keep_line_integrals=True)
        assert torch.allclose(scaled.project(geometry, dtype=torch.float64), expected, atol=1e-7)


def test_fan_beam_sees_the_plane_z_0_of_the_cone_beam() -> None:
    phantom = some_ellipsoids()
    fan = FanBeam.circular(**CIRCLE, detector=FlatDetector(60, 2.0))
    cone = ConeBeam.circular(**CIRCLE, detector=FlatDetector((1, 60), 2.0))
    assert torch.allclose(
        phantom.project(fan, dtype=torch.float64), phantom.project(cone, dtype=torch.float64)[:, 0], atol=1e-9
    )
    above = ball(1.0, 1.0, (0.0, 0.0, 1.01))
    assert above.project(fan).abs().max() == 0


def test_blocks_of_views_and_dtype_change_nothing() -> None:
    phantom, geometry = some_ellipsoids(), GEOMETRIES["cone"]
    whole = phantom.project(geometry, dtype=torch.float64)
    for block in (1, 2, 100):
        assert torch.equal(phantom.project(geometry, dtype=torch.float64, views_per_block=block), whole)
    assert torch.equal(phantom.project(geometry), whole.float())


def test_many_small_ellipsoids_add() -> None:
    """Hundreds of balls at once equal the sum over parts of them, in more than one block of pixels."""
    generator = torch.Generator().manual_seed(1)
    many = balls(2.0, 0.1, 60 * torch.rand(600, 3, dtype=torch.float64, generator=generator) - 30)
    geometry = ConeBeam.circular(**CIRCLE, detector=FlatDetector((64, 64), 2.0))
    whole = many.project(geometry, dtype=torch.float64)
    parts = sum(many[i::4].project(geometry, dtype=torch.float64) for i in range(4))
    assert torch.allclose(whole, torch.as_tensor(parts), atol=1e-12)
    assert torch.equal(many[:0].project(geometry), torch.zeros(7, 64, 64))


def test_object_at_or_behind_the_source_is_refused() -> None:
    geometry = GEOMETRIES["cone"]
    for phantom in (ball(101.0), ball(1.0, center=(300.0, 0.0, 0.0))):
        with pytest.raises(ValueError, match="ellipsoid 1 reaches behind the source in view"):
            (ball(1.0) + phantom).project(geometry)
    beyond = ball(1.0, center=(0.0, 0.0, 300.0)) + ball(1.0, center=(300.0, 0.0, 0.0))
    beyond.project(GEOMETRIES["parallel"])
    with pytest.raises(ValueError, match="ellipsoid 1 reaches behind the source in view"):
        beyond.project(GEOMETRIES["fan"])


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="views_per_block must be at least 1, got 0"):
        ball(1.0).project(GEOMETRIES["cone"], views_per_block=0)
    with pytest.raises(TypeError, match="dtype must be a floating-point type"):
        ball(1.0).project(GEOMETRIES["cone"], dtype=torch.int32)
