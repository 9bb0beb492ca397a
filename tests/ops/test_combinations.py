"""`A @ B`, `A + B`, `2 * A` and `.T`: the contract, and what numpy's matrices say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sinograd as sg
from sinograd.ops import Adjoint, Composition, FunctionOperator, LinearOperator, Multiple, Sum
from sinograd.testing.operator_contract import OperatorContract

LABELS = {
    "case": ("fan, curved", "parallel 2-D", "cone", "cone, tilted", "helix", "large cone"),
    "tiny_case": ("parallel 2-D", "fan, curved", "cone", "cone, tilted"),
    "large_case": ("fan", "cone"),
}


def moved(geometry: sg.Geometry) -> sg.Geometry:
    """Another scan with projections of the same shape."""
    return sg.shift_detector(geometry, 0.37 * geometry.detector.column_spacing)


class TestComposition(OperatorContract):
    """From volumes to volumes, with two operators that are not each other's adjoint."""

    domain, range = "volume", "volume"
    labels = LABELS

    def make(self, case: Any) -> Composition:
        return sg.Backprojection(*case) @ sg.XRayTransform(*case)

    def reference(self, operator: Composition, x: Tensor) -> Tensor:
        back, forward = operator.parts
        return back(forward(x))


class TestSum(OperatorContract):
    """Three terms: the order of additions is the same in adjoints and gradients."""

    domain, range = "volume", "projections"
    labels = LABELS

    def make(self, case: Any) -> Sum:
        first, second = sg.XRayTransform(*case), sg.XRayTransform(moved(case.geometry), case.grid)
        return first - 0.3 * second + sg.Backprojection(*case).T

    def reference(self, operator: Sum, x: Tensor) -> Tensor:
        first, second, third = operator.parts
        return first(x) - 0.3 * second.parts[0](x) + third(x)  # type: ignore[attr-defined]


class TestMultiple(OperatorContract):
    domain, range = "volume", "projections"
    labels = LABELS

    def make(self, case: Any) -> Multiple:
        return 1.7 * sg.XRayTransform(*case)

    def reference(self, operator: Multiple, x: Tensor) -> Tensor:
        return 1.7 * operator.parts[0](x)


class Matrix(LinearOperator):
    """Rows are views, each of its own weight; differentiable in its parameter."""

    def __init__(self, entries: Tensor) -> None:
        super().__init__(entries.shape[1:], entries.shape[:1])
        self.entries = nn.Parameter(entries)

    def subset(self, views: Any) -> Matrix:
        return Matrix(self.entries.detach()[views])

    def _apply_operator(self, x: Tensor) -> Tensor:
        return x @ self.entries.T

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        return y @ self.entries


def matrix(rows: int, columns: int) -> Matrix:
    return Matrix(torch.randn(rows, columns, dtype=torch.float64))


def entries_of(operator: LinearOperator) -> np.ndarray:
    """The matrix of an operator, column by column."""
    (columns,) = operator.domain_shape
    return operator(torch.eye(columns, dtype=torch.float64)).T.detach().numpy()


def check(operator: LinearOperator, expected: np.ndarray) -> None:
    """Operator and adjoint are this matrix and its transpose, twice transposed it is itself."""
    np.testing.assert_allclose(entries_of(operator), expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(entries_of(operator.T), expected.T, rtol=0, atol=1e-13)
    assert operator.T.T is operator or isinstance(operator, Adjoint)
    assert operator.exact_adjoint and operator.T.exact_adjoint


def test_numpy_matrices() -> None:
    a, b, c, d = matrix(5, 4), matrix(5, 4), matrix(4, 3), matrix(6, 5)
    A, B, C, D = (one.entries.detach().numpy() for one in (a, b, c, d))
    check(a @ c, A @ C)
    check(d @ a @ c, D @ A @ C)
    check(d @ (a @ c), D @ A @ C)
    check((a @ c).T, (A @ C).T)
    check(c.T @ a.T, C.T @ A.T)
    check(a.T @ b, A.T @ B)
    check(a + b, A + B)
    check(a - b, A - B)
    check(a + b - a, B)
    check(-a, -A)
    check((2 * a - b / 4) @ c + (b @ c).T.T, (2 * A - B / 4) @ C + B @ C)
    assert (2 * (3 * a)).factor == 6 and (2 * (3 * a)).parts == (a,)
    assert len((d @ a @ c).parts) == len((d @ (a @ c)).parts) == len((a + b + a).parts) == 3


@pytest.mark.parametrize(
    "factor",
    [2, -1.5, 0, Fraction(1, 4), np.float32(0.5), np.float64(3), np.int64(-2), np.array(1.25), torch.tensor(2.5),
     torch.tensor(3), torch.tensor(0.5, dtype=torch.float64)],
    ids=lambda factor: f"{type(factor).__name__} {factor}",
)  # fmt: skip
def test_any_real_number(factor: Any) -> None:
    """From both sides, and as divisor; numpy and torch leave the operator what it is."""
    a = matrix(3, 2)
    expected = float(factor) * a.entries.detach().numpy()
    for multiple in (factor * a, a * factor):
        assert type(multiple) is Multiple
        check(multiple, expected)
    if factor != 0:
        check(a / factor, a.entries.detach().numpy() / float(factor))


@pytest.mark.parametrize(
    "factor",
    [True, np.bool_(True), torch.tensor(True), 1j, np.complex64(1), torch.tensor(1j), "2", None, [2.0], torch.ones(1),
     np.ones(3)],
    ids=lambda factor: f"{type(factor).__name__} {factor}",
)  # fmt: skip
def test_what_is_no_real_number(factor: Any) -> None:
    a = matrix(3, 2)
    for make in (lambda: factor * a, lambda: a * factor):
        with pytest.raises(TypeError, match="factor must be a number"):
            make()
    with pytest.raises(TypeError, match="divisor must be a number"):
        a / factor


def test_numbers_that_make_no_operator() -> None:
    with pytest.raises(ValueError, match="divisor must not be 0"):
        matrix(3, 2) / 0
    for bad in (float("nan"), np.inf):
        with pytest.raises(ValueError, match="factor must be finite"):
            bad * matrix(3, 2)


def test_operators_that_do_not_fit() -> None:
    a, c = matrix(5, 4), matrix(4, 3)
    with pytest.raises(
        ValueError, match=r"A @ B: .* got A.domain_shape \(3,\) of Matrix and B.range_shape \(5,\) of M"
    ):
        c @ a
    with pytest.raises(ValueError, match=r"A \+ B: expected operators with one domain_shape, got \(4,\) of Matrix and"):
        a + matrix(5, 3)
    with pytest.raises(ValueError, match=r"A \+ B: .* one range_shape, got \(5,\) of Matrix and \(6,\) of Adjoint"):
        a + matrix(4, 6).T
    for value, name in ((torch.ones(4), "Tensor"), (np.ones(4), "ndarray"), (3, "int"), (nn.Identity(), "Identity")):
        with pytest.raises(TypeError, match=rf"A @ B: expected two operators, got {name} for B; A\(x\) applies"):
            a @ value
        with pytest.raises(TypeError, match=rf"A \+ B: expected two operators, got {name} for B"):
            a + value
    with pytest.raises(TypeError, match="A - B: expected two operators, got int for B; a FunctionOperator makes one"):
        a - 3
    with pytest.raises(TypeError, match=r"factor must be a number, got Matrix; A @ B composes"):
        a * c
    with pytest.raises(TypeError, match="domain_shape: expected a shape, got a geometry; GeometryOperator takes"):
        LinearOperator(sg.ParallelBeam([0.1], sg.FlatDetector(3, 1.0)), sg.Grid((3, 3)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="range_shape must be a shape"):
        LinearOperator((3,), 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"range_shape\[1\] must be at least 1, got 0"):
        LinearOperator((3,), (4, 0))


def test_wrong_tensors_are_the_parts_to_name() -> None:
    scan = sg.ParallelBeam(sg.full_scan(3), sg.FlatDetector(5, 1.0)), sg.Grid((4, 6))
    with pytest.raises(ValueError, match=r"grid.shape \(4, 6\) does not match volume \[4, 5\]: x 6 != 5"):
        (sg.XRayTransform(*scan).T @ sg.XRayTransform(*scan))(torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"x: expected \[\.\.\., 4\], got \[3, 5\]"):
        (2 * matrix(5, 4))(torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"y: expected \[\.\.\., 5\], got \[\]"):
        matrix(5, 4).T(torch.zeros(()))


def test_parts_are_submodules() -> None:
    """Parameters are found, learned through and moved, in the operator and in its adjoint."""
    a, c = matrix(5, 4), matrix(4, 3)
    operator = (2 * a) @ c + a @ c
    assert {id(p) for p in operator.parameters()} == {id(a.entries), id(c.entries)}
    assert {id(p) for p in operator.T.parameters()} == {id(a.entries), id(c.entries)}
    x = torch.randn(3, dtype=torch.float64)
    operator(x).sum().backward()
    assert a.entries.grad is not None
    torch.testing.assert_close(a.entries.grad, 3 * torch.ones(5, 1, dtype=torch.float64) * c(x))
    operator.to(torch.float32)
    assert a.entries.dtype == torch.float32 and operator(x.float()).dtype == torch.float32


def test_a_learned_factor() -> None:
    a, factor = matrix(5, 4), nn.Parameter(torch.tensor(1.5))
    operator = factor * a
    assert factor in set(operator.parameters()) and repr(operator).startswith("Multiple(\n  1.5\n")
    x, y = torch.randn(4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    for result, weights, exact in ((operator(x), y, a(x)), (operator.T(y), x, a.T(y))):
        (gradient,) = torch.autograd.grad(result, factor, weights)
        torch.testing.assert_close(gradient.double(), (exact * weights).sum(), rtol=1e-6, atol=0)


def test_copies_have_parts_of_their_own() -> None:
    a, b = matrix(5, 4), matrix(5, 4)
    adjoint = a.T
    twin = copy.copy(adjoint)
    twin.operator = b
    assert adjoint.T is a and twin.T is b


@pytest.mark.parametrize("views", [[0, 2, 3], slice(None, None, 2), [3, 1, 0, 2], [4], torch.tensor([1, 1])], ids=str)
def test_some_views(views: Any) -> None:
    """Rows of numpy's matrix; a permutation of all views is carried through as well."""
    a, c, weights = matrix(4 + 1, 4), matrix(4, 3), torch.rand(5, dtype=torch.float64)
    A, C, W = a.entries.detach().numpy(), c.entries.detach().numpy(), np.diag(weights.numpy())
    numbers = np.arange(5)[views]

    def weighting(some: Tensor) -> FunctionOperator:
        return FunctionOperator(
            lambda x: some * x, lambda y: some * y, some.shape, some.shape, subset=lambda rows: weighting(some[rows])
        )

    picked: list[tuple[LinearOperator, np.ndarray]] = [
        (a @ c, (A @ C)[numbers]),
        (2 * a - a, A[numbers]),
        (a.T, A[numbers].T),
        (a.T @ a, A[numbers].T @ A[numbers]),
        (weighting(weights) @ a @ c, W[numbers][:, numbers] @ (A @ C)[numbers] if len(set(numbers)) > 1 else None),
    ]
    for operator, expected in picked:
        if expected is not None:
            np.testing.assert_allclose(entries_of(operator.subset(numbers.tolist())), expected, atol=1e-13)


def test_no_views_to_choose() -> None:
    class Plain(LinearOperator):
        pass

    with pytest.raises(ValueError, match=r"operator: Plain has no subset\(views\), so it cannot be divided"):
        (2 * Plain((3,), (4,))).subset([0])


def test_the_grid_of_what_goes_in() -> None:
    scan = sg.ParallelBeam(sg.full_scan(3), sg.FlatDetector(5, 1.0)), sg.Grid((4, 6), 0.7)
    A = sg.XRayTransform(*scan)
    for operator in (2 * A, A + A, matrix_of_projections(A) @ A):
        assert operator.grid == A.grid
    assert (2 * matrix(3, 3)).grid is None


def matrix_of_projections(A: sg.LinearOperator) -> FunctionOperator:
    return FunctionOperator(lambda y: 2 * y, lambda y: 2 * y, A.range_shape, A.range_shape)


def test_algorithms_take_them() -> None:
    """Weighted by the square root, least squares is weighted least squares; half the voxels are twice the values."""
    scan = sg.ParallelBeam(sg.full_scan(9), sg.FlatDetector(11, 1.0)), sg.Grid((6, 7))
    A = sg.XRayTransform(*scan)
    truth = torch.rand(A.domain_shape, dtype=torch.float64)
    data = A(truth) + 0.1 * torch.randn(A.range_shape, dtype=torch.float64)
    weights = torch.rand(A.range_shape, dtype=torch.float64) + 0.5
    root = weights.sqrt()
    W = FunctionOperator(lambda y: root * y, lambda y: root * y, A.range_shape, A.range_shape)
    expected = sg.recon.cgls(A, data, weights=weights, iterations=8).image
    torch.testing.assert_close(sg.recon.cgls(W @ A, root * data, iterations=8).image, expected, rtol=1e-6, atol=1e-8)
    expected = sg.recon.os_sart(A, data, subsets=3, iterations=3).image
    actual = sg.recon.os_sart(A + A, data, subsets=3, iterations=3).image
    torch.testing.assert_close(2 * actual, expected, rtol=1e-6, atol=1e-8)


def test_pairs_that_are_not_known_to_be_exact_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from sinograd.recon.iterative.checks import adjointness

    measured: list[str] = []
    mismatch: Callable[..., float] = adjointness.mismatch
    monkeypatch.setattr(
        adjointness, "mismatch", lambda operator, *rest: (measured.append(str(operator)), mismatch(operator, *rest))[1]
    )
    scan = sg.ParallelBeam(sg.full_scan(3), sg.FlatDetector(5, 1.0)), sg.Grid((4, 6))
    A, data = sg.XRayTransform(*scan), torch.rand(3, 5)
    for operator in (2 * A, A + A, A @ (A.T @ A)):
        assert operator.exact_adjoint
        sg.recon.cgls(operator, data, iterations=1)
    assert not measured
    right = FunctionOperator(lambda y: 2 * y, lambda y: 2 * y, A.range_shape, A.range_shape)
    wrong = FunctionOperator(lambda y: 2 * y, lambda y: y + y.sum(), A.range_shape, A.range_shape)
    sg.recon.cgls(right @ A, data, iterations=1)
    assert len(measured) == 1
    with pytest.warns(sg.recon.UnmatchedPairWarning, match=r"Sum.T is not the adjoint"):
        sg.recon.cgls(A + wrong @ A, data, iterations=1)
    assert not (wrong @ A).T.exact_adjoint and isinstance(wrong.T, Adjoint)
