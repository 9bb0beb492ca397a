"""Adjointness and the agreement of both paths over geometries that nobody thought of."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sinograd import Backprojection, ConeBeam, CurvedDetector, FanBeam, FlatDetector, Geometry, Grid, ParallelBeam
from sinograd.errors import InputError
from sinograd.ops import backproject, joseph
from sinograd.ops.kernel_views import is_axial
from sinograd.ops.xray_transform import XRayTransform
from sinograd.testing.operator_contract import noise

angle = st.floats(-4.0, 4.0)
counts = st.integers(1, 7)


def about(middle: float) -> st.SearchStrategy[float]:
    return st.floats(middle / 4, middle * 4)


def small(limit: float) -> st.SearchStrategy[float]:
    return st.one_of(st.just(0.0), st.floats(-limit, limit))


@st.composite
def detectors(draw: Any, ndim: int, curved: bool) -> FlatDetector | CurvedDetector:
    kind = CurvedDetector if curved else FlatDetector
    if ndim == 2:
        return kind(draw(counts), draw(about(1.5)), offset=draw(small(3.0)))
    shape, spacing = (draw(counts), draw(counts)), (draw(about(1.5)), draw(about(1.5)))
    return kind(shape, spacing, offset=(draw(small(3.0)), draw(small(3.0))))


@st.composite
def scans(draw: Any) -> tuple[Geometry, Grid]:
    ndim = draw(st.sampled_from((2, 3)))
    divergent = draw(st.booleans())
    curved = divergent and draw(st.booleans())
    detector = draw(detectors(ndim, curved))
    options: dict[str, Any] = {"angles": draw(st.lists(angle, min_size=1, max_size=3)), "detector": detector}
    options["axis_offset"] = draw(small(3.0))
    if ndim == 3 and draw(st.booleans()):
        options |= {"tilt": draw(small(1.0)), "in_plane_rotation": draw(small(3.2))}
    if divergent:
        to_origin = draw(st.floats(20, 100))
        options |= {"source_to_origin": to_origin, "source_to_detector": draw(st.floats(to_origin, 150))}
        offset = draw(small(3.0))
        options["source_offset"] = offset if ndim == 2 else (draw(small(3.0)), offset)
    if divergent and ndim == 3:
        options["yaw"] = draw(small(0.5))
    make = (FanBeam.circular if ndim == 2 else ConeBeam.circular) if divergent else ParallelBeam
    shape = tuple(draw(counts) for _ in range(ndim))
    spacing = tuple(draw(about(0.8)) for _ in range(ndim))
    center = tuple(draw(small(2.0)) for _ in range(ndim))
    return make(**options), Grid(shape, spacing, center)


def footprint(geometry: Geometry, grid: Grid) -> list[XRayTransform]:
    """The pair of footprints, where it takes the scan: no tilt, no pixels that are too wide so near to the source."""
    if geometry.ndim == 3 and not is_axial(geometry.vectors, geometry.divergent, geometry.detector.shape):
        return []
    try:
        return [XRayTransform(geometry, grid, model="footprint")]
    except InputError as error:
        assert "takes pixels up to" in str(error)
        return []


@settings(max_examples=100)
@given(scan=scans(), weighting=st.sampled_from(("none", "fan", "fdk")), seed=st.integers(0, 99))
def test_adjoint(scan: tuple[Geometry, Grid], weighting: str, seed: int) -> None:
    """To rounding: sums of so few products lose nothing, and where nothing is seen both sides are zero.

    A footprint that just touches a pixel is the small difference of large numbers.
    """
    geometry, grid = scan
    for operator in (
        XRayTransform(geometry, grid),
        Backprojection(geometry, grid, weighting if geometry.divergent else "none"),
        *footprint(geometry, grid),
    ):
        x = noise(operator.domain_shape, seed, torch.float64, torch.device("cpu"))
        y = noise(operator.range_shape, seed + 100, torch.float64, torch.device("cpu"))
        forward, backward = operator(x), operator.T(y)
        size = (operator(x.abs()) * y.abs()).sum()
        assert torch.isfinite(forward).all()
        most = 1e-13 if isinstance(operator, XRayTransform) and operator.model == "footprint" else 1e-14
        assert ((forward * y).sum() - (x * backward).sum()).abs() <= most * size


@settings(max_examples=100)
@given(scan=scans(), seed=st.integers(0, 99))
def test_paths(scan: tuple[Geometry, Grid], seed: int) -> None:
    geometry, grid = scan
    assume(geometry.ndim == 3 and is_axial(geometry.vectors, geometry.divergent, geometry.detector.shape))
    beam, place = (geometry.vectors, geometry.divergent), (grid.spacing, grid.center)
    x = noise(grid.shape, seed, torch.float64, torch.device("cpu"))
    # what leans a little is taken for upright (`is_axial`): then both differ by as much
    u, v = geometry.vectors[:, 2], geometry.vectors[:, 3]
    lean = max((v[:, :2].norm(dim=1) / v.norm(dim=1)).max().item(), (u[:, 2].abs() / u.norm(dim=1)).max().item())
    most = 1e-10 + 10 * lean
    axial, general = (joseph(x, *beam, geometry.detector.shape, *place, path) for path in ("axial", "general"))
    assert (axial - general).norm() <= most * joseph(x.abs(), *beam, geometry.detector.shape, *place).norm()
    for weighting in ("none", "fan", "fdk") if geometry.divergent else ("none",):
        y = noise(geometry.projection_shape, seed, torch.float64, torch.device("cpu"))
        axial, general = (backproject(y, *beam, grid.shape, *place, weighting, path) for path in ("axial", "general"))
        assert (axial - general).norm() <= most * backproject(y.abs(), *beam, grid.shape, *place, weighting).norm()
