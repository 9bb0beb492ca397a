"""Gantry angles of common scans."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks


def full_scan(views: int, start: float = 0.0) -> Tensor:
    """Angles of a full turn: start + i * 2 pi / views, the end (2 pi) excluded.

    Args:
        views: number of views.
        start: first angle in radians.

    Returns:
        float64 [views], radians.
    """
    views = checks.count(views, "views")
    return checks.number(start, "start") + torch.arange(views, dtype=torch.float64, device="cpu") * (
        2 * math.pi / views
    )


def short_scan(views: int, fan_angle: float, start: float = 0.0) -> Tensor:
    """Angles over pi + fan_angle, both ends included: the least that measures every line of the fan.

    Args:
        views: number of views, at least 2.
        fan_angle: full fan angle in radians, at least 0 (a parallel beam) and less than pi.
        start: first angle in radians.

    Returns:
        float64 [views], radians.
    """
    views = checks.count(views, "views")
    if views < 2:
        raise InputError(f"views must be at least 2 for a short scan, got {views}")
    fan_angle = checks.number(fan_angle, "fan_angle")
    if not 0 <= fan_angle < math.pi:
        raise InputError(f"fan_angle must lie in [0, pi) rad, got {fan_angle:g}")
    steps = torch.linspace(0, math.pi + fan_angle, views, dtype=torch.float64, device="cpu")
    return checks.number(start, "start") + steps
