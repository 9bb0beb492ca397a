"""Stripes told by the order of readings: each column sorted, a median along the columns, and the order restored."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.preparation.stripes.columns import checked_size, median_along_columns
from sinograd.preparation.stripes.smoothing import low_frequencies

# Of the columns, for the median.
SHARE = 0.01


def sort_stripes(sinograms: Tensor, *, size: int | None = None) -> Tensor:
    """Sinograms [n, views, columns] without full and partial stripes; differentiable.

    Vo, Atwood and Drakopoulos 2018, algorithm 3: the median of `size` columns of readings in order of size, put back in
    the order of the views. What is narrower than half of `size` goes, in the object too where its mean over the views
    is (close to the axis).
    """
    ranked, order = sinograms.sort(1)
    size = max(5, round(SHARE * sinograms.shape[2])) if size is None else size
    medians = median_along_columns(ranked, checked_size(size, "size"))
    return torch.zeros_like(medians).scatter(1, order, medians)


def filter_stripes(sinograms: Tensor, *, size: int | None = None, frequency: float = 3.0) -> Tensor:
    """The same for the part of each column that changes slowly over the views; differentiable.

    Vo, Atwood and Drakopoulos 2018, algorithm 2: only frequencies up to about `frequency` periods in all views (of a
    Gaussian, its standard deviation) are sorted and filtered.
    """
    slow = low_frequencies(sinograms, frequency)
    return sinograms - slow + sort_stripes(slow, size=size)
