"""Shifts against exact functions, scipy and the contrast that interpolation keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.autograd import gradcheck

from sinograd.preparation import shift_projections, unmeasured_edges
from sinograd.preparation.shifts import delay_weights, shift_projections_


def waves(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Detail at 0.22 and 0.29 of a cycle a pixel and slower."""
    return (torch.sin(1.4 * columns) + 0.5) * (torch.cos(1.8 * rows)[:, None] + torch.cos(0.3 * rows)[:, None])


@pytest.mark.parametrize("shift", [(0.5, 0.5), (-2.25, 7.6), (3.0, -0.4), (0.1, 0.0)])
def test_a_shift_moves_exact_detail(shift: tuple[float, float]) -> None:
    rows, columns = torch.arange(60, dtype=torch.float64), torch.arange(70, dtype=torch.float64)
    moved = shift_projections(waves(rows, columns)[None], torch.tensor([shift]))[0]
    expected = waves(rows - shift[0], columns - shift[1])
    inner = (slice(12, -12), slice(12, -12))
    error = (moved - expected)[inner].abs().max()
    assert error < 0.02
    spline = ndimage.shift(waves(rows, columns).numpy(), shift, order=3)
    assert error <= np.abs(spline - expected.numpy())[inner].max() + 0.005  # no worse than a cubic spline


def test_contrast_is_kept_at_half_a_pixel() -> None:
    """|sum of h_k exp(i w k)| of the weights: the promise of the docstring."""
    weights = delay_weights(torch.tensor(0.5, dtype=torch.float64))
    place = torch.arange(-3, 5, dtype=torch.float64) - 0.5

    def response(share: float) -> float:
        return float((weights * torch.cos(math.pi * share * place)).sum())

    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    assert all(abs(response(share) - 1) < 0.003 for share in torch.linspace(0, 0.5, 30).tolist())
    assert all(abs(response(share) - 1) < 0.007 for share in torch.linspace(0.5, 0.6, 30).tolist())
    assert response(0.75) > 0.84


def test_whole_shifts_copy_and_nothing_wraps() -> None:
    x = torch.rand(2, 6, 7)
    moved = shift_projections(x, torch.tensor([[2.0, -3.0], [0.0, 0.0]]), edges="zero")
    assert torch.equal(moved[0, 2:, :-3], x[0, :-2, 3:])
    assert not moved[0, :2].any() and not moved[0, :, -3:].any()
    assert torch.equal(moved[1], x[1])
    nearest = shift_projections(x, torch.tensor([[2.0, -3.0], [0.0, 0.0]]))
    assert torch.equal(nearest[0, 0], nearest[0, 2]) and torch.equal(nearest[0, :, -1], nearest[0, :, -4])
    far = shift_projections(x, torch.tensor([[100.0, 0.0], [0.0, -50.5]]), edges="zero")
    assert not far.any()


def test_edges_are_declared() -> None:
    assert unmeasured_edges(np.array([[1.5, -2.0], [0.0, 3.2]])) == ((2, 0), (4, 2))
    assert unmeasured_edges(torch.zeros(3, 2)) == ((0, 0), (0, 0))
    shifts = torch.tensor([[1.5, -2.25], [-0.5, 3.0]])
    (top, bottom), (left, right) = unmeasured_edges(shifts)
    measured = shift_projections(torch.ones(2, 20, 20), shifts, edges="zero")
    assert (measured[:, top : 20 - bottom, left : 20 - right] > 0.999).all()
    assert not measured[0, top - 1].any() and not measured[1, :, left - 1].any()
    assert not measured[1, -1].any() and not measured[0, :, -1].any()


@pytest.mark.parametrize("edges", ["nearest", "zero"])
def test_in_place_and_for_gradients_are_the_same(edges: str) -> None:
    x = torch.rand(6, 9, 11)
    shifts = torch.tensor([[0, 0], [1.0, -3], [0.3, -0.6], [20.0, -30.0], [-25.4, 13.3], [0, 4.4]])
    assert torch.allclose(shift_projections_(x.clone(), shifts, edges=edges), shift_projections(x, shifts, edges=edges))
    batch = torch.stack([x, 2 * x])
    assert torch.allclose(
        shift_projections(batch, shifts, edges=edges)[1], 2 * shift_projections(x, shifts, edges=edges)
    )


def test_gradients_in_projections_and_shifts() -> None:
    x = torch.rand(2, 5, 6, dtype=torch.float64, requires_grad=True)
    shifts = torch.tensor([[0.4, -1.3], [-0.7, 2.2]], dtype=torch.float64, requires_grad=True)
    for edges in ("nearest", "zero"):
        assert gradcheck(lambda x, s, edges=edges: shift_projections(x, s, edges=edges), (x, shifts))


@pytest.mark.parametrize(
    ("projections", "shifts", "edges", "message"),
    [
        ((3, 4, 5), torch.zeros(2, 2), "nearest", r"shifts \[2, 2\] does not match projections \[3, 4, 5\]"),
        ((3, 4, 5), torch.zeros(3), "nearest", "shifts"),
        ((4, 5), torch.zeros(4, 2), "nearest", "projections"),
        ((1, 4, 5), torch.tensor([[0.0, torch.nan]]), "nearest", "1 NaN or infinite"),
        ((1, 4, 5), torch.zeros(1, 2), "wrap", "edges: expected one of nearest, zero, got 'wrap'"),
    ],
)
def test_wrong_shifts(projections: tuple[int, ...], shifts: torch.Tensor, edges: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shift_projections(torch.ones(projections), shifts, edges=edges)
