"""Values of projections between their elements."""

from __future__ import annotations

import torch
from torch import Tensor


def bilinear(images: Tensor, views: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Images [views, rows, columns] at places of some views, linear between elements; zero outside, differentiable.

    views: numbers, which broadcast to the places `row` and `column`; these count elements from 0.
    """
    _, rows, columns = images.shape
    flat = images.flatten()
    low_row, low_column = row.detach().floor(), column.detach().floor()
    value = torch.zeros_like(row)
    for i in (0, 1):
        r = low_row + i
        down = 1 - (row - r).abs()
        for k in (0, 1):
            c = low_column + k
            across = 1 - (column - c).abs()
            outside = (r < 0) | (r >= rows) | (c < 0) | (c >= columns)
            line = views * rows + r.clamp(0, rows - 1).long()
            place = line * columns + c.clamp(0, columns - 1).long()
            value = value + flat[place] * (down * across).masked_fill(outside, 0.0)
    return value
