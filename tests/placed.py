"""Volumes of tests: values and the size of their voxels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sinograd.data import Volume
from sinograd.geometry import Grid


def placed(values: Tensor, spacing: float | Sequence[float], unit: str | None = None) -> Volume:
    """A volume with voxels of `spacing` mm about the origin."""
    return Volume(values, Grid(tuple(values.shape), spacing), unit)  # pyright: ignore[reportArgumentType]
