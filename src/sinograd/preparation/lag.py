"""Lag taken out of readings, view by view in the order of the scan."""

from __future__ import annotations

from torch import Tensor

from sinograd.errors import InputTypeError
from sinograd.physics.lag import Lag, remove_lag


def correct_lag(readings: Tensor, lag: Lag, *, state: Tensor | None = None, return_state: bool = False) -> Tensor:
    """Readings [views, ...] without what the views before left in them; differentiable.

    Hsieh, Gurmen and King 2000; see `physics.Lag`. Before the logarithm, and after the dark image.

    Args:
        readings: of all views in the order in which they were measured, or of a block of them.
        lag: the detector's.
        state: what the block before left; None: darkness before the first view.
        return_state: give (readings, state), for the next block.

    Raises:
        TypeError: readings that are no floating-point tensor, or a lag that is no `Lag`.
    """
    if not isinstance(readings, Tensor) or not readings.is_floating_point() or readings.ndim < 1:
        raise InputTypeError("readings must be a tensor of floating-point numbers [views, ...]")
    if not isinstance(lag, Lag):
        raise InputTypeError(f"lag must be a Lag, got {type(lag).__name__}")
    signal, after = remove_lag(readings, lag, state)
    return (signal, after) if return_state else signal  # pyright: ignore[reportReturnType]
