"""`FunctionOperator`. Truth: the matrix it is made of."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from sinograd.ops import FunctionOperator
from sinograd.testing.operator_contract import ExactnessContract, OperatorContract

M = torch.arange(12, dtype=torch.float64).reshape(3, 4)


def operator(**options: Any) -> FunctionOperator:
    return FunctionOperator(lambda x: M @ x, lambda y: M.T @ y, (4,), (3,), **options)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (0,)], ids=str)
def test_a_matrix_and_its_batch(batch: tuple[int, ...]) -> None:
    x, y = torch.randn(*batch, 4, dtype=torch.float64), torch.randn(*batch, 3, dtype=torch.float64)
    torch.testing.assert_close(operator()(x), x @ M.T)
    torch.testing.assert_close(operator().T(y), y @ M)
    torch.testing.assert_close(operator().T.T(x), x @ M.T)
    assert operator().T.domain_shape == (3,)


def test_gradients_of_torch_functions() -> None:
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    operator()(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, M.sum(0).expand(2, 4))


def test_numpy_functions_keep_the_dtype() -> None:
    m = M.numpy()
    wrapped = FunctionOperator(lambda x: m @ x, lambda y: m.T @ y, (4,), (3,), numpy=True)
    x = torch.randn(2, 4)
    assert wrapped(x).dtype == torch.float32
    torch.testing.assert_close(wrapped(x), x @ M.float().T)


def test_gradients_of_numpy_functions_are_the_other_function() -> None:
    """To any order, though autograd sees nothing of numpy."""
    m = M.numpy()
    wrapped = FunctionOperator(lambda x: m @ x, lambda y: m.T @ y, (4,), (3,), numpy=True)
    x, y = torch.randn(4, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(wrapped, x.requires_grad_())
    assert torch.autograd.gradgradcheck(wrapped, x)
    assert torch.autograd.gradcheck(wrapped.T, y.requires_grad_())


class Weights:
    """A function that pickle knows."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    def __call__(self, x: Any) -> Any:
        weights = self.weights if isinstance(x, Tensor) else self.weights.numpy()
        return x * (weights.to(x.dtype) if isinstance(x, Tensor) else weights.astype(x.dtype))


class TestFunctionOperator(OperatorContract):
    cases: ClassVar = {"tiny": (2, 3), "usual": (40, 50)}

    def make(self, case: tuple[int, ...]) -> FunctionOperator:
        weights = torch.linspace(0.3, 1.7, torch.Size(case).numel(), dtype=torch.float64).reshape(case)
        return FunctionOperator(Weights(weights), Weights(weights), case, case)

    def reference(self, operator: FunctionOperator, x: Tensor) -> Tensor:
        return operator._forward.weights * x


class TestOfNumpy(ExactnessContract):
    cases: ClassVar = TestFunctionOperator.cases

    def make(self, case: tuple[int, ...]) -> FunctionOperator:
        weights = torch.linspace(0.3, 1.7, torch.Size(case).numel(), dtype=torch.float64).reshape(case)
        return FunctionOperator(Weights(weights), Weights(weights), case, case, numpy=True)

    reference = TestFunctionOperator.reference


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"x: expected \[\.\.\., 4\], got \[3\]"):
        operator()(torch.zeros(3))
    with pytest.raises(TypeError, match="Tensor"):
        operator()([1.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="adjoint: expected a function"):
        FunctionOperator(lambda x: x, 3, (4,), (4,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected the function to give \[3\], got \[4\]"):
        FunctionOperator(lambda x: x, lambda y: y, (4,), (3,))(torch.zeros(4))
    with pytest.raises(ValueError, match="without subset="):
        operator().subset([0])
    assert repr(operator(subset=lambda views: views)) == "FunctionOperator([4] -> [3])"
    assert operator(subset=lambda views: views).subset((0, 2)) == [0, 2]
