"""Axes of stored volumes that run against the world's, or in another order: turned into z, y, x of growing coordinates.

A direction matrix holds, column by column, the unit vectors along the stored axes x, y, z in the world. Where these are
the world's axes but for order and signs, reversing and exchanging axes makes a volume whose voxels lie where they were.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.sources import VolumeSource
from sinograd.errors import FormatError, ScanWarning

_CLOSE = 1e-4  # of direction cosines, which headers round
_NAMES = "xyz"


@dataclass(frozen=True)
class Orientation:
    """How a stored array [z, y, x] or [y, x] becomes one along the world's axes.

    Attributes:
        axes: for each array axis of the world, the stored array axis that runs along it.
        reversed: for each array axis of the world, whether the stored one runs against it.
    """

    axes: tuple[int, ...]
    reversed: tuple[bool, ...]

    @property
    def is_identity(self) -> bool:
        """Whether the stored axes are the world's."""
        return self.axes == tuple(range(len(self.axes))) and not any(self.reversed)

    @property
    def words(self) -> str:
        """What is done to the stored array."""
        ndim = len(self.axes)
        order = [_NAMES[ndim - 1 - axis] for axis in reversed(self.axes)]
        exchanged = f"its axes are in the order {', '.join(order)} of the world's x, y, z"[: None if ndim == 3 else -3]
        against = [_NAMES[ndim - 1 - axis] for axis, flip in enumerate(self.reversed) if flip]
        parts = [exchanged] if self.axes != tuple(range(ndim)) else []
        if against:
            parts.append(f"it is stored against the world's {' and '.join(reversed(against))}")
        return " and ".join(parts)

    def shape(self, stored: Sequence[int]) -> tuple[int, ...]:
        """The shape along the world's axes."""
        return tuple(int(stored[axis]) for axis in self.axes)

    def turned(self, array: Any) -> Any:
        """An array or a tensor, its axes in the world's order and directions; a copy where something is reversed."""
        flips = tuple(axis for axis, flip in enumerate(self.reversed) if flip)
        if isinstance(array, Tensor):
            array = array.permute(self.axes)
            return array.flip(flips) if flips else array.contiguous()
        array = np.transpose(array, self.axes)
        return np.ascontiguousarray(np.flip(array, flips) if flips else array)


def orientation_of(direction: np.ndarray, name: str | Path) -> Orientation:
    """The orientation of a direction matrix [3, 3] or [2, 2] (see the module).

    Raises FormatError, which names the file and the angle, for axes that are oblique or no axes.
    """
    direction = np.asarray(direction, dtype=np.float64)
    ndim = len(direction)
    nearest = np.abs(direction).argmax(axis=0)
    signs = np.sign(direction[nearest, np.arange(ndim)])
    exact = np.zeros_like(direction)
    exact[nearest, np.arange(ndim)] = signs
    if len(set(nearest.tolist())) < ndim or not np.allclose(direction, exact, rtol=0, atol=_CLOSE):
        text = " ".join(f"{value:.4g}" for value in direction.ravel())
        angle = oblique_angle(direction)
        raise FormatError(
            f"{name} has axes that are turned by {angle:.3g} degrees against the world's, which a grid cannot have; "
            f"resample it along them first (direction {text})"
        )
    axes, against = [0] * ndim, [False] * ndim
    for stored, world in enumerate(nearest.tolist()):
        axes[ndim - 1 - world] = ndim - 1 - stored
        against[ndim - 1 - world] = bool(signs[stored] < 0)
    return Orientation(tuple(axes), tuple(against))


def oblique_angle(direction: np.ndarray) -> float:
    """Degrees between the axes and those of the world that are nearest, the largest one."""
    largest = np.abs(direction).max(axis=0) / np.maximum(np.linalg.norm(direction, axis=0), 1e-30)
    return math.degrees(math.acos(float(np.clip(largest.min(), -1, 1))))


def tell(orientation: Orientation, name: str | Path) -> None:
    """A ScanWarning that says what is turned."""
    if not orientation.is_identity:
        warnings.warn(
            f"{name}: {orientation.words}; it is read along the world's axes, every voxel where it was",
            ScanWarning,
            stacklevel=4,
        )


@dataclass(frozen=True)
class TurnedSource:
    """The values of a source along the world's axes, read when they are needed."""

    held: VolumeSource
    orientation: Orientation

    @property
    def shape(self) -> tuple[int, ...]:
        """Along the world's axes."""
        return self.orientation.shape(self.held.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return self.held.dtype

    @property
    def block(self) -> int:
        """All slices, where these are not the stored ones."""
        if self._same_slices:
            return int(getattr(self.held, "block", 1))
        return self.shape[0]

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1; where these are not the stored ones, all are read."""
        if len(self.shape) == 2:
            return self.orientation.turned(self.held.read(0, 1)[0])[None][first:end]
        count = self.held.shape[0]
        if not self._same_slices:
            return self.orientation.turned(self.held.read(0, count))[first:end]
        start, stop = (count - end, count - first) if self.orientation.reversed[0] else (first, end)
        return self.orientation.turned(self.held.read(start, stop))

    @property
    def _same_slices(self) -> bool:
        return len(self.shape) == 3 and self.orientation.axes[0] == 0
