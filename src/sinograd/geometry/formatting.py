"""How geometries are written: as the Python call that makes them, and as plain dictionaries for YAML."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from sinograd.config.near_keys import did_you_mean
from sinograd.config.shown import shown, some
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.geometry.angles import full_scan, short_scan

MOST_VIEWS = 1_000_000
"""Of a description that states their number alone."""

_WRITTEN_OUT = 18
"""Tensors of at most this many numbers are printed in full; longer ones by their shape."""


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """`name(key=value, ...)`; arguments that are None are left out."""
    parts = [f"{key}={_value_text(key, value)}" for key, value in arguments.items() if value is not None]
    return f"{name}({', '.join(parts)})"


def collapse(per_axis: tuple[float, ...]) -> float | tuple[float, ...]:
    """One number if all axes agree, else the tuple."""
    return per_axis[0] if len(set(per_axis)) == 1 else per_axis


def only_keys(data: Mapping[str, Any], what: str, *, required: Collection[str], optional: Collection[str] = ()) -> None:
    """Refuse a mapping with unknown or missing keys, naming them and the allowed ones."""
    if not isinstance(data, Mapping):
        raise InputTypeError(f"{what} must be a mapping, got {shown(data)} ({type(data).__name__})")
    allowed = [*required, *optional]
    unknown = [str(key) for key in data if key not in allowed]
    if unknown:
        hint = did_you_mean(unknown, allowed)
        raise InputError(f"unknown {what} key {some(unknown)}; allowed: {', '.join(allowed)}{hint}")
    missing = [key for key in required if key not in data]
    if missing:
        raise InputError(f"{what} lacks {', '.join(missing)}; allowed keys: {', '.join(allowed)}")


def angles_to_degrees(angles: Tensor) -> dict[str, float | int] | list[float]:
    """{start, step, views} in degrees where that gives the angles back to rounding, else the list."""
    views = len(angles)
    start = math.degrees(angles[0].item())
    if views > 1:
        step = math.degrees((angles[-1] - angles[0]).item() / (views - 1))
        for candidate in (round(step, 10), step):
            compact: dict[str, float | int] = {"start": start, "step": candidate, "views": views}
            if _same(angles_from_degrees(compact), angles):
                return compact
    return torch.rad2deg(angles).tolist()


def angles_from_degrees(data: object) -> Tensor:
    """Radians from degrees: a list, {start, step, views} or {start, stop, views} (both ends included)."""
    if isinstance(data, str):
        raise InputTypeError(
            f"angles_deg must be real numbers, or in a YAML file the name of a text file of them, got {data!r:.80}"
        )
    if not isinstance(data, Mapping):
        return torch.deg2rad(checks.values(data, "angles_deg", ("views",)))
    by_stop = "stop" in data
    only_keys(data, "angles_deg", required=("start", "stop" if by_stop else "step", "views"))
    views = checks.count(data["views"], "angles_deg views")
    if views > MOST_VIEWS:
        raise InputError(f"angles_deg views must be at most {MOST_VIEWS:,}, got {views:,}")
    start = checks.number(data["start"], "angles_deg start")
    if by_stop:
        stop = checks.number(data["stop"], "angles_deg stop")
        if views < 2 and start != stop:
            raise InputError(f"angles_deg from {start:g} to {stop:g} needs at least 2 views, got {views}")
        return torch.deg2rad(torch.linspace(start, stop, views, dtype=torch.float64, device="cpu"))
    step = checks.number(data["step"], "angles_deg step")
    return torch.deg2rad(start + step * torch.arange(views, dtype=torch.float64, device="cpu"))


def _angles_text(angles: Tensor) -> str:
    views, first, last = len(angles), angles[0].item(), angles[-1].item()
    if views == 1:
        return f"[{_number_text(first)}]"
    start = "" if first == 0 else f", start={_number_text(first)}"
    if _same(full_scan(views, first), angles):
        return f"full_scan({views}{start})"
    fan = last - first - math.pi
    if 0 <= fan < math.pi and _same(short_scan(views, fan, first), angles):
        return f"short_scan({views}, {_number_text(fan)}{start})"
    if views > 3 and _same(torch.linspace(first, last, views, dtype=torch.float64, device="cpu"), angles):
        return f"torch.linspace({_number_text(first)}, {_number_text(last)}, {views}, dtype=torch.float64)"
    if views <= _WRITTEN_OUT:
        return _list_text(angles.tolist())
    return f"<{views} angles from {first:.6g} to {last:.6g} rad>"


def _value_text(key: str, value: object) -> str:
    if isinstance(value, Tensor):
        if key == "angles":
            return _angles_text(value)
        if value.numel() <= _WRITTEN_OUT:
            return _list_text(value.tolist())
        return f"<{list(value.shape)} values>"
    if isinstance(value, tuple):
        inside = ", ".join(_value_text("", item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return _number_text(value) if isinstance(value, float) else repr(value)


def _list_text(items: Any) -> str:
    if isinstance(items, list):
        return "[" + ", ".join(_list_text(item) for item in items) + "]"
    return _number_text(items)


def _number_text(value: float) -> str:
    """The shortest text that reads back as the same number; whole numbers without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal angles up to a few roundings."""
    tolerance = 4 * torch.finfo(torch.float64).eps * max(1.0, b.abs().max().item())
    return a.shape == b.shape and (a - b).abs().max().item() <= tolerance
