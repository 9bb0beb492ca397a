"""Which source angles a circular scan measured: steps, gaps, and how far an angle lies inside."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# A step is a gap where it is longer than this many median steps.
GAP_STEPS = 3.0

# No typical step is wider than this (so that two thirds of a turn without views are always a gap), and what a view
# stands for that has no neighbour, rad.
WIDEST_STEP = math.radians(80.0)
LONE_STEP = math.radians(1.0)


@dataclass(frozen=True)
class AngularSampling:
    """The views of a scan on the circle of source angles.

    Attributes:
        steps: [views], rad: the arc each view stands for, by the trapezoid rule on the circle. Across a gap a view
            stands for half its step to the neighbour on the other side, and no more.
        arcs: measured arcs (start, end) in rad, half a step beyond their first and last views; empty where the
            views go all the way round.
    """

    steps: Tensor
    arcs: tuple[tuple[float, float], ...]

    @property
    def closed(self) -> bool:
        """Whether the views go all the way round."""
        return not self.arcs

    @property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """The unmeasured arcs (start, end), rad, each from a start in [0, 2 pi), in order."""
        gaps = []
        for (_, end), (start, _) in zip(self.arcs, [*self.arcs[1:], *self.arcs[:1]], strict=True):
            low = math.remainder(end, 2 * math.pi) % (2 * math.pi)
            gaps.append((low, low + (start - end) % (2 * math.pi)))
        return tuple(sorted(gaps))

    def depth(self, angles: Tensor) -> Tensor:
        """Distance, rad, from each angle to the nearest end of the measured arcs; negative in gaps, inf if closed."""
        if self.closed:
            return torch.full_like(angles, math.inf)
        nearest = torch.full_like(angles, -math.inf)
        for start, end in self.arcs:
            after = torch.remainder(angles - start, 2 * math.pi)
            inside = torch.minimum(after, (end - start) - after)
            nearest = torch.maximum(nearest, inside)
        return nearest


def angular_sampling(angles: Tensor) -> AngularSampling:
    """Steps and gaps of views at `angles` ([views], rad, any order, any number of turns)."""
    turn = 2 * math.pi
    wrapped = torch.remainder(angles.double(), turn)
    order = torch.argsort(wrapped, stable=True)
    sorted_angles = wrapped[order]
    after = torch.cat([sorted_angles[1:], sorted_angles[:1] + turn]) - sorted_angles  # step behind each view
    limit = GAP_STEPS * typical_step(angles, after)
    gap = after > limit
    before, gap_before = after.roll(1), gap.roll(1)
    # a lone view (or several at one angle) between two gaps stands for a typical step
    fallback = torch.full_like(after, limit / GAP_STEPS)
    ahead = torch.where(gap, torch.where(gap_before | (before < 1e-9), fallback, before), after)
    behind = torch.where(gap_before, torch.where(gap | (after < 1e-9), fallback, after), before)
    steps = torch.empty_like(after)
    steps[order] = (ahead + behind) / 2
    if not bool(gap.any()):
        return AngularSampling(steps, ())
    last = torch.nonzero(gap).flatten().tolist()
    first = [(i + 1) % len(after) for i in last]
    arcs = []
    for start, end in zip([first[-1], *first[:-1]], last, strict=True):
        low = float(sorted_angles[start] - behind[start] / 2)
        high = float(sorted_angles[end] + ahead[end] / 2)
        arcs.append((low, high + turn if high < low else high))
    return AngularSampling(steps, tuple(arcs))


def typical_step(angles: Tensor, sorted_steps: Tensor) -> float:
    """The median step, rad: of the order of acquisition where that is monotonic, of the sorted views otherwise.

    Turns that overlap interleave their views, so their sorted steps say little.
    """
    turn = 2 * math.pi
    taken = torch.remainder(angles.double().diff() + math.pi, turn) - math.pi
    monotonic = bool((taken >= 0).all() or (taken <= 0).all())
    steps = taken.abs() if monotonic else sorted_steps
    steps = steps[steps > 1e-9]
    return min(float(steps.median()), WIDEST_STEP) if len(steps) else LONE_STEP
