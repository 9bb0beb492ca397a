"""Hierarchical backprojection of a parallel beam, for `hierarchical.py`.

After S. Basu and Y. Bresler, "O(N^2 log2 N) filtered backprojection reconstruction algorithm for tomography", IEEE
Trans. Image Process. 9(10), 2000: an image is split into 2 x 2 parts. Rows of each part's sinogram are moved so that
its middle is at their middle, and cut to its shadow. What the part needs of them then has half of the band in angle, so
that a low pass and every other view are enough. So do its parts, and after the last level an ordinary backprojection.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

import sinograd as sg

MARGIN = 4  # columns beside a part's shadow, for the next level's cubics
# One side of the angular low pass of half of the band: its odd offsets; the even ones are zero.
HALF_BAND = (0.3125, -0.0830, 0.0243, -0.0038)


@dataclass
class Hierarchy:
    """Backprojection of filtered views over 180 degrees, by halves.

    Attributes:
        width: of a column, mm.
        levels: how often images are split.
        whole: of the levels, the first so many keep all views.
        seconds: processor time of moving and thinning, and of the last backprojection.
    """

    width: float
    levels: int
    whole: int = 0
    seconds: tuple[float, float] = field(default=(0.0, 0.0), init=False)

    def __call__(self, rows: Tensor, pixels: int, spacing: float) -> Tensor:
        """The image [pixels, pixels] about the origin that filtered rows [views, columns] make."""
        start = time.process_time()
        parts, side = rows[None], pixels
        for level in range(self.levels):
            side //= 2
            columns = math.ceil(side * spacing * math.sqrt(2) / self.width) + 2 * MARGIN + 1
            quarters = []
            for y, x in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
                quarter = moved(parts, (x * side * spacing / 2, y * side * spacing / 2), self.width, columns)
                quarters.append(quarter if level < self.whole else every_other_view(quarter))
            parts = torch.stack(quarters, 1).flatten(0, 1)
        middle = time.process_time()
        geometry = sg.ParallelBeam(angles(parts.shape[1]), sg.FlatDetector(parts.shape[2], self.width))
        image = sg.Backprojection(geometry, sg.Grid((side, side), spacing))(parts)
        self.seconds = (middle - start, time.process_time() - middle)
        while len(image) > 1:
            image = image.reshape(-1, 2, 2, side, side).transpose(2, 3).reshape(-1, 2 * side, 2 * side)
            side *= 2
        return image[0]


def moved(rows: Tensor, to: tuple[float, float], width: float, columns: int) -> Tensor:
    """`columns` of each row [..., views, columns] about the shadow of (x, y), by cubics; beyond the rows are zeros."""
    turn = angles(rows.shape[-2])
    place = (to[0] * turn.cos() + to[1] * turn.sin()) / width + (rows.shape[-1] - columns) / 2
    first = place.floor()
    t = (place - first).to(rows)[:, None]
    weights = (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )
    first = first.long() - 1
    before, after = -int(first.min()), int(first.max()) + columns + 3 - rows.shape[-1]
    before, after = max(0, before), max(0, after)
    padded = torch.nn.functional.pad(rows, (before, after))
    at = (first + before)[:, None] + torch.arange(columns + 3)
    windows = padded.gather(-1, at.expand(*rows.shape[:-2], -1, -1))
    result = windows[..., :columns] * weights[0]
    for tap in (1, 2, 3):
        result.addcmul_(windows[..., tap : tap + columns], weights[tap])
    return result


def every_other_view(rows: Tensor) -> Tensor:
    """Rows [..., views, columns] over 180 degrees through a low pass, twice every other; mirrored ones at the ends."""
    reach, views, mirrored = 2 * len(HALF_BAND) - 1, rows.shape[-2], rows.flip(-1)
    around = torch.cat([mirrored[..., -reach:, :], rows, mirrored[..., :reach, :]], -2)
    result = rows[..., ::2, :].clone()
    for i, weight in enumerate(HALF_BAND):
        for offset in (2 * i + 1, -2 * i - 1):
            result.add_(around[..., reach + offset : reach + offset + views : 2, :], alpha=2 * weight)
    return result


def finer(rows: Tensor) -> Tensor:
    """Rows [views, columns] with one more column between any two, by 16 neighbours (a sinc in a Kaiser window)."""
    taps = np.sinc(np.arange(16) - 7.5) * np.kaiser(16, 5.0)
    kernel = torch.from_numpy(taps / taps.sum()).to(rows)
    between = torch.nn.functional.conv1d(rows[:, None], kernel[None, None], padding=8)[:, 0, 1:-1]
    result = rows.new_empty(len(rows), 2 * rows.shape[1] - 1)
    result[:, ::2], result[:, 1::2] = rows, between
    return result


def angles(views: int) -> Tensor:
    """Of as many views over 180 degrees, rad."""
    return torch.arange(views, dtype=torch.float64) * (math.pi / views)
