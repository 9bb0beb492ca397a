"""Gradients of operators to the vectors of the views, against central differences of the operators themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.ops import InSlabs

ANGLES = torch.arange(3) * 2.1 + 0.3
STEP = 1e-6


def cone(detector: sg.Detector, **displaced: float) -> sg.ConeBeam:
    return sg.ConeBeam.circular(
        source_to_origin=30.0,
        source_to_detector=45.0,
        angles=ANGLES,
        detector=detector,
        axis_offset=0.3,
        **displaced,
    )


FLAT, FOCUSED, ROUND = (
    sg.FlatDetector((6, 7), (1.1, 0.9)),
    sg.CurvedDetector((6, 7), (1.1, 0.9)),
    sg.CurvedDetector((6, 7), (1.1, 0.9), radius=70.0),
)
TURNED = {"tilt": 0.2, "in_plane_rotation": 0.1, "yaw": -0.1}
SCANS: dict[str, sg.Geometry] = {
    "cone": cone(FLAT),
    "cone, turned": cone(FLAT, **TURNED),
    "cone, steep": sg.ConeBeam.circular(
        source_to_origin=6.0, source_to_detector=9.0, angles=ANGLES, detector=sg.FlatDetector((9, 3), (3.0, 0.9))
    ),
    "curved cone": cone(FOCUSED),
    "curved cone, turned": cone(FOCUSED, **TURNED),
    "curved cone, other centre": cone(ROUND),
    "curved cone, other centre, turned": cone(ROUND, **TURNED),
    "parallel": sg.ParallelBeam(angles=ANGLES, detector=FLAT),
    "parallel, tilted": sg.ParallelBeam(angles=ANGLES, detector=FLAT, tilt=0.3),
    "parallel, 2-D": sg.ParallelBeam(angles=ANGLES, detector=sg.FlatDetector(9, 0.9)),
    "fan": sg.FanBeam.circular(
        source_to_origin=30.0, source_to_detector=45.0, angles=ANGLES, detector=sg.FlatDetector(9, 0.9)
    ),
    "curved fan": sg.FanBeam.circular(
        source_to_origin=30.0, source_to_detector=45.0, angles=ANGLES, detector=sg.CurvedDetector(9, 0.9)
    ),
}
OPERATORS = [
    (scan, weighting)
    for scan, geometry in SCANS.items()
    for weighting in ("joseph", "none", "fdk", "fan", "ratio")
    if geometry.divergent or weighting in ("joseph", "none")
    if scan != "cone, steep" or weighting == "joseph"
]


def grid_of(geometry: sg.Geometry) -> sg.Grid:
    return sg.Grid((5, 6, 7)[-geometry.ndim :], 0.8, (0.13, -0.21, 0.17)[: geometry.ndim])


def operator(geometry: sg.Geometry, kind: str) -> sg.XRayTransform | sg.Backprojection:
    grid = grid_of(geometry)
    return sg.XRayTransform(geometry, grid) if kind == "joseph" else sg.Backprojection(geometry, grid, kind)


def drawn(A: sg.LinearOperator, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    x, y = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in (A.domain_shape, A.range_shape))
    return x.to(dtype), y.to(dtype)


def moves(geometry: sg.Geometry) -> Tensor:
    """Which numbers of the vectors may move: 2-D scans stay in their plane."""
    mask = torch.ones_like(geometry.vectors, dtype=torch.bool)
    if geometry.ndim == 2:
        mask[..., 2] = mask[:, 3] = False
    return mask


def differences(geometry: sg.Geometry, kind: str) -> Tensor:
    """Central differences of <y, A x> to every number of the vectors."""
    x, y = drawn(operator(geometry, kind))
    vectors, result = geometry.vectors, torch.zeros_like(geometry.vectors)
    for place in moves(geometry).nonzero().tolist():
        ends = []
        for step in (STEP, -STEP):
            moved = vectors.clone()
            moved[tuple(place)] += step
            ends.append(float((operator(geometry.at(moved), kind)(x) * y).sum()))
        result[tuple(place)] = (ends[0] - ends[1]) / (2 * STEP)
    return result


def gradient(geometry: sg.Geometry, kind: str, adjoint: bool = False, dtype: torch.dtype = torch.float64) -> Tensor:
    x, y = drawn(operator(geometry, kind), dtype)
    vectors = geometry.vectors.requires_grad_()
    A = operator(geometry.at(vectors), kind)
    ((A.T(y) * x).sum() if adjoint else (A(x) * y).sum()).backward()
    assert vectors.grad is not None
    return vectors.grad.masked_fill(~moves(geometry), 0.0)


@pytest.mark.parametrize(("scan", "kind"), OPERATORS)
def test_gradients_are_the_operators_differences(scan: str, kind: str) -> None:
    """To what aligned and general kernels differ by near their limit; the adjoint's are the same bits."""
    geometry = SCANS[scan]
    expected, got = differences(geometry, kind), gradient(geometry, kind)
    assert float((got - expected).abs().max()) <= 2e-6 * float(expected.abs().max())
    assert torch.equal(gradient(geometry, kind, adjoint=True), got)


@pytest.mark.parametrize(("scan", "kind"), OPERATORS)
def test_single_precision(scan: str, kind: str) -> None:
    geometry = SCANS[scan]
    expected, got = gradient(geometry, kind), gradient(geometry, kind, dtype=torch.float32)
    assert got.dtype == torch.float64
    assert float((got - expected).abs().max()) <= 2e-5 * float(expected.abs().max())


@pytest.mark.parametrize("kind", ["joseph", "none", "fdk", "fan", "ratio"])
@pytest.mark.parametrize("turned", [{}, {"tilt": 0.02, "in_plane_rotation": 0.03}, {"in_plane_rotation": 1.5}], ids=str)
def test_vector_loops(turned: dict[str, float], kind: str) -> None:
    """Of tall volumes and long lines in float32, against the plain loops of float64; weights of all signs and zeros."""
    geometry = cone(sg.FlatDetector((50, 40), (0.4, 0.5)), **turned)
    grid = sg.Grid((53, 9, 21), 0.3, (0.13, -0.21, 0.17))
    A = sg.XRayTransform(geometry, grid) if kind == "joseph" else sg.Backprojection(geometry, grid, kind)
    x, y = drawn(A)
    x, y = x * (x > -0.5), y * (y > -0.5)
    results = []
    for dtype in (torch.float64, torch.float32):
        vectors = geometry.vectors.requires_grad_()
        moved = geometry.at(vectors)
        A = sg.XRayTransform(moved, grid) if kind == "joseph" else sg.Backprojection(moved, grid, kind)
        results += torch.autograd.grad((A(x.to(dtype)) * y.to(dtype)).sum(), vectors)
    assert float((results[1] - results[0]).abs().max()) <= 2e-6 * float(results[0].abs().max())


@pytest.mark.parametrize("kind", ["joseph", "fdk"])
@pytest.mark.parametrize("scan", ["cone", "cone, turned", "fan"])
def test_instruction_sets_agree(scan: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sinograd import _native

    expected = gradient(SCANS[scan], kind)
    for name in _native.instruction_sets():
        monkeypatch.setenv("SINOGRAD_SIMD", name)
        got = gradient(SCANS[scan], kind)
        assert float((got - expected).abs().max()) <= 1e-12 * float(expected.abs().max()), name


@pytest.mark.parametrize("kind", ["joseph", "fdk"])
def test_batches_and_views(kind: str) -> None:
    """A batch adds up; a selection of views gets the gradients of its views; numbers of a view repeat to the bit."""
    geometry = SCANS["cone"]
    vectors = geometry.vectors.requires_grad_()
    A = operator(geometry.at(vectors), kind)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn((2, 3, *A.domain_shape), dtype=torch.float64, generator=generator)
    y = torch.randn((2, 3, *A.range_shape), dtype=torch.float64, generator=generator)
    (whole,) = torch.autograd.grad((A(x) * y).sum(), vectors)
    parts = [torch.autograd.grad((A(x[i, j]) * y[i, j]).sum(), vectors)[0] for i in range(2) for j in range(3)]
    torch.testing.assert_close(whole, torch.stack(parts).sum(0), rtol=1e-12, atol=1e-12)
    turned = x[0, 0].transpose(-1, -2).contiguous().transpose(-1, -2)  # not contiguous
    (again,) = torch.autograd.grad((A(turned) * y[0, 0]).sum(), vectors)
    assert torch.equal(again, parts[0])
    if kind == "joseph":
        (some,) = torch.autograd.grad((operator(geometry.at(vectors)[1:], kind)(x[0, 0]) * y[0, 0, 1:]).sum(), vectors)
        assert not some[0].any() and torch.equal(some[1:], parts[0][1:])


def test_mixed_second_derivatives() -> None:
    """Of a function of x and vectors: first to x, then to the vectors, as in learning through a gradient step."""
    geometry = SCANS["cone, turned"]
    A0 = operator(geometry, "joseph")
    x, y = drawn(A0)
    w = torch.randn(A0.domain_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def step(vectors: Tensor) -> Tensor:
        A = operator(geometry.at(vectors), "joseph")
        variable = x.clone().requires_grad_()
        (down,) = torch.autograd.grad(0.5 * (A(variable) - y).square().sum(), variable, create_graph=True)
        return (down * w).sum()

    vectors = geometry.vectors.requires_grad_()
    (got,) = torch.autograd.grad(step(vectors), vectors)
    direction = torch.randn(vectors.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ends = [float(step(geometry.vectors + sign * STEP * direction).detach()) for sign in (1, -1)]
    assert (
        abs(float((got * direction).sum()) - (ends[0] - ends[1]) / (2 * STEP)) <= 1e-5 * abs(ends[0] - ends[1]) / STEP
    )


def test_nothing_changes_without_gradients() -> None:
    geometry = SCANS["cone"]
    A, B = operator(geometry, "joseph"), operator(geometry.at(geometry.vectors), "joseph")
    x, _ = drawn(A)
    assert torch.equal(A(x), B(x))
    assert B.geometry.followed_vectors is None


def test_what_has_no_derivative_says_so() -> None:
    geometry = SCANS["cone"]
    vectors = geometry.vectors.requires_grad_()
    A = operator(geometry.at(vectors), "joseph")
    x, y = drawn(A)
    (first,) = torch.autograd.grad((A(x.requires_grad_()) * y).sum(), vectors, create_graph=True)
    with pytest.raises(sg.errors.UnsupportedError, match="gradients to geometry: expected one derivative"):
        first.sum().backward()
    with pytest.raises(sg.errors.UnsupportedError, match=r"got some of torch\.func"):
        torch.func.jvp(A, (x.detach(),), (x.detach(),))
    with pytest.raises(sg.errors.UnsupportedError, match="InSlabs passes no gradients"):
        InSlabs(A, "cpu", memory=1 << 20)
