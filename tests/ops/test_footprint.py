"""`XRayTransform(..., model="footprint")`: the contract, and means over pixels known without any code of ours."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from sinograd import (
    ConeBeam,
    CurvedDetector,
    FanBeam,
    FlatDetector,
    Geometry,
    Grid,
    LearnedGeometry,
    ParallelBeam,
    XRayTransform,
    full_scan,
)
from sinograd.ops import InSlabs, dispatch, footprint, footprint_adjoint
from sinograd.ops.kernel_views import is_axial
from sinograd.testing.operator_contract import OperatorContract, distance
from sinograd.testing.reference import footprint_reference

CIRCLE: dict[str, Any] = dict(source_to_origin=80.0, source_to_detector=120.0)


def taken(geometry: Geometry) -> bool:
    """Whether the model takes the geometry."""
    return geometry.ndim == 2 or is_axial(geometry.vectors, geometry.divergent, geometry.detector.shape)


# One of each kind of beam and of each trap; `test_dispatch.py` and `test_random_scans.py` have all of them.
CASES = (
    "parallel 2-D, offsets",
    "fan, curved about another point",
    "fan, fine pixels",
    "fan, coarse pixels",
    "fan, by vectors",
    "parallel 2-D, diagonal rays",
    "parallel, climbing rays",
    "parallel, offset",
    "cone",
    "cone, curved about another point",
    "helix, curved",
    "cone, shifts",
    "cone, yawed",
    "cone, detector before the object",
    "matrices, both reversed",
    "voxels of three sizes",
    "coarse pixels",
    "coarse rows, fine columns",
    "fine rows",
    "grid half outside",
    "one voxel",
    "one column",
    "large fan",
    "large cone",
)


class TestFootprints(OperatorContract):
    domain, range = "volume", "projections"
    accepts = staticmethod(taken)
    labels: ClassVar = {"case": CASES}

    def make(self, case: Any) -> XRayTransform:
        return XRayTransform(*case, model="footprint")

    def reference(self, operator: XRayTransform, x: Tensor) -> Tensor:
        geometry, grid = operator.geometry, operator.grid
        missing = 3 - grid.ndim
        return footprint_reference(
            x.reshape((1,) * missing + grid.shape),
            geometry.vectors,
            geometry.divergent,
            (geometry.rows, geometry.columns),
            (1.0,) * missing + grid.spacing,
            grid.center + (0.0,) * missing,
            flat=missing > 0,
        ).reshape(operator.range_shape)

    def custom_ops(self, operator: XRayTransform) -> list[tuple[Any, tuple[Any, ...]]]:
        geometry, grid = operator.geometry, operator.grid
        x = torch.randn(2, *operator.domain_shape, requires_grad=True)
        y = torch.randn(2, *operator.range_shape, requires_grad=True)
        beam, place = (geometry.vectors, geometry.divergent), (grid.spacing, grid.center)
        return [
            (footprint, (x, *beam, geometry.detector.shape, *place)),
            (footprint_adjoint, (y, *beam, grid.shape, *place)),
        ]


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 1.2, 2.0])
def test_shadow_of_a_square(angle: float) -> None:
    """The integral along a line through a square is a trapezoid of the line's place, whose means are known.

    The square of side a, turned by an angle: a (|cos| + |sin|) wide at its foot, a ||cos| - |sin|| at its top, its area
    a^2.
    """
    side, pixel, columns = 2.0, 0.7, 9
    geometry = ParallelBeam([angle], FlatDetector(columns, pixel, offset=0.13))
    foot, top = (side * abs(abs(math.cos(angle)) + sign * abs(math.sin(angle))) / 2 for sign in (1, -1))

    def area_below(x: float) -> float:
        x, height = max(-foot, min(foot, x)), side * side / (foot + top)
        slope = height / (foot - top) if foot > top else 0.0
        left = min(x, -top)
        total = slope * (left + foot) ** 2 / 2
        total += height * (min(max(x, -top), top) + top)
        right = max(x, top) - top
        return total + height * right - slope * right**2 / 2

    places = [(i - (columns - 1) / 2) * pixel + 0.13 for i in range(columns)]
    expected = [(area_below(p + pixel / 2) - area_below(p - pixel / 2)) / pixel for p in places]
    actual = XRayTransform(geometry, Grid((1, 1), side), model="footprint")(torch.ones(1, 1, dtype=torch.float64))
    assert actual.sum() == pytest.approx(side * side / pixel)
    assert actual[0].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("columns", [96, 24, 12, 3])
def test_mass_arrives_whatever_the_pixels(columns: int) -> None:
    """The sum over a parallel view times the pixels' area is the volume's mass: nothing falls between pixels."""
    geometry = ParallelBeam([0.2, 1.1], FlatDetector((columns, columns), 48 / columns))
    volume = torch.rand(12, 11, 10, dtype=torch.float64)
    actual = XRayTransform(geometry, Grid((12, 11, 10), (0.9, 1.2, 1.1)), model="footprint")(volume)
    mass = volume.sum() * 0.9 * 1.2 * 1.1
    assert (actual.sum((1, 2)) * (48 / columns) ** 2).tolist() == pytest.approx([float(mass)] * 2)


@pytest.mark.parametrize(
    "geometry",
    [
        FanBeam.circular(**CIRCLE, angles=full_scan(3, start=0.2), detector=FlatDetector(10, 6.0)),
        FanBeam.circular(**CIRCLE, angles=full_scan(3, start=0.2), detector=CurvedDetector(10, 6.0)),
        ConeBeam.circular(**CIRCLE, angles=full_scan(3, start=0.2), detector=FlatDetector((10, 10), 6.0)),
    ],
    ids=["fan", "fan, curved", "cone"],
)
def test_mean_over_a_pixel_of_thin_rays(geometry: Geometry) -> None:
    """Rays to 24 points across each pixel through fine boxes: Joseph's method on voxels repeated four times."""
    shape = (16,) * geometry.ndim
    volume = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = _fine_means(geometry, volume)
    actual = XRayTransform(geometry, Grid(shape, 2.5), model="footprint")(volume)
    assert distance(actual, expected) < 0.004
    assert distance(XRayTransform(geometry, Grid(shape, 2.5))(volume), expected) > 0.01


def _fine_means(geometry: Geometry, volume: Tensor, fine: int = 8, repeats: int = 4) -> Tensor:
    detector, ndim = geometry.detector, geometry.ndim
    kind = type(detector)
    if ndim == 2:
        many = kind(detector.columns * fine, detector.spacing[-1] / fine)
        made: Geometry = FanBeam.circular(**CIRCLE, angles=full_scan(3, start=0.2), detector=many)
    else:
        many = kind(tuple(n * fine for n in detector.shape), detector.spacing[-1] / fine)
        made = ConeBeam.circular(**CIRCLE, angles=full_scan(3, start=0.2), detector=many)
    for axis in range(ndim):
        volume = volume.repeat_interleave(repeats, axis)
    rays = XRayTransform(made, Grid(tuple(volume.shape), 2.5 / repeats))(volume)
    if ndim == 2:
        return rays.unflatten(1, (-1, fine)).mean(2)
    return rays.unflatten(2, (-1, fine)).unflatten(1, (-1, fine)).mean((2, 4))


def test_slabs() -> None:
    """Boxes fit together wherever a volume is cut."""
    geometry = ConeBeam.circular(**CIRCLE, angles=full_scan(3, start=0.2), detector=FlatDetector((9, 10), 5.0))
    operator = XRayTransform(geometry, Grid((12, 9, 10), 2.0), model="footprint")
    x = torch.rand(12, 9, 10, dtype=torch.float64)
    pieces = InSlabs(operator, device="cpu", memory=20_000)
    assert len(pieces.plan(8).slabs) > 1
    assert distance(pieces(x), operator(x)) <= 1e-12


@pytest.mark.parametrize("turn", [{"tilt": 0.1}, {"in_plane_rotation": 0.1}])
def test_turned_detectors_are_refused(turn: dict[str, float]) -> None:
    geometry = ConeBeam.circular(**CIRCLE, angles=full_scan(3), detector=FlatDetector((9, 10), 5.0), **turn)
    with pytest.raises(
        RuntimeError, match=r"model: 'footprint' takes detectors whose rows run parallel to z.*'joseph'"
    ):
        XRayTransform(geometry, Grid((6, 6, 6)), model="footprint")


def test_pixels_too_wide_are_refused() -> None:
    geometry = FanBeam.circular(**CIRCLE, angles=full_scan(3), detector=FlatDetector(2, 130.0))
    with pytest.raises(ValueError, match=r"model: 'footprint' takes pixels up to .* mm wide .* got 130 mm in view"):
        XRayTransform(geometry, Grid((6, 6)), model="footprint")


def test_an_unknown_model_is_refused() -> None:
    geometry = ParallelBeam([0.0], FlatDetector(4, 1.0))
    with pytest.raises(ValueError, match=r"model: expected one of joseph, footprint, got 'siddon'"):
        XRayTransform(geometry, Grid((4, 4)), model="siddon")


def test_gradients_to_geometry_are_refused() -> None:
    geometry = FanBeam.circular(**CIRCLE, angles=full_scan(3), detector=FlatDetector(8, 2.0))
    moving = LearnedGeometry(geometry, learn=("axis_offset",))()
    operator = XRayTransform(moving, Grid((4, 4)), model="footprint")
    with pytest.raises(RuntimeError, match=r"model: 'footprint' has no gradients to geometry"):
        operator(torch.ones(4, 4))


def test_on_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "runs_on_gpu", lambda tensor: True)
    operator = XRayTransform(ParallelBeam([0.0], FlatDetector(4, 1.0)), Grid((4, 4)), model="footprint")
    with pytest.raises(ValueError, match=r"model: 'footprint' is computed on the CPU"):
        operator(torch.ones(4, 4))
