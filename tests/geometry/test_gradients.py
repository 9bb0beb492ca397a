"""Geometry arguments that require gradients are an error: their gradients would vanish. Truth: the issue's list."""

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
    "source_to_origin": ("source_to_origin", lambda: cone(source_to_origin=ONE)),
    "angles": ("angles", lambda: cone(angles=VIEWS)),
    "a list of angles": ("angles", lambda: cone(angles=[0.0, ONE])),
    "axis_offset": ("axis_offset", lambda: cone(axis_offset=ONE)),
    "axis_offset a view": ("axis_offset", lambda: cone(axis_offset=VIEWS)),
    "source_offset": ("source_offset", lambda: cone(source_offset=PAIRS)),
    "tilt": ("tilt", lambda: cone(tilt=ONE)),
    "shifts": ("shifts", lambda: cone(shifts=PAIRS)),
    "parallel": ("in_plane_rotation", lambda: sg.ParallelBeam(sg.full_scan(4), AREA, in_plane_rotation=ONE)),
    "fan": ("axis_offset", lambda: sg.FanBeam.circular(**ORBIT, detector=LINE, axis_offset=ONE)),
    "short scan": (
        "start",
        lambda: sg.FanBeam.short_scan(source_to_origin=50, source_to_detector=80, views=4, detector=LINE, start=ONE),
    ),
    "helix": ("pitch", lambda: sg.ConeBeam.helical(**ORBIT, detector=AREA, pitch=ONE)),
    "sources": ("sources", lambda: vectors("sources", POINTS)),
    "v": ("v", lambda: vectors("v", POINTS)),
    "matrices": ("matrices", lambda: sg.ConeBeam.from_matrices(torch.rand(2, 3, 4, requires_grad=True), AREA)),
    "pixel_origin": ("pixel_origin", lambda: CONE.to_matrices(pixel_origin=(ONE, 0.0))),
    "shift_detector": ("column", lambda: shift_detector(CONE, VIEWS)),
    "full_scan": ("start", lambda: sg.full_scan(4, ONE)),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_an_error(name: str) -> None:
    argument, call = CALLS[name]
    with pytest.raises(
        sg.errors.InputError, match=rf"^{argument}.* requires gradients: gradients to geometry are not supported yet"
    ):
        call()


def test_also_where_gradients_are_off_and_under_functional_transforms() -> None:
    with torch.no_grad(), pytest.raises(sg.errors.InputError, match="tilt requires gradients"):
        cone(tilt=ONE)
    with pytest.raises(sg.errors.InputError, match="tilt requires gradients"):
        torch.func.grad(lambda tilt: cone(tilt=tilt).vectors.sum())(torch.tensor(0.5))


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.tensor, np.array, lambda v: ONE.detach() * 0 + v])
def test_scalars_without_gradients_are_numbers(kind: Callable[[float], Any]) -> None:
    assert cone(tilt=kind(0.25), axis_offset=kind(0.5)).equals(cone(tilt=0.25, axis_offset=0.5))
    assert sg.Grid((4, 4), kind(0.5), (kind(0.25), kind(-0.5))).equals(sg.Grid((4, 4), 0.5, (0.25, -0.5)))
    assert detector_region(CONE, binning=np.int64(2)).equals(detector_region(CONE, binning=2))
    assert sg.FlatDetector(np.int32(5), kind(1.0)) == LINE
