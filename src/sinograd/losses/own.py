"""Losses of one's own: any function of a prediction and its target."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.config.own_code import imported
from sinograd.errors import ConfigError, InputError


class OwnLoss:
    """A loss that is imported, where imports are allowed: `{name: own, path: "losses:huber"}`.

    Args:
        path: "module:name" of a function of prediction and target, or of a class that makes one, such as
            torch.nn:SmoothL1Loss.
        options: arguments of the class, or further ones of the function.

    Raises ConfigError where imports are not allowed, or it cannot be imported or made.
    """

    def __init__(self, path: str, options: dict[str, Any] = {}) -> None:  # noqa: B006, the schema copies it
        found = imported(path)
        try:
            made = found(**options) if isinstance(found, type) else functools.partial(found, **options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"options: {path} does not take {options}: {error}") from error
        if not callable(made):
            raise ConfigError(f"path: expected a function or a class of losses, got {path}")
        self.loss = scaled(made)

    def __getattr__(self, name: str) -> Any:
        """Optional members of losses, such as `pointwise`."""
        if name == "loss":
            raise AttributeError(name)
        return getattr(self.loss, name)

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, []."""
        return self.loss(predicted, target, scale=scale)


class Unscaled:
    """A function of prediction and target alone as a loss: it gets them in the unit of the data."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function

    def __getattr__(self, name: str) -> Any:
        """Optional members of losses, such as `pointwise`."""
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, []; InputError where the function gives something else than one number with a gradient."""
        loss = self.function(predicted, target)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise InputError(f"loss: expected a function that returns one number as a tensor, got {got}")
        if predicted.requires_grad and torch.is_grad_enabled() and not loss.requires_grad:
            raise InputError("loss: expected a function of the prediction, got a number without its gradient")
        return loss.reshape(())


def scaled(function: Any) -> Any:
    """The function itself where it takes `scale`, else an `Unscaled` of it."""
    called = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(called).parameters
    except (TypeError, ValueError):  # of builtins that do not tell
        return Unscaled(function)
    return function if "scale" in parameters else Unscaled(function)
