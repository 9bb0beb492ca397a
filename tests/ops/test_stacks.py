"""Many slices at once: the kernels that put neighbouring slices into one vector do what those of one slice do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sinograd import Backprojection, LinearOperator, XRayTransform
from sinograd.ops import Adjoint
from sinograd.ops.dispatch import LEAST_STACK, STACK
from sinograd.testing.operator_contract import adjoint_error, distance, noise

CPU = torch.device("cpu")


class Stack:
    """An operator on a fixed number of slices."""

    def __init__(self, operator: LinearOperator, count: int) -> None:
        self.operator = operator
        self.domain_shape, self.range_shape = (count, *operator.domain_shape), (count, *operator.range_shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.operator(x)

    @property
    def T(self) -> LinearOperator | Adjoint:
        return self.operator.T


class TestStacks:
    @staticmethod
    def accepts(geometry: Any) -> bool:
        return geometry.ndim == 2

    @pytest.mark.parametrize("count", [LEAST_STACK, LEAST_STACK + 1, STACK + 3, 2 * STACK])
    def test_as_one_by_one(self, tiny_case: Any, count: int) -> None:
        for operator in (XRayTransform(*tiny_case), Backprojection(*tiny_case)):
            for one in (operator, operator.T):
                x = noise((count, *one.domain_shape), 0, torch.float32, CPU)
                assert distance(one(x), torch.stack([one(each) for each in x])) <= 1e-6

    def test_exact(self, case: Any) -> None:
        """Against float64, one by one, and against the adjoint."""
        for operator in (XRayTransform(*case), Backprojection(*case)):
            for one in (operator, operator.T):
                x = noise((19, *one.domain_shape), 0, torch.float32, CPU)
                assert distance(one(x), one(x.double())) <= 1e-6
            assert adjoint_error(Stack(operator, 19), 0, torch.float32, CPU) <= 1e-6

    def test_same_bits_at_any_number_of_threads(self, large_case: Any) -> None:
        for operator in (XRayTransform(*large_case), Backprojection(*large_case)):
            for one in (operator, operator.T):
                x = noise((21, *one.domain_shape), 0, torch.float32, CPU)
                results = []
                for threads in (1, 2, 3):
                    torch.set_num_threads(threads)
                    results.append(one(x))
                assert all(torch.equal(results[0], other) for other in results[1:])
