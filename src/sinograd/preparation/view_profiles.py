"""Profiles of all views along the detector's columns and rows, which tell views that do not belong to a scan."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.projections import Projections

# Bins along columns and rows, readings of a view that make its mark, rows that tell its grain.
COLUMNS, ROWS, MARKED, GRAINED = 512, 64, 1 << 16, 8


class ViewProfiles:
    """Mean line integrals of each view over rows and over columns, and a mark of its readings as they came.

    Attributes:
        along_columns, along_rows: float32 [views, bins]. widths: columns and rows of a bin.
        grain: float32 [views], the median second difference of neighbouring columns.
        marks: [views], equal for views whose readings are the same bit for bit.
    """

    def __init__(self, views: int, rows: int, columns: int) -> None:
        bins = min(columns, COLUMNS), min(rows, ROWS)
        self.along_columns, self.along_rows = (np.zeros((views, n), dtype=np.float32) for n in bins)
        self.widths = columns / bins[0], rows / bins[1]
        self.marks = np.zeros(views, dtype=np.uint32)
        self.grain = np.zeros(views, dtype=np.float32)

    def mark(self, start: int, block: Tensor) -> None:
        """Readings [views, rows, columns] as they came, of views from `start` on."""
        step = -(-block[0].numel() // MARKED) | 1  # odd: meets all columns of most detectors
        sample = block.flatten(1)[:, ::step].contiguous().numpy()
        self.marks[start : start + len(block)] = [zlib.crc32(view) for view in sample]

    def add(self, start: int, block: Tensor) -> None:
        """Line integrals [views, rows, columns] of views from `start` on."""
        stop = start + len(block)
        pool = torch.nn.functional.adaptive_avg_pool1d
        self.along_columns[start:stop] = pool(block.mean(1)[:, None], self.along_columns.shape[1])[:, 0].numpy()
        self.along_rows[start:stop] = pool(block.mean(2)[:, None], self.along_rows.shape[1])[:, 0].numpy()
        if block.shape[2] > 2:
            rough = block[:, :: max(1, block.shape[1] // GRAINED)].diff(n=2, dim=2).abs().flatten(1)
            self.grain[start:stop] = rough.median(1).values.numpy()


class Watched:
    """Projections of line integrals whose profiles are taken while their views are read, block by block."""

    def __init__(self, projections: Projections) -> None:
        self._projections, self.shape, self.dtype = projections, projections.shape, projections.dtype
        self.profiles = ViewProfiles(self.shape[0], self.shape[1] if len(self.shape) == 3 else 1, self.shape[-1])

    def __getitem__(self, views: slice) -> Any:
        read = self._projections[views]
        block = torch.as_tensor(np.asarray(read), dtype=torch.float32)
        block = block.reshape(len(block), -1, self.shape[-1])
        start = views.indices(self.shape[0])[0]
        self.profiles.mark(start, block)
        self.profiles.add(start, block)
        return read
