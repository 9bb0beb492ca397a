"""Removal of stripes from prepared views where they are: bands of rows, with all views of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.preparation.destination import Destination

# Bytes of the sinograms of a band, at least one row; and the fewest bands, where there are as many rows.
BAND_BYTES, BANDS = 32 << 20, 64


@dataclass
class TakenOut:
    """How much ring removal took out of line integrals.

    method: its name. squares, count: of the changes. largest: change of a reading.
    """

    method: str
    squares: float = 0.0
    count: int = 0
    largest: float = 0.0

    def add(self, changes: Tensor, times: int = 1) -> None:
        """Changes, each of which was made so many times."""
        self.squares += times * float(changes.double().square().sum())
        self.largest = max(self.largest, float(changes.abs().max()) if changes.numel() else 0.0)

    @property
    def record(self) -> dict[str, Any]:
        """For the record of a scan, in line integrals."""
        return {"method": self.method, "rms": math.sqrt(self.squares / max(self.count, 1)), "largest": self.largest}


def band_bytes(shape: tuple[int, ...]) -> int:
    """Of one band of projections [views, (rows,) columns], float32."""
    rows = shape[1] if len(shape) == 3 else 1
    return _rows(shape[0], rows, shape[-1]) * 4 * shape[0] * shape[-1]


def _rows(views: int, rows: int, columns: int) -> int:
    """Of one band."""
    return max(1, min(BAND_BYTES // max(1, 4 * views * columns), -(-rows // BANDS)))


def rows_of_bands(views: int, rows: int, columns: int) -> Iterator[slice]:
    """All bands."""
    step = _rows(views, rows, columns)
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


def level_bands(
    images: Destination,
    good: np.ndarray,
    shape: tuple[int, int],
    functions: list[Callable[[Tensor], Tensor]],
    taken: TakenOut,
) -> None:
    """Functions of sinograms [rows, views, columns], one after the other, on the good views of images that were kept.

    Args:
        images: all views; changed.
        good: bool [views].
        shape: rows and columns.
        functions: those of `choices.STRIPE_METHODS` that look at each row for itself.
        taken: adds up what changes.
    """
    chosen = torch.from_numpy(good)
    for rows in rows_of_bands(len(good), *shape):
        band = images.band(rows)
        before = band[chosen].transpose(0, 1).contiguous()
        after = before
        for function in functions:
            after = function(after)
        taken.add(after - before)
        band[chosen] = after.transpose(0, 1)
        images.put_band(rows, band)
