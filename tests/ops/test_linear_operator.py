"""The base class of operators: what a subclass gets, and what it must give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sinograd import FlatDetector, Grid, ParallelBeam, full_scan
from sinograd.ops import GeometryOperator

GEOMETRY, GRID = ParallelBeam(full_scan(3), FlatDetector((4, 5), 1.0)), Grid((6, 7, 8))


class Spread(GeometryOperator):
    """Every pixel is the mean of the volume."""

    def _apply_operator(self, x: Tensor) -> Tensor:
        return x.mean((-3, -2, -1), keepdim=True).expand(*x.shape[:-3], *self.range_shape)

    def _apply_adjoint(self, y: Tensor) -> Tensor:
        total = y.sum((-3, -2, -1), keepdim=True) / torch.Size(self.domain_shape).numel()
        return total.expand(*y.shape[:-3], *self.domain_shape)


def test_two_methods_make_an_operator() -> None:
    operator = Spread(GEOMETRY, GRID)
    assert (operator.domain_shape, operator.range_shape) == ((6, 7, 8), (3, 4, 5))
    x, y = torch.randn(2, 6, 7, 8, dtype=torch.float64), torch.randn(2, 3, 4, 5, dtype=torch.float64)
    assert torch.allclose((operator(x) * y).sum(), (x * operator.T(y)).sum())
    assert torch.equal(operator.T.T(x), operator.T.adjoint(x))
    assert torch.equal(operator.adjoint(y), operator.T(y))


def test_base_class_computes_nothing() -> None:
    operator = GeometryOperator(GEOMETRY, GRID)
    with pytest.raises(NotImplementedError, match="GeometryOperator"):
        operator(torch.zeros(6, 7, 8))
    with pytest.raises(NotImplementedError, match="GeometryOperator"):
        operator.T(torch.zeros(3, 4, 5))


def test_message_about_a_shape_is_complete() -> None:
    operator = Spread(GEOMETRY, GRID)
    with pytest.raises(ValueError) as caught:
        operator(torch.zeros(2, 6, 9, 8))
    assert str(caught.value) == "grid.shape (6, 7, 8) does not match volume [2, 6, 9, 8]: y 7 != 9"
    with pytest.raises(ValueError) as caught:
        operator.T(torch.zeros(3, 5, 4))
    assert str(caught.value) == (
        "geometry.projection_shape (3, 4, 5) does not match projections [3, 5, 4]: rows 4 != 5, columns 5 != 4"
    )


def test_tensor_on_a_device_without_kernels() -> None:
    with pytest.raises(ValueError, match=r"volume.*meta"):
        Spread(GEOMETRY, GRID)(torch.zeros(6, 7, 8, device="meta"))
