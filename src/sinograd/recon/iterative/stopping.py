"""When to stop before the last iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import without_gradients


@dataclass(frozen=True)
class Stop:
    """Stopping rules besides the number of iterations; the first that all problems of a batch fulfil ends the run.

    Attributes:
        residual: stop when |p - A x| <= residual |p|.
        noise: standard deviation of the projections' noise, one number or a tensor that broadcasts to the projections.
            Stop when |p - A x| <= factor |noise|: Morozov's discrepancy principle, after which more iterations
            reconstruct noise. With weights w, both sides are weighted by their square root.
        factor: of the discrepancy principle; somewhat above 1 where the model has errors of its own.

    Raises:
        ValueError: a number that is negative or not finite, or a factor below 1.
    """

    residual: float | None = None
    noise: float | Tensor | None = None
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.residual is not None and not 0 <= self.residual < math.inf:
            raise InputError(f"stop.residual: expected a number from 0, got {self.residual}")
        if self.noise is not None:
            without_gradients(self.noise, "stop.noise")
            noise = torch.as_tensor(self.noise)
            if not bool(((noise >= 0) & torch.isfinite(noise)).all()):
                raise InputError("stop.noise: expected finite standard deviations from 0, got others")
        if not 1 <= self.factor < math.inf:
            raise InputError(f"stop.factor: expected a number from 1, got {self.factor}")
