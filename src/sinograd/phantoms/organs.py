"""Organs as ellipsoids that each seed draws a little differently, for phantoms of bodies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.packing import pack, uniform


@dataclass(frozen=True)
class Organ:
    """An ellipsoid that each seed draws a little differently: centre and semi-axes in mm, turn about z in degrees."""

    name: str
    hounsfield: float
    center: tuple[float, float, float]
    semi_axes: tuple[float, float, float]
    turn: float = 0.0


def jitter_of(organ: Organ, around: float, n: int, *, generator: torch.Generator, unit: float) -> Ellipsoids:
    """A number n of variants of an organ that lies in tissue of `around` HU; unit: 1/mm for one HU."""
    soft = -50 < organ.hounsfield < 300
    value = organ.hounsfield - around + uniform(n, -5.0, 5.0, generator) * soft
    size = floats(organ.semi_axes) * uniform((n, 3), 0.95, 1.05, generator)
    place = floats(organ.center) + uniform((n, 3), -3.0, 3.0, generator)
    turn = torch.deg2rad(organ.turn + uniform(n, -5.0, 5.0, generator) * (organ.turn != 0))
    return Ellipsoids(value * unit, size, place, turn)


def all_of(
    organs: Sequence[Organ],
    around: float,
    jitter: Callable[[Organ, float, int], Ellipsoids],
    allowed: Callable[[Ellipsoids], Tensor],
) -> Ellipsoids:
    """One variant of each organ, apart from the others, in tissue of `around` HU."""
    placed = Ellipsoids(1.0, 1.0)[:0]
    for organ in organs:
        placed = pack(organ.name, 1, functools.partial(jitter, organ, around), allowed, placed)
    return placed


def within(outer: Ellipsoids, shift: tuple[float, float, float], scale: float, value: float) -> Ellipsoids:
    """The one ellipsoid again, `scale` times smaller, moved by `shift` of its semi-axes, adding `value`."""
    offset = floats(shift) * outer.semi_axes[0]
    return Ellipsoids(value, outer.semi_axes * scale, outer.center + offset @ outer.rotation[0].T, outer.rotation)


def floats(values: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
    """Numbers as float64."""
    return torch.tensor(values, dtype=torch.float64, device="cpu")
