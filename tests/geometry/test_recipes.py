"""Recipes of geometries, rigid motion of the object, and geometries with learnt arguments."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation

import sinograd as sg
from sinograd.geometry import Circular, Helical, LearnedGeometry, ShortScan, Vectors, spline
from sinograd.geometry.motion import rotations, spline_basis

LINE, AREA, ARC = sg.FlatDetector(5, 1.0), sg.FlatDetector((4, 6), 1.0), sg.CurvedDetector((4, 6), 1.0)
DISTANCES: dict[str, Any] = {"source_to_origin": 50.0, "source_to_detector": 80.0}
ANGLES = sg.full_scan(8)
TURNED = {"axis_offset": 0.5, "tilt": 0.1, "yaw": 0.05, "in_plane_rotation": -0.07, "source_offset": (0.1, 0.2)}
SHIFTS = torch.arange(16.0).reshape(8, 2) / 10

GEOMETRIES: dict[str, sg.Geometry] = {
    "cone": sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, **TURNED, shifts=SHIFTS),
    "cone, curved": sg.ConeBeam.circular(**DISTANCES, detector=ARC, angles=ANGLES, tilt=0.02),
    "cone, short": sg.ConeBeam.short_scan(**DISTANCES, detector=AREA, views=8, start=0.2, axis_offset=0.4),
    "helix": sg.ConeBeam.helical(**DISTANCES, detector=AREA, angles=ANGLES, pitch=3.0, tilt=0.02),
    "cone, vectors": sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES).at(
        sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES, **TURNED).vectors
    ),
    "fan": sg.FanBeam.circular(**DISTANCES, detector=LINE, angles=ANGLES, axis_offset=0.5),
    "fan, short": sg.FanBeam.short_scan(**DISTANCES, detector=LINE, views=8),
    "parallel": sg.ParallelBeam(ANGLES, AREA, tilt=0.1, in_plane_rotation=0.03, axis_offset=0.2),
    "parallel, 2-D": sg.ParallelBeam(ANGLES, LINE, axis_offset=0.2),
    "parallel, vectors": sg.ParallelBeam(ANGLES, LINE).at(sg.ParallelBeam(ANGLES, LINE, axis_offset=0.2).vectors),
}


def drawn_motion(views: int, ndim: int, size: float = 0.2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return size * torch.randn(views, 6 if ndim == 3 else 3, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_geometry_has_its_recipe(name: str) -> None:
    geometry = GEOMETRIES[name]
    again = geometry.recipe.geometry()
    assert type(again) is type(geometry) and again.equals(geometry) and repr(again) == repr(geometry)
    torch.testing.assert_close(geometry.recipe.vectors(), geometry.vectors, rtol=0, atol=0)


def test_recipes_are_described_by_hand() -> None:
    """Truth: the constructors of the beams."""
    assert (
        Circular(detector=AREA, angles=ANGLES, **DISTANCES, **TURNED, shifts=SHIFTS)
        .geometry()
        .equals(GEOMETRIES["cone"])
    )
    assert (
        Helical(detector=AREA, angles=ANGLES, **DISTANCES, pitch=3.0, tilt=0.02).geometry().equals(GEOMETRIES["helix"])
    )
    short = ShortScan(detector=AREA, views=8, start=0.2, axis_offset=0.4, **DISTANCES)
    assert short.geometry().equals(GEOMETRIES["cone, short"])
    assert Circular(detector=LINE, angles=ANGLES, axis_offset=0.2).geometry().equals(GEOMETRIES["parallel, 2-D"])
    source, center, u, v = GEOMETRIES["cone"].vectors.unbind(1)
    assert Vectors(detector=AREA, sources=source, centers=center, u=u, v=v).geometry().equals(GEOMETRIES["cone"])


def test_recipes_never_change_and_check() -> None:
    recipe = Circular(detector=AREA, angles=ANGLES, **DISTANCES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.tilt = 1.0  # type: ignore[misc]
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("motion must be", {"motion": torch.zeros(3, 6)}),
        ("source_to_detector", {"source_to_detector": 10.0}),
        ("tilt must be a number", {"tilt": "steep"}),
    ]
    for message, arguments in wrong:
        with pytest.raises((sg.errors.InputError, sg.errors.InputTypeError), match=message):
            dataclasses.replace(recipe, **arguments)
    with pytest.raises(sg.errors.InputError, match="source_offset: parallel rays have no source"):
        Circular(detector=AREA, angles=ANGLES, source_offset=(0.0, 1.0))
    with pytest.raises(sg.errors.InputError, match="needs a 2-D detector"):
        Circular(detector=LINE, angles=ANGLES, tilt=0.1)
    with pytest.raises(sg.errors.InputError, match="sources or directions"):
        Vectors(detector=LINE, centers=torch.zeros(1, 2), u=torch.ones(1, 2))


def test_rotations_are_those_of_scipy() -> None:
    vectors = torch.cat([drawn_motion(20, 3)[:, :3] * 5, torch.zeros(1, 3), 1e-5 * torch.ones(1, 3)]).double()
    expected = torch.from_numpy(Rotation.from_rotvec(vectors.numpy()).as_matrix())
    torch.testing.assert_close(rotations(vectors), expected, rtol=1e-12, atol=1e-12)
    at = torch.cat([torch.zeros(1, 3), vectors[:2]]).double().requires_grad_()
    assert torch.autograd.gradcheck(rotations, at)


def test_splines_are_those_of_scipy() -> None:
    knots, views = 7, 30
    coefficients = drawn_motion(knots, 3)
    curve = BSpline(range(-3, knots + 1), coefficients.numpy(), 3)
    expected = torch.from_numpy(curve([i * (knots - 3) / (views - 1) for i in range(views)]))
    torch.testing.assert_close(spline(coefficients, views), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(spline_basis(4, 9).sum(1), torch.ones(9).double())
    with pytest.raises(sg.errors.InputError, match="at least 4, got 3"):
        spline(coefficients[:3], views)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_moving_object_is_seen_where_it_is(name: str) -> None:
    """Truth: the images of its points, moved by scipy's rotations, in the scan of an object at rest."""
    from sinograd.geometry.vectors import images

    geometry = GEOMETRIES[name]
    motion = drawn_motion(geometry.views, geometry.ndim)
    if geometry.scan == "short_scan":
        geometry = geometry[:]
    moving = dataclasses.replace(geometry.recipe, motion=motion).geometry()
    points = torch.tensor([[0.5, -0.7, 0.3], [-1.0, 0.2, -0.4]], dtype=torch.float64)
    if geometry.ndim == 2:
        points[:, 2] = 0
    for view in range(geometry.views):
        six = motion[view] if geometry.ndim == 3 else torch.tensor([*motion[view, :2], 0, 0, 0, motion[view, 2]])
        turn = torch.from_numpy(Rotation.from_rotvec(six[3:].numpy()).as_matrix())
        world = points @ turn.T + six[:3]
        expected = images(geometry.vectors[view : view + 1], world, geometry.divergent)
        got = images(moving.vectors[view : view + 1], points, geometry.divergent)
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_images_are_those_of_projection_matrices() -> None:
    geometry = GEOMETRIES["cone"]
    assert isinstance(geometry, sg.ConeBeam)
    from sinograd.geometry.vectors import images

    points = torch.tensor([[0.5, -0.7, 0.3, 1.0], [-1.0, 0.2, -0.4, 1.0]], dtype=torch.float64)
    image = torch.einsum("vij,pj->vpi", geometry.to_matrices(), points)
    middle = torch.tensor([(geometry.rows - 1) / 2, (geometry.columns - 1) / 2], dtype=torch.float64)
    expected = (image[..., :2] / image[..., 2:]).flip(-1) - middle
    torch.testing.assert_close(images(geometry.vectors, points[:, :3], True), expected)


@pytest.mark.parametrize("name", ["cone", "cone, curved", "helix", "fan", "parallel"])
def test_motion_is_kept_with_the_geometry(name: str) -> None:
    still = GEOMETRIES[name]
    moving = dataclasses.replace(still.recipe, motion=drawn_motion(still.views, still.ndim)).geometry()
    assert not moving.equals(still)
    assert sg.Geometry.from_dict(moving.to_dict()).equals(moving)
    assert sg.concatenate([moving[:3], moving[3:]]).equals(moving)
    assert sg.shift_detector(moving, 0.5).recipe.motion is not None
    mixed = sg.concatenate([still[:3], moving[3:]])
    torch.testing.assert_close(mixed.vectors, torch.cat([still.vectors[:3], moving.vectors[3:]]))


def test_vectors_follow_motion() -> None:
    recipe = GEOMETRIES["cone"].recipe
    motion = drawn_motion(8, 3).requires_grad_()
    follow = lambda value: dataclasses.replace(recipe, motion=value).geometry().followed_vectors  # noqa: E731
    assert torch.autograd.gradcheck(follow, motion)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_learned_geometries_start_where_they_are(name: str) -> None:
    from sinograd.geometry.learned import displacement, learnable

    geometry = GEOMETRIES[name]
    learn = learnable(geometry)
    module = LearnedGeometry(geometry, learn=learn)
    assert module().equals(geometry) and module.geometry().equals(geometry)
    vectors = module().followed_vectors
    assert vectors is not None and module.geometry().followed_vectors is None
    gradients = torch.autograd.grad(vectors.square().sum(), [*module.parameters()])
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    for argument in learn:  # one unit is about a pixel
        scale = module.scales[argument] * 1e-3
        if scale.ndim == 0:
            size = displacement(module.start, argument, scale).square().sum(-1).mean().sqrt() * 1e3
            assert float(size) == pytest.approx(1.0, rel=0.5) or float(size) == 0


def test_learned_geometries_hold_what_was_learnt() -> None:
    geometry = sg.ConeBeam.circular(**DISTANCES, detector=AREA, angles=ANGLES)
    module = LearnedGeometry(geometry, learn=("axis_offset", "tilt", "column_offset", "row_offset"))
    target = sg.ConeBeam.circular(
        **DISTANCES, detector=sg.FlatDetector((4, 6), 1.0, (0.2, -0.3)), angles=ANGLES, axis_offset=0.7, tilt=0.03
    )
    module.set_values({"axis_offset": 0.7, "tilt": 0.03, "row_offset": 0.2, "column_offset": -0.3})
    torch.testing.assert_close(module().vectors, target.vectors)
    assert module.geometry().equals(target) and module.geometry().detector.offset == pytest.approx((0.2, -0.3))
    assert module.values["tilt"].item() == pytest.approx(0.03)


def test_learning_finds_an_axis() -> None:
    """With an optimiser of torch, from projections of the right geometry."""
    detector, angles = sg.FlatDetector(32, 1.0), sg.full_scan(24)
    make = lambda offset: sg.FanBeam.circular(**DISTANCES, detector=detector, angles=angles, axis_offset=offset)  # noqa: E731
    grid = sg.Grid((24, 24), 0.8)
    image = torch.nn.functional.avg_pool2d(sg.shepp_logan_2d(radius=8.0).voxelize(grid)[None], 3, 1, 1)[0].double()
    measured = sg.XRayTransform(make(0.6), grid)(image)
    module = LearnedGeometry(make(0.0), learn=("axis_offset",))
    optimizer = torch.optim.LBFGS(module.parameters(), max_iter=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (sg.XRayTransform(module(), grid)(image) - measured).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    assert module.values["axis_offset"].item() == pytest.approx(0.6, abs=1e-3)


def test_learned_geometries_name_what_they_cannot_learn() -> None:
    with pytest.raises(sg.errors.InputError, match=r"learn: expected some of .*axis_offset.* got tild"):
        LearnedGeometry(GEOMETRIES["cone"], learn=("tild",))
    with pytest.raises(sg.errors.InputError, match=r"expected some of .* for this FanBeam, got tilt"):
        LearnedGeometry(GEOMETRIES["fan"], learn=("tilt",))
    with pytest.raises(sg.errors.InputTypeError, match="learn: expected names"):
        LearnedGeometry(GEOMETRIES["cone"], learn="tilt")
    with pytest.raises(sg.errors.InputError, match="knots: expected None"):
        LearnedGeometry(GEOMETRIES["cone"], learn=("tilt",), knots=5)
    module = LearnedGeometry(GEOMETRIES["cone"], learn=("motion",), knots=5)
    assert module.values["motion"].shape == (5, 6) and math.isfinite(float(module.scales["motion"].sum()))
