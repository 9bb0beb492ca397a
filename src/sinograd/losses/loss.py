"""The protocol of losses, and how a configuration names one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Annotated, Any, Protocol

from torch import Tensor

from sinograd.choices import LOSSES
from sinograd.config.schema import Choice, from_plain
from sinograd.config.signature import options_of, schema_of
from sinograd.errors import InputTypeError
from sinograd.losses.own import scaled


class Loss(Protocol):
    """A function of a prediction and its target, both [..., Y, X] or, if `pointwise`, of any one shape.

    A loss may have an attribute `pointwise`, False where it needs whole images: then tasks that compare single voxels
    refuse it. And a method `check(shape)`, which raises InputError for images that it cannot compare. A class in the
    registry has its options as arguments of its constructor.

    A loss whose options have a unit has it as attribute `unit`: values must be in it, and `scale` is not used. A loss
    with options that follow from unfiltered training data names them in `found` (they are None until then), and its
    method `normalised(pairs)`, of (input, target), returns the loss with them.

    Further optional members: `check_targets(targets, scale=...)` raises InputError where the values of training targets
    are not what the loss needs; `takes_stages`: it takes what a network makes on its way, as `stages`; `notes`: texts
    for the record of a model that was trained with it.
    """

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, [], of the dtype of `predicted`, without a unit: `scale` is what counts as 1 in that of the data.

        So a squared error is divided by `scale` squared, and learning rates mean the same for any data.
        """
        ...


def loss_schema(name: str) -> type:
    """The dataclass of a loss's options; raises InputError for an unknown name."""
    return _schema(name, LOSSES.load(name))


LOSS = Choice(lambda: LOSSES, loss_schema, short=True)


@dataclass(frozen=True)
class _Named:
    loss: Annotated[Any, LOSS]


def as_loss(choice: Any) -> Loss:
    """A loss from what a configuration says: a name, a mapping or `loss_schema` with options, or a loss itself.

    A function without an argument `scale`, such as `torch.nn.L1Loss()`, gets prediction and target in the unit of the
    data.

    Raises:
        ConfigError: an unknown name or option. InputTypeError: anything else.
    """
    if isinstance(choice, str | Mapping):
        choice = from_plain(_Named, {"loss": choice}).loss
    if isinstance(choice, str):
        return _built(choice, {})
    if is_dataclass(choice) and not callable(choice):
        return _built(choice.name, options_of(choice))  # pyright: ignore[reportAttributeAccessIssue]
    if not callable(choice) or isinstance(choice, type):
        raise InputTypeError(f"loss: expected a name, a mapping with a name or a loss, got {choice!r}")
    return scaled(choice)


def with_found_options(choice: Any, pairs: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> Any:
    """What a configuration says of a loss, with the options that the loss finds from pairs of input and target.

    The choice itself where there are none, or all are given. Raises what `normalised` of the loss raises.
    """
    loss: Any = as_loss(choice)
    names = [name for name in getattr(loss, "found", ()) if getattr(loss, name) is None]
    if not names:
        return choice
    filled = loss.normalised(pairs())
    if callable(choice):
        return filled
    if isinstance(choice, str | Mapping):
        choice = from_plain(_Named, {"loss": {"name": choice} if isinstance(choice, str) else choice}).loss
    return replace(choice, **{name: getattr(filled, name) for name in names})


@functools.cache
def _schema(name: str, kind: Any) -> type:
    return schema_of(name, kind if isinstance(kind, type) else _no_options)


def _no_options() -> None:
    """What stands for a function, which has none."""


def _built(name: str, options: dict[str, Any]) -> Loss:
    kind = LOSSES.load(name)
    return kind(**options) if isinstance(kind, type) else kind
