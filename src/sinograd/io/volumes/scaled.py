"""Volumes that are stored as whole numbers and read as value = slope * stored + intercept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.data.boxes import Box, box_of
from sinograd.data.sources import VolumeSource
from sinograd.io.volumes.scale import checked_scale


def scaled(values: Any, scale: Any) -> Any:
    """The values (a tensor or a `VolumeSource`) as float32; InputError for a scale that is none."""
    slope, intercept = checked_scale(scale)
    return _of(values, slope, intercept) if isinstance(values, Tensor) else Scaled(values, slope, intercept)


@dataclass(frozen=True)
class Scaled:
    """Whole numbers of a source as the values that they stand for."""

    stored: VolumeSource
    slope: float
    intercept: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the source."""
        return self.stored.shape

    @property
    def dtype(self) -> torch.dtype:
        """float32."""
        return torch.float32

    @property
    def block(self) -> int:
        """Of the source."""
        return int(getattr(self.stored, "block", 1))

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        return _of(self.stored.read(first, end), self.slope, self.intercept)

    def read_box(self, box: Box) -> Tensor:
        """Voxels of a box."""
        return _of(box_of(self.stored, box), self.slope, self.intercept)


def _of(stored: Tensor, slope: float, intercept: float) -> Tensor:
    return (stored.to(torch.int32).double() * slope + intercept).float()
