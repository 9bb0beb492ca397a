"""Smallest and largest value of a volume and its percentiles, read in blocks: memory of one block.

Percentiles are values of the volume, the ones of their ranks, as float32: the bits of a float32 are brought into the
order of the numbers, and counted by their upper half in a first pass, by their lower half, where a percentile lies, in
a second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sinograd.data.volume import Volume

PERCENTILES = (0.5, 50.0, 99.5)
MOST_BYTES = 4 << 30  # as float32; of larger volumes some slices are read
HISTOGRAM_BINS = 48
_HALF, _BINS = 16, 1 << 16


@dataclass(frozen=True)
class ValueRange:
    """What the values of a volume are.

    Attributes:
        low, high: of the finite ones; NaN where there is none.
        percentiles: by their percentages.
        count, finite: values that were read, and how many of them are finite.
        every: 1, or of how many slices one was read.
        counts: [48] values in bins of equal width between the two ends of `span`; empty where all values are equal.
        span: about the lowest and the highest percentile, so that few outliers do not fill it.
    """

    low: float
    high: float
    percentiles: dict[float, float]
    count: int
    finite: int
    every: int = 1
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    span: tuple[float, float] = (np.nan, np.nan)


def value_range(
    volume: Volume, percentages: Sequence[float] = PERCENTILES, *, most_bytes: int = MOST_BYTES
) -> ValueRange:
    """The range of a volume; of one with more than `most_bytes` as float32 that of every n-th slice."""
    nbytes = 4 * int(np.prod(volume.shape))
    every = max(1, -(-nbytes // most_bytes))
    upper, total = np.zeros(_BINS, np.int64), 0
    low, high = np.inf, -np.inf
    for values in _blocks(volume, every):
        total += values.size
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            upper += np.bincount(_ordered(values) >> _HALF, minlength=_BINS)
    finite = int(upper.sum())
    if not finite:
        return ValueRange(np.nan, np.nan, dict.fromkeys(percentages, np.nan), total, 0, every)
    ranks = [round((finite - 1) * share / 100) for share in percentages]
    before = np.concatenate([[0], np.cumsum(upper)])
    bins = [int(np.searchsorted(before, rank, side="right")) - 1 for rank in ranks]
    lower = {number: np.zeros(_BINS, np.int64) for number in bins}
    span = _span(bins, low, high)
    histogram = np.zeros(HISTOGRAM_BINS if span[0] < span[1] else 0, np.int64)
    for values in _blocks(volume, every):
        values = values[np.isfinite(values)]
        _count(values, span, histogram)
        keys = _ordered(values)
        for number, counts in lower.items():
            chosen = keys[keys >> _HALF == number]
            counts += np.bincount(chosen & (_BINS - 1), minlength=_BINS)
    found = {}
    for share, rank, number in zip(percentages, ranks, bins, strict=True):
        place = np.searchsorted(np.cumsum(lower[number]), rank - before[number], side="right")
        found[share] = _value((number << _HALF) + int(place))
    return ValueRange(low, high, found, total, finite, every, histogram, span)


def _span(bins: Sequence[int], low: float, high: float) -> tuple[float, float]:
    """Least and largest value of the bins that hold the percentiles, as far as there are such values."""
    first, last = _value(min(bins) << _HALF), _value(((max(bins) + 1) << _HALF) - 1)
    return (first if first > low else low), (last if last < high else high)


def _count(values: np.ndarray, span: tuple[float, float], counts: np.ndarray) -> None:
    """Adds values within a span to `counts` of bins of equal width; the last one holds its upper end."""
    if not counts.size:
        return
    inside = values[(values >= span[0]) & (values <= span[1])]
    place = (inside.astype(np.float64) - span[0]) * (counts.size / (span[1] - span[0]))
    counts += np.bincount(np.minimum(place.astype(np.int64), counts.size - 1), minlength=counts.size)


def _blocks(volume: Volume, every: int) -> Iterator[np.ndarray]:
    """The values of a volume as flat float32 arrays."""
    if every == 1:
        for first, end in volume.blocks():
            yield volume.read(first, end).detach().cpu().numpy().ravel()
    else:
        for first in range(0, volume.slices, every):
            yield volume.read(first, first + 1).detach().cpu().numpy().ravel()


def _ordered(values: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 in the order of float32 values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -1 - (bits & 0x7FFFFFFF), bits) + (1 << 31)


def _value(key: int) -> float:
    bits = key - (1 << 31)
    bits = bits if bits >= 0 else (-1 - bits) | (1 << 31)
    return float(np.array(bits, np.uint32).view(np.float32))
