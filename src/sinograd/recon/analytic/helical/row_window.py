"""Weights of detector rows: how much a ray counts where several measured the same line in the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Share of the half height of the detector up to which rows count fully (Q of Stierstorfer et al. 2004). A ball at 64
# rows and pitch 1 has windmills of 0.9, 0.7, 0.3, 0 : 0.74, 0.52, 0.27, 0.25 % of its contrast around its poles.
FULL_SHARE = 0.3


def row_window(rows: int, full: float = FULL_SHARE) -> Tensor:
    """float64 [rows]: 1 in the middle, then falling as a squared cosine to zero a row beyond the outermost."""
    from_middle = (torch.arange(rows, dtype=torch.float64) - (rows - 1) / 2).abs() / ((rows + 1) / 2)
    beyond = ((from_middle - full) / (1 - full)).clamp(0, 1)
    return torch.cos(math.pi / 2 * beyond).square()
