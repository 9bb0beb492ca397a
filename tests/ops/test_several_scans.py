"""`sg.stack`. Truth: each scan by itself, and one geometry with the views of all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from sinograd.ops import FunctionOperator, Stack
from sinograd.testing.operator_contract import OperatorContract

LABELS = {
    "case": ("fan, curved", "parallel 2-D", "cone", "cone, tilted", "large cone"),
    "tiny_case": ("parallel 2-D", "fan, curved", "cone", "cone, tilted"),
    "large_case": ("fan", "cone"),
}


class TestStack(OperatorContract):
    """Three scans, the second one with fewer columns and rows than the others."""

    domain, range = "volume", "projections"
    labels = LABELS

    def make(self, case: Any) -> Stack:
        geometry, grid = case
        rows = None if geometry.ndim == 2 else (1, geometry.rows)
        part = sg.detector_region(geometry[:1], rows=rows, columns=(0, geometry.columns - 1))
        return sg.stack([sg.XRayTransform(scan, grid) for scan in (geometry, part, geometry[1:])])

    def reference(self, operator: Stack, x: Tensor) -> Tensor:
        expected = x.new_zeros(operator.range_shape)
        first = 0
        for part in operator.parts:
            result = part(x)
            expected[(slice(first, first + len(result)), *map(slice, result.shape[1:]))] = result
            first += len(result)
        assert first == operator.range_shape[0]
        return expected


CIRCLE: dict[str, Any] = dict(source_to_origin=60.0, source_to_detector=90.0)
GRID = sg.Grid((5, 8, 9), 1.2)
WIDE, NARROW = sg.FlatDetector((6, 14), 1.5), sg.FlatDetector((4, 11), 1.5)
FIRST = sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(10), detector=WIDE)
SECOND = sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(7, 0.2), detector=WIDE, tilt=0.2)
SMALL = sg.ConeBeam.circular(**CIRCLE, angles=sg.full_scan(7, 0.2), detector=NARROW)


def stacked(*geometries: sg.Geometry) -> Stack:
    return sg.stack([sg.XRayTransform(geometry, GRID) for geometry in geometries])


def scan_of_all() -> tuple[Stack, sg.XRayTransform, Tensor, Tensor]:
    """A stack, its scans as one geometry, an image and its noisy projections."""
    both = stacked(FIRST, SECOND)
    whole = sg.XRayTransform(sg.concatenate([FIRST, SECOND]), GRID)
    image = torch.rand(GRID.shape, dtype=torch.float64)
    projections = whole(image)
    return both, whole, image, projections + 0.02 * torch.randn_like(projections) * projections.mean()


def test_scans_with_one_detector_are_one_geometry() -> None:
    both, whole, image, projections = scan_of_all()
    assert both.range_shape == whole.range_shape and both.grid == GRID
    torch.testing.assert_close(both(image), whole(image), rtol=0, atol=1e-9)
    torch.testing.assert_close(both.T(projections), whole.T(projections), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("cgls", {"iterations": 6}),
        ("lsqr", {"iterations": 6}),
        ("sirt", {"iterations": 4}),
        ("sart", {"iterations": 2}),
        ("os_sart", {"iterations": 3, "subsets": 4}),
        ("os_sart", {"iterations": 2, "subsets": [[16, 0, 3], [1, 2, 9, 10, 4], [15, 5, 14, 6, 13, 7, 12, 8, 11]]}),
        ("fista_tv", {"iterations": 4, "regularization": 0.01}),
        ("chambolle_pock", {"iterations": 4, "misfit": 0.05}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_algorithm_takes_a_stack(algorithm: str, options: dict[str, Any]) -> None:
    both, whole, _, projections = scan_of_all()
    run = getattr(sg.recon, algorithm)
    actual, expected = run(both, projections, **options).image, run(whole, projections, **options).image
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-7 * float(expected.abs().max()))


@pytest.mark.filterwarnings("ignore::sinograd.errors.GridWarning")
def test_rays_that_are_not_there_count_for_nothing() -> None:
    """Detectors of two sizes are two large ones on which the missing elements weigh nothing."""
    small = sg.detector_region(FIRST, rows=(0, 4), columns=(0, 11))
    both = stacked(FIRST, small)
    whole = sg.XRayTransform(sg.concatenate([FIRST, FIRST]), GRID)
    projections = torch.rand(20, 6, 14, dtype=torch.float64)
    weights = torch.ones_like(projections)
    weights[10:, 4:] = weights[10:, :, 11:] = 0
    data = both.join([projections[:10], projections[10:, :4, :11]])
    assert torch.equal(data, projections * weights)
    for run in (sg.recon.cgls, sg.recon.sirt, sg.recon.os_sart):
        options = {"subsets": 5} if run is sg.recon.os_sart else {}
        actual = run(both, data, iterations=4, **options).image
        expected = run(whole, projections, weights=weights, iterations=4, **options).image
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_join_and_split(batch: tuple[int, ...]) -> None:
    both = stacked(FIRST, SMALL)
    assert both.range_shape == (17, 6, 14)
    scans = [torch.rand(*batch, *geometry.projection_shape) for geometry in (FIRST, SMALL)]
    joined = both.join(scans)
    assert joined.shape == (*batch, 17, 6, 14)
    assert all(torch.equal(one, other) for one, other in zip(both.split(joined), scans, strict=True))
    assert joined.count_nonzero() == sum(scan.count_nonzero() for scan in scans)
    image = torch.rand(*batch, *GRID.shape)
    results = [sg.XRayTransform(geometry, GRID)(image) for geometry in (FIRST, SMALL)]
    assert torch.equal(both(image), both.join(results))


@pytest.mark.parametrize(
    "views", [[0, 2, 16], slice(None, None, 3), [12, 1, 0, 11, 3], [4, 5], [-1], range(10)], ids=str
)
def test_some_views(views: Any) -> None:
    both = stacked(FIRST, SMALL)
    image = torch.rand(GRID.shape, dtype=torch.float64)
    index = list(views) if isinstance(views, range) else views
    torch.testing.assert_close(both.subset(views)(image), both(image)[index], rtol=0, atol=1e-9)
    with pytest.raises(IndexError, match="view 17 is out of range for 17 views"):
        both.subset([17])


def test_matrices_are_stacked_by_rows() -> None:
    def operator(matrix: Tensor) -> FunctionOperator:
        return FunctionOperator(lambda x: matrix @ x, lambda y: matrix.T @ y, matrix.shape[1:], matrix.shape[:1])

    a, b = torch.randn(3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    both, rows = sg.stack([operator(a), operator(b)]), torch.cat([a, b])
    x, y = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 8, dtype=torch.float64)
    torch.testing.assert_close(both(x), x @ rows.T)
    torch.testing.assert_close(both.T(y), y @ rows)
    assert not both.exact_adjoint and both.grid is None


def test_of_combinations() -> None:
    """Scans of different weights, one stack within another, and one scan alone."""
    A, B = sg.XRayTransform(FIRST, GRID), sg.XRayTransform(SMALL, GRID)
    image = torch.rand(GRID.shape, dtype=torch.float64)
    nested = sg.stack([sg.stack([2 * A, B]), A])
    assert nested.range_shape == (27, 6, 14) and nested.exact_adjoint and nested.grid == GRID
    torch.testing.assert_close(nested(image)[:10], 2 * A(image))
    torch.testing.assert_close(nested(image)[17:], A(image))
    assert torch.equal(sg.stack([A])(image), A(image))


@pytest.mark.parametrize("grid", [sg.Grid(GRID.shape, GRID.spacing, (0.5, 0.0, 0.0)), sg.Grid(GRID.shape, 3.0)])
def test_volumes_of_different_grids_do_not_add_up(grid: sg.Grid) -> None:
    """Grids of one shape: voxels of one index lie in different places."""
    A, B = sg.XRayTransform(FIRST, GRID), sg.XRayTransform(FIRST, grid)
    for make in (
        lambda: sg.stack([A, B]),
        lambda: sg.stack([sg.stack([A]), 2 * B]),
        lambda: A + B,
        lambda: A - 2 * B,
        lambda: A.T + B.T,
        lambda: A @ B.T,
        lambda: (A.T @ A) @ (B.T @ B),
        lambda: sum([A, A, B]),
    ):
        with pytest.raises(sg.errors.InputError, match=r"expected operators of one grid, got Grid"):
            make()
    image = torch.rand(GRID.shape, dtype=torch.float64)
    torch.testing.assert_close(sum([A, A])(image), 2 * A(image))  # type: ignore[operator]
    assert (A.T @ A + A.T @ A).volume_grids == (GRID, GRID) and (A @ A.T).volume_grids == (None, None)
    for other in (1, 0.5, "A", None):
        with pytest.raises(sg.errors.InputTypeError, match=r"A \+ B: expected two operators, got"):
            other + A  # type: ignore[operator]


def test_bad_input() -> None:
    A = sg.XRayTransform(FIRST, GRID)
    with pytest.raises(ValueError, match="operators: expected at least one"):
        sg.stack([])
    with pytest.raises(TypeError, match=r"operators\[1\]: expected an operator, got ConeBeam"):
        sg.stack([A, FIRST])  # type: ignore[list-item]
    with pytest.raises(
        ValueError, match=r"operators\[1\]: expected the domain_shape of operators\[0\], \(5, 8, 9\), got"
    ):
        sg.stack([A, sg.XRayTransform(FIRST, sg.Grid((5, 8, 8)))])
    flat = FunctionOperator(torch.flatten, lambda y: y.reshape(GRID.shape), GRID.shape, (5 * 8 * 9,))
    with pytest.raises(ValueError, match=r"operators\[1\]: expected a range_shape with as many axes .* got \(360,\)"):
        sg.stack([A, flat])
    both = stacked(FIRST, SMALL)
    with pytest.raises(ValueError, match="projections: expected 2 tensors, one a scan, got 1"):
        both.join([torch.zeros(10, 6, 14)])
    with pytest.raises(ValueError, match=r"\(7, 4, 11\) does not match projections \[7, 6, 14\]"):
        both.join([torch.zeros(10, 6, 14), torch.zeros(7, 6, 14)])
    with pytest.raises(ValueError, match=r"projections: expected \[\.\.\., 17, 6, 14\], got \[10, 6, 14\]"):
        both.T(torch.zeros(10, 6, 14))
