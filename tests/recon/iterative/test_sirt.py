"""SIRT, SART, OS-SART. Truth: their formulas with explicit matrices, and dense weighted least squares."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import sinograd as sg
from recon.iterative.small import Bare, as_operator, few_views, matrix
from sinograd.recon import os_sart, sart, sirt
from sinograd.recon.iterative.subsets import ORDERS, orders

M = matrix(24, 10, signs=False)
P = M @ torch.linspace(0, 2, 10, dtype=torch.float64) + 0.1 * torch.randn(
    24, generator=torch.Generator().manual_seed(1), dtype=torch.float64
)


def formula(iterations: int, relaxation: float, w: Tensor, start: float = 0.0, upper: float = 9.0) -> Tensor:
    """Gregor and Benson's equation 2."""
    x = torch.full((10,), start, dtype=torch.float64)
    for iteration in range(iterations):
        columns = 1 / (M * w[:, None]).sum(0)
        step = min(relaxation, 1.0) if iteration == 0 else relaxation
        x = x + step * columns * (M.T @ (w / M.sum(1) * (P - M @ x)))
        x = x.clamp(start, upper) if start else x
    return x


@pytest.mark.parametrize("relaxation", [0.5, 1.0, 1.9])
def test_the_formula(relaxation: float) -> None:
    ones = torch.ones(24, dtype=torch.float64)
    for iterations in (0, 1, 2, 7):
        # the first image is zero, put within the bounds
        result = sirt(as_operator(M), P, iterations=iterations, relaxation=relaxation, lower=0.1, upper=1.5)
        expected = formula(iterations, relaxation, ones, 0.1, 1.5)
        assert (result.image - expected).abs().max() < 1e-12
        left = ((P - M @ expected).norm() / P.norm()).item()
        assert result.residuals[-1].item() == pytest.approx(left, abs=1e-12)
        assert result.iterations == iterations and int(result.best) == iterations


def test_weights_and_rays_that_do_not_count() -> None:
    w = torch.linspace(0, 2, 24, dtype=torch.float64)
    result = sirt(as_operator(M), P, iterations=6, weights=w)
    assert (result.image - formula(6, 1.9, w)).abs().max() < 1e-12
    spoiled = P.clone()
    spoiled[0] = 1e6  # weight 0
    assert torch.equal(sirt(as_operator(M), spoiled, iterations=6, weights=w).image, result.image)


def test_the_limit_is_weighted_least_squares() -> None:
    rows = 1 / M.sum(1)
    expected = torch.linalg.solve(M.T @ (rows[:, None] * M), M.T @ (rows * P))
    result = sirt(as_operator(M), P, iterations=1000)
    assert (result.image - expected).abs().max() < 1e-3


def test_an_iteration_is_one_projection_and_one_backprojection() -> None:
    operator = Bare(M)
    sirt(operator, P, iterations=1)
    before = operator.forward_calls, operator.adjoint_calls
    sirt(operator, P, iterations=11)
    # sums and mismatch are kept; the shape of the image costs one adjoint, as Bare does not tell it
    assert (operator.forward_calls - before[0], operator.adjoint_calls - before[1]) == (11, 12)


def test_rays_and_pixels_that_meet_nothing() -> None:
    m = M.clone()
    m[5], m[:, 2] = 0.0, 0.0
    start = torch.full((10,), 0.5, dtype=torch.float64)
    result = sirt(as_operator(m), P, iterations=20, start=start)
    assert torch.isfinite(result.image).all() and result.image[2] == 0.5


def test_one_subset_is_sirt() -> None:
    a = sirt(as_operator(M), P, iterations=5, relaxation=1.0).image
    b = os_sart(as_operator(M), P, iterations=5, subsets=1).image
    assert (a - b).abs().max() < 1e-13


@pytest.mark.parametrize("order", ["sequential", "golden"])
def test_ordered_subsets_by_formula(order: str) -> None:
    w = torch.linspace(0.2, 1, 24, dtype=torch.float64)
    parts = [list(range(s, 24, 4)) for s in range(4)]
    columns = 1 / torch.stack([(M[part] * w[part, None]).sum(0) for part in parts]).amax(0)
    x = torch.zeros(10, dtype=torch.float64)
    turn = orders(4, order, None)
    for iteration in range(3):
        met = 0.0
        for part in (parts[i] for i in next(turn)):
            residual = P[part] - M[part] @ x
            met += float((w[part] * residual**2).sum())
            x = x + 0.8 * 0.9**iteration * columns * (M[part].T @ (w[part] * residual / M[part].sum(1)))
    result = os_sart(as_operator(M), P, iterations=3, subsets=4, order=order, relaxation=0.8, decay=0.9, weights=w)
    assert (result.image - x).abs().max() < 1e-12
    assert result.residuals[-1].item() == pytest.approx((met / (w * P**2).sum().item()) ** 0.5)
    lists = os_sart(as_operator(M), P, iterations=3, subsets=parts, order=order, relaxation=0.8, decay=0.9, weights=w)
    assert torch.equal(lists.image, result.image)


def test_sart_takes_view_by_view() -> None:
    a = sart(as_operator(M), P, iterations=2).image
    b = os_sart(as_operator(M), P, iterations=2, subsets=24, relaxation=0.5).image
    assert torch.equal(a, b)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_orders_take_every_subset_once(order: str, count: int) -> None:
    turns = list(itertools.islice(orders(count, order, None), 3))
    assert all(sorted(turn) == list(range(count)) for turn in turns)
    if order == "random" and count == 30:
        assert turns[0] != turns[1]
        assert turns == list(itertools.islice(orders(count, order, None), 3))
    if order in ("golden", "distance") and count == 30:
        steps = [min((b - a) % 30, (a - b) % 30) for a, b in itertools.pairwise(turns[0])]
        assert min(steps) >= 4  # never a neighbour of the last


def test_subsets_of_a_scan_are_as_many_times_faster() -> None:
    scan = few_views(60)
    slow = sirt(scan.operator, scan.projections, iterations=20, relaxation=1.0, lower=0.0)
    quick = os_sart(scan.operator, scan.projections, iterations=2, lower=0.0)
    assert scan.error(quick.image) < 1.1 * scan.error(slow.image)
    single = sart(scan.operator, scan.projections, lower=0.0)
    assert scan.error(single.image) < scan.error(quick.image)


def test_the_operator_of_some_views() -> None:
    for geometry, grid in (
        (few_views().operator.geometry, few_views().operator.grid),
        (
            sg.ConeBeam.circular(
                source_to_origin=60,
                source_to_detector=90,
                angles=sg.full_scan(6),
                detector=sg.FlatDetector((4, 6), 4.0),
            ),
            sg.Grid((4, 5, 6), 3.0),
        ),
    ):
        a = sg.XRayTransform(geometry, grid)
        x = torch.randn(grid.shape)
        for views in ([1, 3], slice(0, None, 2)):
            part = a.subset(views)
            assert torch.equal(part(x), a(x)[views])
            assert part.range_shape == (len(geometry[views]), *a.range_shape[1:])
        assert a.range_shape[0] == geometry.views


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"relaxation": 2.0}, "relaxation"),
        ({"relaxation": 0.0}, "relaxation"),
        ({"subsets": 0}, "subsets: expected from 1 to the number of views 24, got 0"),
        ({"subsets": 25}, "subsets: expected from 1 to the number of views 24, got 25"),
        ({"subsets": [[0, 1], [1, 2]]}, "each of the 24 views in exactly one"),
        ({"order": "backwards"}, "order: expected one of"),
        ({"decay": 0.0}, "decay"),
    ],
)
def test_wrong_options(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        os_sart(as_operator(M), P, **arguments)


def test_an_operator_that_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match=r"os_sart needs operator\.subset\(views\).*Bare has none"):
        os_sart(Bare(M), P)
