"""What an argument must be: each check returns the value in its one stored form, or says what is wrong."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor  # pyright: ignore[reportMissingImports]

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError, ScanWarning
from sinograd.geometry.tangents import has_tangent

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Values: TypeAlias = "Tensor | ArrayLike"
"""Numbers in any array form: a tensor, a numpy array, a (nested) sequence."""


MOST = 1 << 40  # of a count

# The fewest views that tell degrees, and the share of a step by which steps are the same.
LEAST_DEGREES, EVEN = 8, 0.01


def without_gradients(value: object, name: str, levels: int = 3) -> None:
    """InputError for a tensor that requires gradients, or nested sequences with one: what is stored would lose them."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise InputError(
                f"{name} requires gradients, which do not pass through it and would be lost: pass {name}.detach()"
            )
        if has_tangent(value):
            raise InputError(
                f"{name} has a tangent of forward mode, which does not pass through it and would be lost: expected a "
                "tensor without one"
            )
    elif levels and isinstance(value, list | tuple):
        for item in value:
            without_gradients(item, name, levels - 1)


def scalar(value: object) -> object:
    """Numbers of numpy and torch, and arrays and tensors without dimensions, as Python's; all else as it came."""
    return value.item() if isinstance(value, Tensor | np.ndarray | np.generic) and value.ndim == 0 else value


def floats(values: Any, name: str) -> Any:
    """Lists of numbers, which may be nested, as lists of floats; all else as it came. InputTypeError for others."""
    if isinstance(values, list | tuple):
        return [floats(value, name) for value in values]
    is_array = isinstance(values, Tensor | np.ndarray) and values.ndim > 0
    return values if is_array else real(values, name)


def real(value: object, name: str) -> float:
    """A real number as float, infinite ones and NaN too; bools, text and tensors that require gradients are refused."""
    without_gradients(value, name)
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputTypeError(f"{name} must be a number, got {shown(value)} ({type(value).__name__})")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def number(value: object, name: str) -> float:
    """A finite real number as float; bools, text and tensors that require gradients are refused."""
    result = real(value, name)
    if not math.isfinite(result):
        raise InputError(f"{name} must be finite, got {result}")
    return result


def followed(value: object) -> TypeGuard[Tensor]:
    """Whether autograd follows a tensor that stands for itself, backwards: not one of a transform of `torch.func`."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return False
    return not is_functorch_wrapped_tensor(value) and not has_tangent(value)


def parameter(value: object, name: str) -> float | Tensor:
    """As `number`; a tensor that requires gradients keeps them (float64, without dimensions)."""
    if not followed(value):
        return number(value, name)
    if value.ndim:
        raise InputError(f"{name} must be a number, got a tensor {list(value.shape)}")
    number(value.detach(), name)
    return value.to("cpu", torch.float64)


def plain(value: Any) -> Any:
    """Without gradients; a tensor without dimensions as a number."""
    if not isinstance(value, Tensor):
        return value
    return value.detach() if value.ndim else value.detach().item()


def positive(value: object, name: str) -> float:
    """A finite number above zero."""
    result = number(value, name)
    if result <= 0:
        raise InputError(f"{name} must be positive, got {result:g}")
    return result


def count(value: object, name: str) -> int:
    """An integer of at least 1; bools and floats are refused."""
    value = scalar(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputTypeError(f"{name} must be an integer, got {shown(value)} ({type(value).__name__})")
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {shown(value)}")
    if int(value) > MOST:
        raise InputError(f"{name} must be at most {MOST:,}, got {shown(value)}")
    return int(value)


def is_sequence(value: object) -> bool:
    """Whether value is a list, a tuple or an array of at least one dimension (text is not)."""
    if isinstance(value, str | bytes):
        return False
    return isinstance(value, Sequence) or getattr(value, "ndim", 0) > 0


def entries(value: object, name: str, meaning: str) -> tuple[object, ...]:
    """The entries of a sequence as a tuple; `meaning` says in the error what was expected."""
    if not is_sequence(value):
        raise InputTypeError(f"{name} must be {meaning}, got {shown(value)} ({type(value).__name__})")
    without_gradients(value, name)
    return tuple(value)  # pyright: ignore[reportArgumentType]


def shape(value: object, name: str, meaning: str, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """A tuple of counts with one of the allowed lengths."""
    items = entries(value, name, meaning)
    if len(items) not in lengths:
        raise InputError(f"{name} must be {meaning}, got {len(items)} numbers: {shown(items)}")
    return tuple(count(item, f"{name}[{i}]") for i, item in enumerate(items))


def spacing(value: object, name: str, ndim: int) -> tuple[float, ...]:
    """Positive mm per element for each of ndim axes; one number serves all axes."""
    if not is_sequence(value):
        return (positive(value, name),) * ndim
    items = entries(value, name, "a number or one number for each axis")
    if len(items) != ndim:
        raise InputError(f"{name} must be one number or {ndim}, one for each axis, got {len(items)}: {shown(items)}")
    return tuple(positive(item, f"{name}[{i}]") for i, item in enumerate(items))


def values(value: object, name: str, form: tuple[int | str, ...], follow: bool = False) -> Tensor:
    """Finite numbers as a float64 CPU tensor (a copy) of the given form.

    form: the size of each dimension; a str is a free size and serves as its name in the error.
    follow: a tensor that requires gradients keeps them; else it is refused.
    """
    if not (follow and followed(value)):
        without_gradients(value, name)
    tensor = value if isinstance(value, Tensor) else _from_array(value, name, form)
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise InputTypeError(f"{name} must be real numbers, got {tensor.dtype}")
    fits = tensor.ndim == len(form) and all(
        isinstance(want, str) or want == got for want, got in zip(form, tensor.shape, strict=True)
    )
    if not fits:
        raise InputError(f"{name} must be {_form_text(form)}, got {list(tensor.shape)}")
    if tensor.numel() == 0:
        raise InputError(f"{name} is empty, expected {_form_text(form)} with at least one view")
    tensor = tensor.to("cpu", torch.float64, copy=True).contiguous()
    bad = ~torch.isfinite(tensor)
    if bad.any():
        first = bad.nonzero()[0].tolist()
        raise InputError(f"{name} must be finite, got {tensor[tuple(first)].item()} at {first}")
    return tensor


def angles(value: object) -> Tensor:
    """Gantry angles in radians: float64 [views], at least one. A ScanWarning where they look like degrees."""
    result = values(value, "angles", ("views",), follow=True)
    known = None if is_functorch_wrapped_tensor(result) else result.detach()
    if known is not None and _are_degrees(known):
        warnings.warn(
            f"angles: {len(known)} views over {float(known[-1] - known[0]):.5g} rad, evenly "
            f"{float(known[1] - known[0]):.4g} rad apart: they look like degrees; `torch.deg2rad(angles)` are radians",
            ScanWarning,
            stacklevel=4,
        )
    return result


def _are_degrees(turns: Tensor) -> bool:
    """Whether angles go in even steps over 180 or 360, with their end or without it: in radians that is no turn."""
    count = len(turns)
    if count < LEAST_DEGREES:
        return False
    step = float(turns[-1] - turns[0]) / (count - 1)
    if step == 0 or bool(((turns.diff() - step).abs() > EVEN * abs(step)).any()):
        return False
    return any(abs(n * abs(step) - total) < EVEN * abs(step) for n in (count, count - 1) for total in (180, 360))


def per_view(value: object, name: str, views: int) -> float | Tensor:
    """One number for all views (float), or one for each (tensor [views])."""
    return values(value, name, (views,), follow=True) if is_sequence(value) else parameter(value, name)


def per_view_offset(value: object, name: str, views: int) -> tuple[float, ...] | Tensor:
    """One (row, column) or (row, column, outward) for all views (0 means (0, 0)), or one for each ([views, 2 or 3])."""
    if not is_sequence(value):
        if number(value, name) == 0:
            return (0.0, 0.0)
        raise InputError(
            f"{name} must be a pair (row, column), (row, column, outward), [views, 2] or [views, 3], got {shown(value)}"
        )
    if followed(value):
        width = value.shape[-1] if value.shape[-1] == 3 else 2
        return values(value, name, (width,) if value.ndim == 1 else (views, width), follow=True)
    items = tuple(value) if any(followed(item) for item in value) else entries(value, name, "a pair (row, column)")  # pyright: ignore[reportGeneralTypeIssues, reportArgumentType]
    if len(items) in (2, 3) and not is_sequence(items[0]):
        numbers = tuple(parameter(item, f"{name}[{i}]") for i, item in enumerate(items))
        return _stacked(numbers)
    outward = bool(items) and is_sequence(items[0]) and len(entries(items[0], f"{name}[0]", "numbers")) == 3
    return values(value, name, (views, 3 if outward else 2))


def _stacked(numbers: tuple[float | Tensor, ...]) -> tuple[float, ...] | Tensor:
    """Numbers, some of which require gradients, as a tensor; else as they are."""
    if not any(followed(number) for number in numbers):
        return numbers  # pyright: ignore[reportReturnType]
    return torch.stack([torch.as_tensor(number, dtype=torch.float64) for number in numbers])


def _from_array(value: object, name: str, form: tuple[int | str, ...]) -> Tensor:
    # through numpy, which also takes reversed, read-only and byte-swapped arrays
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} must be numbers {_form_text(form)}: {error}") from error
    if array.dtype.kind not in "iuf":
        raise InputTypeError(f"{name} must be real numbers {_form_text(form)}, got {array.dtype} from {shown(value)}")
    return torch.from_numpy(np.array(array, dtype=np.float64, order="C"))


def _form_text(form: tuple[int | str, ...]) -> str:
    return "[" + ", ".join(str(size) for size in form) + "]"
