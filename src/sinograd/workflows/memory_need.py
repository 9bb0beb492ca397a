"""What is said where a reconstruction needs more memory than there is: how much, by what, and what would fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sinograd.data.memory import available_memory
from sinograd.errors import OutOfMemory
from sinograd.workflows.estimate import needed_memory
from sinograd.workflows.job import NO_MEMORY, enough_memory

if TYPE_CHECKING:
    from sinograd.geometry import Geometry, Grid

_SHARE = 0.9  # of the available memory, for what is said to fit
_IN_SLABS = "an `output` such as volume.h5 is computed and written in slabs; in memory, "
_OWN = ("auto", "fdk", "fbp")


@contextmanager
def memory_for(
    geometry: Geometry, grid: Grid, algorithm: str, unit: str = "mm", in_slabs: bool = False
) -> Iterator[None]:
    """OutOfMemory with numbers, at once where more is needed than there is, or where memory runs out inside.

    unit: of lengths, "mm" or "pixel"; in_slabs: whether another output, which takes slabs, would fit.
    """
    free = available_memory()
    if needed_memory(geometry, grid.shape, algorithm) > free:
        raise OutOfMemory(memory_text(geometry, grid, algorithm, free, unit, in_slabs))
    try:
        with enough_memory():
            yield
    except OutOfMemory as error:
        if str(error) != NO_MEMORY:  # it names what it lacked memory for
            raise
        raise OutOfMemory(memory_text(geometry, grid, algorithm, free, unit, in_slabs)) from error.__cause__


def memory_text(
    geometry: Geometry, grid: Grid, algorithm: str, free: float, unit: str = "mm", in_slabs: bool = False
) -> str:
    """For example "not enough memory: 42 GB are needed (34 GB for the volume ...), 8 GB are available; ..."."""
    needed, room = needed_memory(geometry, grid.shape, algorithm), _SHARE * free
    name = "FDK or FBP" if algorithm in _OWN else algorithm
    volume, projections = 4 * math.prod(grid.shape), 4 * math.prod(geometry.projection_shape)
    what = (
        f"{_gigabytes(volume)} for a volume of {_times(grid.shape)}, {_gigabytes(projections)} for projections of "
        f"{_times(geometry.projection_shape)}, the rest for copies in {name}"
    )
    return (
        f"not enough memory: about {_gigabytes(needed)} are needed ({what}), {_gigabytes(free)} are available; "
        f"{_IN_SLABS if in_slabs else ''}{_remedy(geometry, grid, algorithm, room, unit)}"
    )


def _remedy(geometry: Geometry, grid: Grid, algorithm: str, room: float, unit: str) -> str:
    words = []
    if algorithm not in _OWN and needed_memory(geometry, grid.shape) <= room:
        words.append("`algorithm='auto'`")
    if needed_memory(geometry, (1,) * grid.ndim, algorithm) <= room:
        low, high = 1.0, float(max(grid.shape))
        for _ in range(40):
            middle = (low + high) / 2
            fits = needed_memory(geometry, tuple(max(1, math.ceil(n / middle)) for n in grid.shape), algorithm) <= room
            low, high = (low, middle) if fits else (middle, high)
        if unit == "mm":
            words.append(f"`voxel_mm={float(f'{min(grid.spacing) * high * 1.005:.3g}')}`")
        else:
            words.append(f"`binning={math.ceil(high)}`")
        if grid.ndim == 3:
            slices = next((n for n in _halves(grid.shape[0]) if _slab_fits(geometry, grid, n, algorithm, room)), 0)
            if slices:
                words.append(f"`shape={','.join(map(str, (slices, *grid.shape[1:])))}` (a slab about the middle)")
    if not words:
        return "the projections alone do not fit: fewer `views`, `rows` or `columns`, or `binning=2`, need less"
    return f"{', or '.join(words)} would fit"


def _halves(count: int) -> Iterator[int]:
    while count > 1:
        count //= 2
        yield count


def _slab_fits(geometry: Geometry, grid: Grid, slices: int, algorithm: str, room: float) -> bool:
    return needed_memory(geometry, (slices, *grid.shape[1:]), algorithm) <= room


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 or math.isinf(count) else f"{count / 1e6:.3g} MB"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
