"""Values of options: natural Python values, or the text of a command line or a configuration file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from sinograd.config.paths import checked_path
from sinograd.config.regular_files import check_file
from sinograd.errors import InputError, InputTypeError

T = TypeVar("T", int, float)

# Files, and how a job runs: no part of what makes its result.
_NOT_RECORDED = frozenset(
    {
        *("scan", "output", "preview", "page", "page_3d", "center_picture", "device", "resume", "force", "report"),
        *("memory", "scratch", "cluster", "client", "part"),
    }
)
_SPANS = ("rows", "columns", "air")
_MOST_VIEWS = 10_000_000


def numbers(value: Any, kind: type[T], name: str) -> tuple[T, ...] | None:
    """A number, several, or text with commas between them; None stays None."""
    if value is None:
        return None
    value = _item(value)
    parts = value.split(",") if isinstance(value, str) else [value] if _is_number(value) else value
    try:
        parts = tuple(_item(part) for part in parts)
        result = tuple(kind(part) for part in parts)
        if any(isinstance(part, bool) for part in parts):
            raise ValueError
        if kind is int and not isinstance(value, str) and result != parts:
            raise ValueError
    except (OverflowError, TypeError, ValueError):
        noun = "whole numbers" if kind is int and not isinstance(value, str) else "numbers"
        raise InputError(f"`{name}`: expected {noun} with commas between them, got {value!r}") from None
    return result


def span(value: Any, name: str) -> tuple[int, int] | None:
    """FIRST:END as text or as two whole numbers; None stays None."""
    if value is None:
        return None
    try:
        first, end = value.split(":") if isinstance(value, str) else value
        result = int(first), int(end)
        if not isinstance(value, str) and result != (first, end):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"`{name}`: expected FIRST:END, two whole numbers, got {value!r}") from None
    return result


def part_of_all(value: Any, name: str = "part") -> tuple[int, int] | None:
    """K/N as text or as two whole numbers, K from 1 to N; None stays None."""
    if value is None:
        return None
    try:
        number, count = value.split("/") if isinstance(value, str) else value
        result = int(number), int(count)
        if not 1 <= result[0] <= result[1] or (not isinstance(value, str) and result != (number, count)):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"`{name}`: expected K/N with K from 1 to N, got {value!r:.40}") from None
    return result


def cluster_words(value: Any, name: str = "cluster") -> str | None:
    """local:N, the address of a scheduler or the name of a YAML file that is there; None stays None."""
    if value is None:
        return None
    kind, _, rest = str(value).partition(":")
    if kind == "local" and not (rest.isdecimal() and int(rest)):
        raise InputError(f"`{name}`: expected local:N with N workers, got {value!r}")
    if str(value).endswith((".yaml", ".yml")):
        check_file(str(value), f"`{name}`: no file of a queue at {value}")
    elif kind != "local" and "://" not in str(value):
        raise InputError(f"`{name}`: expected local:N, tcp://HOST:PORT or a .yaml file, got {value!r}")
    return str(value)


@dataclass(frozen=True, eq=False)
class Where:
    """Who computes: Dask workers by the words of `cluster`, or by a `client` that knows them; false: this process."""

    cluster: str | None = None
    client: Any = None

    def __bool__(self) -> bool:
        return self.cluster is not None or self.client is not None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Where:
        """Of the arguments `cluster`, `client` and `output` of a job, whose workers write beside the output."""
        found = cls(cluster_words(arguments["cluster"]), arguments.get("client"))
        if found.cluster is not None and found.client is not None:
            raise InputError("`cluster` and `client`: one of them says who computes")
        if found and arguments["output"] is None:
            raise InputError("`cluster` and `client` need an `output`: workers write files beside it")
        return found


def view_slice(value: Any, name: str = "views") -> slice | None:
    """A slice, or FIRST:END:STEP as Python has it, where every part may be missing; None stays None."""
    if value is None:
        return value
    try:
        if isinstance(value, slice):
            range(0)[value]  # raises for parts that are no whole numbers, and for steps of 0
            return value
        parts = [int(part) if part.strip() else None for part in value.split(":")]
        if not 2 <= len(parts) <= 3 or (len(parts) == 3 and parts[2] == 0):
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"`{name}`: expected FIRST:END or FIRST:END:STEP, whole numbers, got {value!r}") from None
    return slice(*parts)


def view_numbers(value: Any, name: str = "leave_out") -> tuple[int, ...] | None:
    """Numbers of views from 0: whole numbers, or "12,40-44" as text, both ends included; None stays None."""
    if value is None:
        return None
    try:
        parts = [part.partition("-")[::2] for part in value.split(",")] if isinstance(value, str) else []
        ranges = [(int(first), int(last or first)) for first, last in parts]
        if any(not 0 <= first <= last or last - first > _MOST_VIEWS for first, last in ranges):
            raise ValueError
    except ValueError:
        raise InputError(f"`{name}`: expected numbers of views from 0, as 12,40-44, got {value!r:.60}") from None
    if isinstance(value, str):
        return tuple(dict.fromkeys(number for first, last in ranges for number in range(first, last + 1)))
    found = numbers(value, int, name) or ()
    if any(number < 0 for number in found):
        raise InputError(f"`{name}`: expected numbers of views from 0, got {min(found)}")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class CenterColumn:
    """A centre of rotation as a column of the full, unbinned detector, counted from 0."""

    column: float

    def __str__(self) -> str:
        return f"column:{self.column:g}"


def center_choice(value: Any, name: str = "center") -> str | float | CenterColumn:
    """ "file", "auto", a number of pixels, or "column:" and a number."""
    value = _item(value)
    if isinstance(value, str) and value in ("file", "auto"):
        return value
    word, colon, rest = value.rpartition(":") if isinstance(value, str) else ("", "", value)
    found = _float(rest)
    if not math.isfinite(found) or (word if colon else "column") != "column":
        raise InputError(
            f"`{name}`: expected file, auto, a number of pixels or column:NUMBER (as column:296), got {value!r}"
        )
    return CenterColumn(found) if colon else found


def tilt_choice(value: Any, name: str = "tilt") -> str | float:
    """ "file", "auto" or a number of degrees."""
    value = _item(value)
    if isinstance(value, str) and value in ("file", "auto"):
        return value
    found = _float(value)
    if not -45 <= found <= 45:
        raise InputError(f"`{name}`: expected file, auto or a number of degrees from -45 to 45, got {value!r:.60}")
    return found


def number(value: Any, name: str, *, whole: bool = False) -> Any:
    """Python's number of any of Python, NumPy or torch; None stays None. InputTypeError for all else, text too."""
    value = _item(value)
    kind, noun = (Integral, "a whole number") if whole else (Real, "a number")
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
        raise InputTypeError(f"`{name}`: expected {noun}, got {value!r}")
    if value is None or isinstance(value, int | float):
        return value
    try:
        return int(value) if whole else float(value)  # pyright: ignore[reportArgumentType]
    except OverflowError:
        raise InputError(f"`{name}`: expected a finite number, got one with more digits than a float has") from None


def switch(value: Any, name: str) -> bool:
    """True or False. InputTypeError for everything else: the text "no" would be true."""
    value = _item(value)
    if not isinstance(value, bool):
        raise InputTypeError(f"`{name}`: expected True or False, got {value!r}")
    return value


def ring_choice(value: Any) -> bool | str:
    """The name of a method of ring removal, "none", or True or False, also in words, as configuration files may."""
    from sinograd.choices import STRIPE_METHODS

    value = _item(value)
    words = {"true": True, "false": False, "none": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, str):
        raise InputTypeError(f"`rings`: expected True, False or a method, got {value!r}")
    return choice(value, ("none", *STRIPE_METHODS.names()), "rings")


def choice(value: Any, allowed: Iterable[str], name: str) -> str:
    """One of some words."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise InputError(f"`{name}` must be one of {', '.join(allowed)}, got {value!r}")
    return value


def names(value: Any, name: str) -> tuple[str, ...]:
    """Several names, or text with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) and part.strip() for part in parts):
        raise InputError(f"`{name}`: expected names with commas between them, got {value!r}")
    return tuple(part.strip() for part in parts)


def path_or_none(value: str | os.PathLike[str] | None, name: str = "path") -> Path | None:
    """A path; None stays None."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise InputTypeError(f"`{name}`: expected a path, got {value!r}")
    return None if value is None else checked_path(value, f"`{name}`")


def recorded(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a job that make its result, as a configuration file has them; those that are None are left out.

    A configuration file repeats them. A Geometry object cannot be repeated that way and is left out: the record of
    the result describes it.
    """
    plain = {name: _plain(name, value) for name, value in arguments.items() if name not in _NOT_RECORDED}
    return {name: value for name, value in plain.items() if value is not None}


def _plain(name: str, value: Any) -> Any:
    value = _number_or_same(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, slice):
        parts = (value.start, value.stop) if value.step is None else (value.start, value.stop, value.step)
        return ":".join("" if part is None else str(part) for part in parts)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Iterable):
        return (":" if name in _SPANS else ",").join(str(_number_or_same(part)) for part in value) or None
    return value if hasattr(value, "tolist") else None


def _float(value: Any) -> float:
    """Of a number or its text; NaN for all else."""
    try:
        return float(value) if isinstance(value, str) or _is_number(value) else math.nan
    except (OverflowError, ValueError):
        return math.nan


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _number_or_same(value: Any) -> Any:
    """Any real number as Python's int or float, for records; all else as it came."""
    value = _item(value)
    return value if isinstance(value, bool | int) or not isinstance(value, Real) else float(value)


def _item(value: Any) -> Any:
    """A number of NumPy or torch as Python's; all else as it came."""
    return value.item() if getattr(value, "ndim", None) == 0 else value
