"""The reference itself, against scipy and the geometry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.ndimage import map_coordinates

from sinograd.testing.reference import interpolate, pixel_positions


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 5, 4), (1, 4, 1)], ids=str)
def test_interpolation_with_zeros_outside(shape: tuple[int, ...]) -> None:
    array = torch.randn(shape, dtype=torch.float64)
    at = torch.rand(500, len(shape), dtype=torch.float64) * (torch.tensor(shape) + 3) - 2
    at[:50] = at[:50].round()
    expected = map_coordinates(array.numpy(), at.T.numpy(), order=1, mode="grid-constant", cval=0.0)
    assert torch.allclose(interpolate(array, at), torch.from_numpy(expected), rtol=0, atol=1e-14)


def test_pixel_positions(case: Any) -> None:
    geometry = case.geometry
    actual = pixel_positions(geometry.vectors, (geometry.rows, geometry.columns))
    expected = geometry.pixel_positions().reshape(actual.shape)
    assert torch.allclose(actual, expected, rtol=0, atol=1e-12)
