"""What the iterative algorithms ask of an operator, and what they keep about it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable
from weakref import WeakKeyDictionary

from torch import Tensor

from sinograd.errors import InputTypeError
from sinograd.ops.stored import StoredTensor

T = TypeVar("T")

_KEPT: WeakKeyDictionary[Any, dict[Hashable, Any]] = WeakKeyDictionary()


@runtime_checkable
class Operator(Protocol):
    """Anything linear with `A(x)` and `A.T(y)`, tensors in and out.

    `domain_shape` and `range_shape` (shapes without batch dimensions), where an operator has them, make leading
    dimensions a batch of separate problems; without them all that is given is one problem. `subset(views)` gives the
    operator of some of the views (for `sart` and `os_sart`). `grid` gives the spacing of voxels (for total variation).
    """

    @property
    def T(self) -> Callable[[Any], Any]:
        """The adjoint."""
        ...

    def __call__(self, x: Any, /) -> Any:
        """A x."""
        ...


def check_operator(operator: object) -> None:
    """TypeError unless it can be called and has a `T` that can be called."""
    if not callable(operator):
        raise InputTypeError(f"operator: expected something with A(x) and A.T(y), got {type(operator).__name__}")
    if not callable(getattr(operator, "T", None)):
        raise InputTypeError(f"operator: expected {type(operator).__name__} to have an adjoint T that can be called")


def shape_of(operator: object, name: str) -> tuple[int, ...] | None:
    """`domain_shape` or `range_shape`, None where the operator does not tell it."""
    shape = getattr(operator, name, None)
    return None if shape is None else tuple(int(n) for n in shape)


def own(result: Tensor, argument: Tensor) -> Tensor:
    """What an operator gave, contiguous and in memory of its own, so that it can be written to."""
    if isinstance(result, StoredTensor):
        same = isinstance(argument, StoredTensor) and result.file is argument.file
    else:
        same = result.untyped_storage().data_ptr() == argument.untyped_storage().data_ptr()
    return result.clone() if same else result.contiguous()


def kept(operator: object, key: Hashable, make: Callable[[], T]) -> T:
    """`make()`, computed once for an operator and a key and kept as long as the operator lives."""
    try:
        store = _KEPT.setdefault(operator, {})
    except TypeError:  # neither hashed nor weakly referenced
        return make()
    if key not in store:
        store[key] = make()
    return store[key]
