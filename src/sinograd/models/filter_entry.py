"""One bilateral filter in a model file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from torch import nn

from sinograd.config.schema import POSITIVE
from sinograd.errors import InputTypeError
from sinograd.models.bilateral import BILATERAL


@dataclass(frozen=True)
class FilterEntry:
    """One bilateral filter."""

    dimensions: Literal[2, 3]
    sigma_spatial: tuple[Annotated[float, POSITIVE], ...]
    sigma_range: Annotated[float, POSITIVE]
    input_scale: Annotated[float, POSITIVE] = 1.0
    window: int | tuple[int, ...] | None = None

    def build(self) -> nn.Module:
        """The layer."""
        kind = BILATERAL[self.dimensions - 2]
        return kind(self.sigma_spatial, self.sigma_range, input_scale=self.input_scale, window=self.window)


def describe_filter(layer: nn.Module) -> FilterEntry:
    """The numbers of one bilateral filter, as a model file holds them."""
    if not isinstance(layer, BILATERAL):
        raise InputTypeError(f"layer: expected a bilateral filter, got {type(layer).__name__}")
    return FilterEntry(
        2 if layer.ndim == 2 else 3,
        tuple(_rounded(sigma) for sigma in layer.sigma_spatial.tolist()),
        _rounded(layer.sigma_range.item()),
        _rounded(layer.input_scale.item()),
        layer.window,
    )


def _rounded(value: float) -> float:
    """The shortest number that float32 rounds to the same."""
    return float(str(np.float32(value)))
