"""`FunctionOperator`. Truth: the matrix it is made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sinograd.ops import FunctionOperator

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
