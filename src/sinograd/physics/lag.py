"""Lag of detectors: each reading leaves a remainder in those after it, which decays exponentially."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import number


@dataclass(frozen=True)
class Lag:
    """A detector's impulse response over the views, b0 at once and sum_n b_n exp(-a_n k) k views later.

    J. Hsieh, O. E. Gurmen, K. F. King, "Recursive correction algorithm for detector decay characteristics in CT", SPIE
    3977, 2000. The response adds up to one: b0 = 1 - sum_n b_n / (1 - exp(-a_n)).

    Args:
        amplitudes: b_n, shares of the signal.
        rates: a_n, 1/view.

    Raises:
        ValueError: as many of each are needed, positive, and so small that b0 is above zero.
    """

    amplitudes: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("amplitudes", "rates"):
            values = getattr(self, name)
            values = values if isinstance(values, Sequence) else (values,)
            object.__setattr__(self, name, tuple(number(value, name) for value in values))
        if not self.rates or len(self.rates) != len(self.amplitudes):
            raise InputError(
                f"lag: expected as many amplitudes as rates, got {len(self.amplitudes)} and {len(self.rates)}"
            )
        if not all(0 < value < float("inf") for value in (*self.amplitudes, *self.rates)):
            raise InputError(f"lag: expected positive numbers, got {self.amplitudes} and {self.rates}")
        left = self.at_once - sum(self.amplitudes)
        if not left > 0:
            raise InputError(
                f"lag: amplitudes {self.amplitudes} at rates {self.rates} leave {left:.3g} of the signal for the view "
                "itself: expected more than 0"
            )

    @property
    def at_once(self) -> float:
        """The share of a reading that is read in its own view, b0 + sum_n b_n."""
        left = sum(b / -math.expm1(-a) for b, a in zip(self.amplitudes, self.rates, strict=True))
        return 1 - left + sum(self.amplitudes)


def add_lag(signal: Tensor, lag: Lag) -> Tensor:
    """Readings [views, ...] with the remainders of those before; differentiable. The first view follows darkness."""
    return with_lag(signal, lag)[0]


def with_lag(signal: Tensor, lag: Lag, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Readings likewise, and the state [terms, ...] that the next views go on from."""
    return _recursion(signal, lag, state)


def remove_lag(readings: Tensor, lag: Lag, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The signal [views, ...] of readings with lag, and the state [terms, ...] that the next views go on from."""
    return _recursion(readings, lag, state, undo=True)


def _recursion(values: Tensor, lag: Lag, state: Tensor | None, undo: bool = False) -> tuple[Tensor, Tensor]:
    """S_n <- exp(-a_n) (S_n + x): what each term still holds; reading = b x + sum_n b_n S_n."""
    shape = (-1, *([1] * (values.ndim - 1)))
    decay = torch.exp(-torch.tensor(lag.rates, dtype=torch.float64)).to(values).reshape(shape)
    share = torch.tensor(lag.amplitudes, dtype=torch.float64).to(values).reshape(shape)
    held = torch.zeros_like(values[:1]).expand(len(lag.rates), *values.shape[1:]) if state is None else state
    result = []
    for view in values:
        left = (share * held).sum(0)
        signal = (view - left) / lag.at_once if undo else view
        result.append(signal if undo else lag.at_once * view + left)
        held = decay * (held + signal)
    return torch.stack(result), held
