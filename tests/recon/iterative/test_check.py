"""`check`, and warnings of unmatched pairs. Truth: operators made wrong on purpose, in a known way."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

import sinograd as sg
from recon.iterative.small import as_operator, matrix
from sinograd.ops import FunctionOperator
from sinograd.recon import OperatorCheck, UnmatchedPairWarning, cgls, check, sirt

CIRCLE: dict[str, Any] = dict(source_to_origin=100, source_to_detector=150, angles=sg.full_scan(16))
GRID = sg.Grid((18, 20, 22), 1.0, (1.0, -2.0, 0.5))
CONE = sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((38, 50), 1.0))
OPERATOR = sg.XRayTransform(CONE, GRID)


def claimed(operator: Any, back: Any = None) -> OperatorCheck:
    """The check of an operator that claims to be OPERATOR."""
    wrapped = FunctionOperator(operator, operator.T if back is None else back, GRID.shape, CONE.projection_shape)
    return check(wrapped, CONE, GRID)


@pytest.mark.parametrize(
    ("geometry", "grid"),
    [
        (CONE, GRID),
        (sg.ConeBeam.circular(**CIRCLE, detector=sg.CurvedDetector((38, 50), 1.0)), GRID),
        (sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((38, 50), 1.0), tilt=0.05), GRID),
        (sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((38, 50), 1.0, (1.0, -9.0))), GRID),
        (sg.ParallelBeam(sg.full_scan(16), sg.FlatDetector((30, 40), 0.8)), GRID),
        (sg.FanBeam.circular(**CIRCLE, detector=sg.FlatDetector(60, 1.0)), sg.Grid((30, 24), (0.8, 1.0), (2.0, 1.0))),
        (sg.FanBeam.circular(**CIRCLE, detector=sg.FlatDetector(60, 1.0))[:4], sg.Grid((30, 24), 1.0)),
        (sg.ParallelBeam(sg.full_scan(16), sg.FlatDetector(40, 0.8)), sg.Grid((24, 24), 1.0)),
    ],
    ids=["cone", "curved", "tilted", "half fan", "parallel 3-D", "fan", "few views", "parallel"],
)
def test_our_own_are_right(geometry: sg.Geometry, grid: sg.Grid) -> None:
    found = check(sg.XRayTransform(geometry, grid))
    assert found.ok and found.matched and found.scaled and found.centred, str(found)
    assert found.mismatch < 3e-6 and found.error is not None and found.error < 0.02
    assert str(found).startswith("matched: ")
    exact = check(sg.XRayTransform(geometry, grid), dtype=torch.float64)
    assert exact.mismatch < 1e-12 and exact.adjoint_scale == pytest.approx(1, abs=1e-12)


def test_an_unmatched_pair() -> None:
    found = claimed(OPERATOR, lambda p: 2 * sg.Backprojection(CONE, GRID)(p))
    assert not found.matched and not found.ok and found.scaled and found.centred
    assert found.mismatch > 0.1
    ones = torch.ones
    scale = 2 * sg.Backprojection(CONE, GRID)(ones(CONE.projection_shape)).sum() / OPERATOR(ones(GRID.shape)).sum()
    assert found.adjoint_scale == pytest.approx(scale.item(), rel=1e-4)
    assert "NOT MATCHED" in str(found) and f"{scale.item():.3g}" in str(found)


def test_another_unit() -> None:
    found = claimed(lambda x: OPERATOR(x) / 1.5, lambda y: OPERATOR.T(y) / 1.5)
    assert found.matched and not found.scaled and found.centred
    assert found.scale == pytest.approx(1 / 1.5, rel=2e-3)
    assert "NOT SCALED: line integrals times 0.66" in str(found)


def test_half_a_voxel_and_half_a_column() -> None:
    moved = sg.XRayTransform(CONE, sg.Grid(GRID.shape, 1.0, (1.5, -2.0, 0.25)))
    found = claimed(moved)
    assert found.matched and found.scaled and not found.centred and found.shift is not None
    assert found.shift == pytest.approx((-0.25, 0.0, 0.5), abs=0.05)
    assert "NOT CENTRED: off by -0.2" in str(found)
    detector = sg.FlatDetector((38, 50), 1.0, (0.0, 0.5))
    found = claimed(sg.XRayTransform(sg.ConeBeam.circular(**CIRCLE, detector=detector), GRID))
    assert found.column_shift == pytest.approx(0.5, abs=0.05)
    assert found.shift == pytest.approx((0, 0, 0), abs=0.03) and not found.centred


def test_axes_that_run_the_other_way() -> None:
    for axis, name in ((-3, "z"), (-2, "y"), (-1, "x")):
        found = claimed(lambda x, a=axis: OPERATOR(x.flip(a)), lambda y, a=axis: OPERATOR.T(y).flip(a))
        assert found.flipped == f"the image's {name}" and found.matched and not found.ok
        assert f"the other way round: the image's {name}" in str(found)
    for axis, name in ((-2, "rows"), (-1, "columns")):
        found = claimed(lambda x, a=axis: OPERATOR(x).flip(a), lambda y, a=axis: OPERATOR.T(y.flip(a)))
        # turning columns over turns a full scan's x and y over as well, up to the order of the views
        assert found.flipped == f"the detector's {name}" and not found.centred


def test_another_geometry() -> None:
    near = sg.ConeBeam.circular(**{**CIRCLE, "source_to_origin": 80}, detector=CONE.detector)
    found = claimed(sg.XRayTransform(near, GRID))
    assert found.matched and not found.ok and not found.scaled and not found.centred and not found.flipped
    assert "NOT THIS GEOMETRY: projections of a blob are off by" in str(found)


def test_what_cannot_be_checked_is_said() -> None:
    assert check(as_operator(matrix())).why_not == "no geometry and grid to hold it against"
    small = check(sg.XRayTransform(CONE, sg.Grid((4, 20, 20), 1.0)))
    assert small.ok and small.scaled is None and "fewer than 16 voxels" in str(small)
    adjoint = check(OPERATOR.T, CONE, GRID)
    assert adjoint.matched and adjoint.scale is None and "does not map images" in str(adjoint)
    high = sg.ConeBeam.circular(**CIRCLE, detector=sg.FlatDetector((4, 50), 1.0, (500.0, 0.0)))
    unseen = check(sg.XRayTransform(high, GRID))
    assert unseen.why_not == "no ray meets the middle of the grid" and unseen.matched

    class Nameless:
        def __call__(self, x: Tensor) -> Tensor:
            return x

        T = staticmethod(lambda y: y)

    with pytest.raises(ValueError, match="tells neither domain_shape"):
        check(Nameless())


def test_operators_of_numpy_arrays() -> None:
    """As other toolkits have them; here a matrix of ours."""
    fan = sg.FanBeam.circular(**CIRCLE, detector=sg.FlatDetector(40, 1.5))
    grid = sg.Grid((16, 16), 2.0)
    ours = sg.XRayTransform(fan, grid)
    m = ours(torch.eye(256).reshape(256, 16, 16)).reshape(256, -1).T.numpy()
    operator = FunctionOperator(
        lambda x: (m @ x.ravel()).reshape(16, 40),
        lambda y: (m.T @ y.ravel()).reshape(16, 16),
        grid.shape,
        fan.projection_shape,
        numpy=True,
    )
    assert check(operator, fan, grid).ok


def test_unmatched_pairs_warn_once_measured() -> None:
    m = matrix(24, 10, signs=False)
    calls = 0

    def back(y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return 1.1 * m.T @ y

    operator = FunctionOperator(lambda x: m @ x, back, (10,), (24,))
    p = torch.ones(24, dtype=torch.float64)
    with pytest.warns(UnmatchedPairWarning, match=r"FunctionOperator\.T is not the adjoint: .* is 0\.\d+ of"):
        cgls(operator, p, iterations=0)
    before = calls
    with pytest.warns(UnmatchedPairWarning):
        cgls(operator, p, iterations=0)
    assert calls - before == 1  # of the algorithm itself
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sirt(as_operator(m), p, iterations=1)


def test_text_of_numbers_that_are_none() -> None:
    assert math.isclose(OperatorCheck(1e-7, 1.0, why_not="x").adjoint_scale, 1.0)
    assert OperatorCheck(1e-7, 1.0, why_not="x").ok
