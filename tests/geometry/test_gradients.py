"""Geometry arguments that require gradients: where they pass to the vectors, and where they are an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import sinograd as sg
from sinograd.geometry import detector_region, shift_detector

LINE, AREA = sg.FlatDetector(5, 1.0), sg.FlatDetector((4, 5), 1.0)
ORBIT: dict[str, Any] = {"source_to_origin": 50.0, "source_to_detector": 80.0, "angles": sg.full_scan(4)}
CONE = sg.ConeBeam.circular(**ORBIT, detector=AREA)


def cone(**arguments: Any) -> sg.ConeBeam:
    return sg.ConeBeam.circular(**(ORBIT | {"detector": AREA} | arguments))


def vectors(name: str, value: Any) -> sg.ConeBeam:
    parts = dict(zip(("sources", "centers", "u", "v"), CONE.vectors.unbind(1), strict=True))
    return sg.ConeBeam.from_vectors(**{**parts, name: value}, detector=AREA)


ONE = torch.tensor(0.5, requires_grad=True)
VIEWS = torch.rand(4, requires_grad=True)
PAIRS = torch.rand(4, 2, requires_grad=True)
POINTS = torch.rand(4, 3, requires_grad=True)

CALLS: dict[str, tuple[str, Callable[[], object]]] = {
    "grid spacing": ("Grid spacing", lambda: sg.Grid((4, 4), ONE)),
    "grid spacing of an axis": (r"Grid spacing", lambda: sg.Grid((4, 4), (1.0, ONE))),
    "grid center": ("Grid center", lambda: sg.Grid((4, 4), center=torch.zeros(2, requires_grad=True))),
    "detector spacing": ("FlatDetector spacing", lambda: sg.FlatDetector(5, torch.nn.Parameter(torch.tensor(1.0)))),
    "detector offset": ("FlatDetector offset", lambda: sg.FlatDetector((4, 5), 1.0, (0.0, ONE))),
    "curved radius": ("CurvedDetector radius", lambda: sg.CurvedDetector(5, 1.0, ONE * 100)),
    "a list of angles": ("angles", lambda: cone(angles=[0.0, ONE])),
    "short scan": (
        "start",
        lambda: sg.FanBeam.short_scan(source_to_origin=50, source_to_detector=80, views=4, detector=LINE, start=ONE),
    ),
    "matrices": ("matrices", lambda: sg.ConeBeam.from_matrices(torch.rand(2, 3, 4, requires_grad=True), AREA)),
    "pixel_origin": ("pixel_origin", lambda: CONE.to_matrices(pixel_origin=(ONE, 0.0))),
    "full_scan": ("start", lambda: sg.full_scan(4, ONE)),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_an_error(name: str) -> None:
    argument, call = CALLS[name]
    with pytest.raises(
        sg.errors.InputError, match=rf"^{argument}.* requires gradients, which do not pass through it and would be lost"
    ):
        call()


def test_a_detector_of_a_followed_geometry_is_not_cut() -> None:
    with pytest.raises(sg.errors.InputError, match="this ConeBeam requires gradients, which do not pass to a part"):
        detector_region(cone(tilt=ONE), rows=(0, 2))


def test_transforms_of_torch_func_are_an_error() -> None:
    with pytest.raises(sg.errors.InputError, match="tilt requires gradients"):
        torch.func.grad(lambda tilt: cone(tilt=tilt).vectors.sum())(torch.tensor(0.5))


HALF = torch.tensor(0.3, dtype=torch.float64)
AREA_ARC = sg.CurvedDetector((4, 5), 1.0)
RECIPES: dict[str, tuple[Callable[[torch.Tensor], sg.Geometry], torch.Tensor]] = {
    **{
        name: (lambda value, name=name: cone(**{name: value}), HALF * scale)
        for name, scale in {
            "source_to_origin": 150.0,
            "source_to_detector": 300.0,
            "axis_offset": 1.0,
            "tilt": 1.0,
            "yaw": 1.0,
            "in_plane_rotation": 1.0,
        }.items()
    },
    "angles": (lambda value: cone(angles=value), torch.rand(4, dtype=torch.float64)),
    "axis offsets": (lambda value: cone(axis_offset=value), torch.rand(4, dtype=torch.float64)),
    "source offset": (lambda value: cone(source_offset=value), torch.rand(2, dtype=torch.float64)),
    "part of a source offset": (lambda value: cone(source_offset=(0.1, value, 0.2)), HALF),
    "source offsets": (lambda value: cone(source_offset=value), torch.rand(4, 3, dtype=torch.float64)),
    "shifts": (lambda value: cone(shifts=value), torch.rand(4, 2, dtype=torch.float64)),
    "curved": (lambda value: cone(detector=AREA_ARC, tilt=value, source_to_detector=value * 300), HALF),
    "pitch": (lambda value: sg.ConeBeam.helical(**ORBIT, detector=AREA, pitch=value), HALF),
    "z_start": (lambda value: sg.ConeBeam.helical(**ORBIT, detector=AREA, pitch=3.0, z_start=value), HALF),
    "fan": (lambda value: sg.FanBeam.circular(**ORBIT, detector=LINE, axis_offset=value), HALF),
    "parallel": (
        lambda value: sg.ParallelBeam(
            ORBIT["angles"], AREA, tilt=value, in_plane_rotation=value**2, axis_offset=value**3
        ),
        HALF,
    ),
    "sources": (lambda value: vectors("sources", value), CONE.vectors[:, 0]),
    "u": (lambda value: vectors("u", value), CONE.vectors[:, 2]),
    "shifted": (lambda value: shift_detector(CONE, value), torch.rand(4, dtype=torch.float64)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_vectors_follow_arguments(name: str) -> None:
    """Truth: the vectors of geometries made with numbers, and their central differences."""
    make, value = RECIPES[name]
    plain = make(value)
    assert plain.followed_vectors is None
    followed = make(value.clone().requires_grad_())
    assert followed.equals(plain) and followed.to_dict() == plain.to_dict()
    assert not followed.vectors.requires_grad
    assert torch.autograd.gradcheck(lambda v: make(v).followed_vectors, value.clone().requires_grad_())


def test_short_scans_hold_their_angles() -> None:
    """A scan that was measured has the angles it has; truth: the circular scan with these."""
    offset = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    short = sg.ConeBeam.short_scan(
        source_to_origin=50, source_to_detector=80, views=4, detector=AREA, axis_offset=offset
    )
    circular = cone(angles=short.angles, axis_offset=offset)
    got, expected = (torch.autograd.grad(g.followed_vectors.sum(), offset)[0] for g in (short, circular))  # type: ignore[union-attr]
    torch.testing.assert_close(got, expected)


def test_selected_and_joined_views_are_followed() -> None:
    tilt = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    whole = cone(tilt=tilt)
    joined = sg.concatenate([whole[:1], CONE, whole[1:]])
    vectors = joined.followed_vectors
    assert vectors is not None and torch.equal(vectors.detach(), joined.vectors)
    (gradient,) = torch.autograd.grad(vectors[0].sum() + vectors[5:].sum(), tilt)
    (expected,) = torch.autograd.grad(cone(tilt=tilt).followed_vectors.sum(), tilt)  # type: ignore[union-attr]
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.tensor, np.array, lambda v: ONE.detach() * 0 + v])
def test_scalars_without_gradients_are_numbers(kind: Callable[[float], Any]) -> None:
    assert cone(tilt=kind(0.25), axis_offset=kind(0.5)).equals(cone(tilt=0.25, axis_offset=0.5))
    assert sg.Grid((4, 4), kind(0.5), (kind(0.25), kind(-0.5))).equals(sg.Grid((4, 4), 0.5, (0.25, -0.5)))
    assert detector_region(CONE, binning=np.int64(2)).equals(detector_region(CONE, binning=2))
    assert sg.FlatDetector(np.int32(5), kind(1.0)) == LINE
