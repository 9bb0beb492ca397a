"""Projections that are made block of views by block of views, and how many of their readings were starved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Progress = Callable[[int, int], None]


def made_by_views(
    shape: tuple[int, ...],
    make: Callable[[slice], tuple[Tensor, ...]],
    block: int,
    progress: Progress | None = None,
) -> tuple[Tensor, ...]:
    """Projections [views, ...] in the memory of the results and one block.

    Args:
        shape: of each result.
        make: the blocks of all results for some views, float32; called in the order of the views, once each, so that a
            generator in it draws the same numbers in every run with the same `block`.
        block: views at a time.
        progress: called with (views done, views).
    """
    results: tuple[Tensor, ...] = ()
    for views in view_slices(shape[0], block):
        parts = make(views)
        results = results or tuple(torch.empty(shape) for _ in parts)
        for result, part in zip(results, parts, strict=True):
            result[views] = part
        if progress is not None:
            progress(views.stop, shape[0])
    return results


def view_slices(views: int, block: int) -> Iterator[slice]:
    """Slices of at most `block` views."""
    for start in range(0, views, block):
        yield slice(start, min(start + block, views))


def views_of_readings(shape: tuple[int, ...], readings: int) -> int:
    """Views that hold at most so many readings, at least one."""
    return max(1, readings // math.prod(shape[1:]))


@dataclass
class Starved:
    """Readings without photons, and those below the smallest count that is taken at its word.

    floor: that count.
    """

    floor: float = 0.0
    empty: int = 0
    raised: int = 0

    def counted(self, noisy: tuple[Tensor, Tensor]) -> Tensor:
        """The line integrals of (line integrals, counts), as `add_photon_noise` and `low_dose` return them."""
        self.empty += int((noisy[1] <= 0).sum())
        self.raised += int((noisy[1] < self.floor).sum())
        return noisy[0]

    def add(self, other: Starved) -> None:
        """The readings of other views."""
        self.empty += other.empty
        self.raised += other.raised
