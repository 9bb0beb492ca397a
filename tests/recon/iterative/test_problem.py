"""What is refused before anything is computed, the same for all algorithms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recon.iterative.small import Bare, as_operator, matrix
from sinograd.recon import cgls, column_weights, fista_tv, row_weights, sirt

M = matrix(24, 10, signs=False)
P = torch.ones(24, dtype=torch.float64)
NAN = torch.tensor(math.nan)


@pytest.mark.parametrize("algorithm", [sirt, cgls, fista_tv])
@pytest.mark.parametrize(
    ("projections", "options", "error", "message"),
    [
        ([1.0], {}, TypeError, r"projections: expected a torch\.Tensor"),
        (P.int(), {}, TypeError, "projections: expected dtype float32 or float64, got int32"),
        (P[1:], {}, ValueError, r"projections: expected \[\.\.\., 24\] as the operator gives, got \[23\]"),
        (torch.cat([P[2:], NAN[None], NAN[None]]), {}, ValueError, "projections: expected finite values, got 2 NaN"),
        (P, {"start": P}, ValueError, r"start: expected the shape of the reconstruction \[10\], got \[24\]"),
        (P, {"start": torch.zeros(10)}, TypeError, r"start: expected torch\.float64 on cpu"),
        (P, {"start": P[:10] * math.inf}, ValueError, "start: expected finite values, got 10 NaN or infinite"),
        (P, {"weights": torch.zeros(24)}, ValueError, "weights: expected some above 0, got zeros only"),
        (P, {"weights": -P}, ValueError, "weights: expected none below 0, got 24, down to -1"),
        (P, {"weights": torch.ones(5)}, ValueError, r"weights: \[5\] does not broadcast"),
        (P, {"weights": P * math.nan}, ValueError, "weights: expected finite"),
        (torch.stack([P, P]), {"weights": torch.stack([P, 0 * P])}, ValueError, "zeros only"),
    ],
)
def test_wrong_input(algorithm: Any, projections: Any, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        algorithm(as_operator(M), projections, **options)


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        (1.0, 0.0, "lower: expected at most upper, got 1 above 0"),
        (math.nan, None, "lower: expected a number, got NaN"),
        (None, torch.ones(7), r"upper: \[7\] does not broadcast to the image \[10\]"),
        (torch.tensor([math.nan]), None, "lower: expected numbers, got NaN"),
        (torch.full((10,), 2.0), 1.0, "lower: expected at most upper, got a tensor above 1"),
    ],
)
def test_wrong_bounds(lower: Any, upper: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sirt(as_operator(M), P, lower=lower, upper=upper)


def test_what_is_no_operator() -> None:
    with pytest.raises(TypeError, match=r"operator: expected something with A\(x\) and A\.T\(y\), got Tensor"):
        sirt(M, P)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="operator: expected function to have an adjoint T"):
        sirt(lambda x: x, P)  # type: ignore[arg-type]


def test_rays_that_all_miss() -> None:
    with pytest.raises(ValueError, match="no ray meets the grid"):
        sirt(as_operator(0 * M), P)
    with pytest.raises(ValueError, match="expected entries from 0 up, got sums down to -"):
        sirt(as_operator(matrix(24, 10)), P)


def test_sums() -> None:
    m = M.clone()
    m[3], m[:, 4] = 0.0, 0.0
    rows, columns = row_weights(as_operator(m), (10,), P), column_weights(as_operator(m), (24,), P)
    torch.testing.assert_close(rows, torch.where(m.sum(1) > 0, 1 / m.sum(1), 0.0))
    torch.testing.assert_close(columns, torch.where(m.sum(0) > 0, 1 / m.sum(0), 0.0))
    operator = as_operator(m)
    assert row_weights(operator, (10,), P) is row_weights(operator, (10,), P)
    assert row_weights(operator, (10,), P.float()).dtype == torch.float32


def test_results_and_inputs_share_no_memory() -> None:
    """Operators that give back what they got, and inputs that must stay."""

    class Identity:
        domain_shape = range_shape = (24,)

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return x

        T = staticmethod(lambda y: y)

    start, weights = torch.zeros(24, dtype=torch.float64), P.clone()
    for algorithm in (sirt, cgls, fista_tv):
        result = algorithm(Identity(), P, iterations=3, start=start, weights=weights)
        result.image.zero_()
        assert (P == 1).all() and (start == 0).all() and (weights == 1).all()


def test_not_contiguous_projections() -> None:
    p = torch.randn(24, 3, dtype=torch.float64).T
    for algorithm in (sirt, cgls, fista_tv):
        a = algorithm(as_operator(M), p, iterations=3).image
        b = algorithm(as_operator(M), p.contiguous(), iterations=3).image
        torch.testing.assert_close(a, b)
    assert (cgls(Bare(M), p[0], iterations=2).image - cgls(Bare(M), p[0].clone(), iterations=2).image).norm() == 0
