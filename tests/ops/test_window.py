"""Windows of bilateral filters: the paper's rule, and what is allowed."""

from __future__ import annotations

import math

import pytest
import torch

from sinograd.ops import bilateral_window
from sinograd.ops.window import check_window, fit_window


@pytest.mark.parametrize(
    ("sigma", "width"),
    [(0.01, 5), (0.5, 5), (1.0, 5), (1.001, 7), (1.2, 7), (1.4, 7), (1.41, 9), (2.2, 11), (2.21, 13), (10.0, 51)],
)
def test_five_standard_deviations_odd_and_at_least_five(sigma: float, width: int) -> None:
    assert width == max(math.ceil(round(5 * sigma, 9)) | 1, 5)
    assert bilateral_window([sigma, 0.5]) == (width, 5)
    for dtype in (torch.float32, torch.float64):
        assert bilateral_window(torch.tensor([0.5, sigma, 0.5], dtype=dtype, requires_grad=True)) == (5, width, 5)


def test_sigmas_must_be_positive() -> None:
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="sigma_spatial"):
            bilateral_window([0.5, bad])


def test_one_width_stands_for_all() -> None:
    assert check_window(7, 3) == (7, 7, 7)
    assert check_window([3, 5], 2) == (3, 5)


def test_fits_the_volume() -> None:
    assert fit_window((5, 5, 5), (1, 2, 100)) == (1, 3, 5)
    assert fit_window((5, 9), (0, 5)) == (1, 9)
