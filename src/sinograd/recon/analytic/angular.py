"""Which source angles a circular scan measured: steps, gaps, and how far an angle lies inside.

Each view stands for an arc, by the trapezoid rule on the circle: half of its two steps to the neighbours, however
uneven they are. Across a step G detail finer than rho G is aliased at the distance rho from the axis; the amplitudes
of coarser structure stay. So the trapezoid rule holds up to

    limit = max(1/4 rad, 3 typical steps, min(45 degrees, max(3 typical steps + 4 (long step - median step),
                                                              3 times the fifth longest step))),

the first as structure of a quarter of the object's radius is then sampled everywhere in it (the detector's
resolution is finer than that from eight columns on), the second so that scans of few, equally spaced views have no
gaps, the third for steps that vary. Half of the scan's angle lies in long steps or longer ones: they are those between
bursts, and the longest of n random steps is about log(n) times their mean, which is twice the fifth longest. No more
than 45 degrees: what lies further than half of that from every view was not measured (`coverage`).

In divergent beams with such long steps, arcs are changed by a few percent so that the harmonics 2 and 4 of the angle
average out over the views (`balanced`): a ray and its conjugate have the same ones, and a long step with views on the
other side costs no amplitude then (random views: up to 0.3 % off, 1.4 % by the trapezoid rule alone).

A longer step is a gap: a missing range, where it is not measured from the other side. Views stand for nothing there,
redundancy weights fall to zero towards it, and coverage reports it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# A step is a gap where it is longer than this, rad, and than this many typical steps; and where steps vary, than these
# and so many times their spread, up to that, rad; so many steps are a pattern.
BEARABLE_STEP = 1 / 4
GAP_STEPS = 3.0
GAP_SPREADS, WIDEST_SPREAD_STEP = 4.0, math.pi / 4
PATTERN = 4

# No typical step is wider than this (so that two thirds of a turn without views are always a gap), and what a view
# stands for that has no neighbour, rad.
WIDEST_STEP = math.radians(80.0)
LONE_STEP = math.radians(1.0)

# Harmonics of the angle that balanced arcs average out, and the most by which they change an arc.
HARMONICS, LARGEST_CHANGE = (2, 4), 2.0

# Rad up to which two angles are the same.
SAME = 1e-9


@dataclass(frozen=True)
class AngularSampling:
    """The views of a scan on the circle of source angles.

    Attributes:
        steps: [views], rad: the arc each view stands for, by the trapezoid rule on the circle. Across a gap a view
            stands for half its step to the neighbour on the other side, and no more.
        arcs: measured arcs (start, end) in rad, half a step beyond their first and last views; empty where the
            views go all the way round. Of angles that require gradients both are tensors that follow them.
        bearable: the step, rad, up to which none is a gap.
    """

    steps: Tensor
    arcs: tuple[tuple[float, float], ...]
    bearable: float = BEARABLE_STEP

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


def angular_sampling(angles: Tensor, parallel: bool = False, bearable: float = BEARABLE_STEP) -> AngularSampling:
    """Steps and gaps of views at `angles` ([views], rad, any order, any number of turns).

    Args:
        angles: source angles.
        bearable: the step, rad, up to which none is a gap.
        parallel: rays of a parallel beam: those of the angles a and a + pi are the same. The ends of half a turn are
            neighbours then, and share the step between them.
    """
    turn = 2 * math.pi
    wrapped = torch.remainder(angles.double(), turn)
    order = torch.argsort(wrapped, stable=True)
    sorted_angles = wrapped[order]
    after = torch.cat([sorted_angles[1:], sorted_angles[:1] + turn]) - sorted_angles  # step behind each view
    values = after.detach()  # where gaps are is decided by these
    typical = typical_step(angles.detach(), values)
    limit = longest_step(typical, values, bearable)
    gap = values > limit
    before, gap_before = after.roll(1), gap.roll(1)
    # a lone view (or several at one angle) between two gaps stands for a typical step
    fallback = torch.full_like(after, typical)
    ahead = torch.where(gap, torch.where(gap_before | (before < SAME), fallback, before), after)
    behind = torch.where(gap_before, torch.where(gap | (after < SAME), fallback, after), before)
    if parallel and int(gap.sum()) == 1:
        to_other_end = after.max() - math.pi
        if SAME < float(to_other_end.detach()) <= limit:
            ahead = ahead.masked_fill(gap, to_other_end)
            behind = behind.masked_fill(gap_before, to_other_end)
    steps = torch.empty_like(after)
    steps[order] = (ahead + behind) / 2
    if not bool(gap.any()):
        return AngularSampling(steps, (), bearable)
    last = torch.nonzero(gap).flatten().tolist()
    first = [(i + 1) % len(after) for i in last]
    arcs = []
    for start, end in zip([first[-1], *first[:-1]], last, strict=True):
        low = sorted_angles[start] - behind[start] / 2
        high = sorted_angles[end] + ahead[end] / 2
        high = high + turn if bool(high < low) else high
        arcs.append((low, high) if angles.requires_grad else (float(low), float(high)))
    return AngularSampling(steps, tuple(arcs), bearable)


def trapezoid_arcs(angles: Tensor, period: float) -> Tensor:
    """[views], rad: half of the two steps from each angle in [0, period) to its neighbours, whatever they are."""
    order = torch.argsort(angles, stable=True)
    ordered = angles[order]
    after = torch.cat([ordered[1:], ordered[:1] + period]) - ordered
    arcs = torch.empty_like(after)
    arcs[order] = (after + after.roll(1)) / 2
    return arcs


def sampled_all_round(angles: Tensor) -> AngularSampling:
    """Views [views], rad, without any gap."""
    turn = 2 * math.pi
    return AngularSampling(trapezoid_arcs(torch.remainder(angles.double(), turn), turn), ())


def balanced(arcs: Tensor, angles: Tensor, shares: Tensor) -> Tensor:
    """Arcs [views] times 1 + c0 + c1 cos 2a + c2 sin 2a + ..., so that these harmonics have the mean zero.

    As they are where no view stands for more than `BEARABLE_STEP`, or views are too few for factors of a half to 2.

    Args:
        angles: rad, [views].
        shares: of the views in what the rays through the axis are weighted with, [views]; with the arcs they add up to
            half a turn.
    """
    if len(arcs) <= 2 * len(HARMONICS) or float(arcs.detach().max()) <= BEARABLE_STEP:
        return arcs
    waves = [f(m * angles.double()) for m in HARMONICS for f in (torch.cos, torch.sin)]
    basis, weighted = torch.stack([torch.ones_like(arcs), *waves]), arcs * shares
    moments = basis @ weighted
    wanted = torch.zeros_like(moments)
    wanted[0] = math.pi
    solution, singular = torch.linalg.solve_ex((basis * weighted) @ basis.mT, wanted - moments)
    factors = 1 + solution @ basis
    low, high = (float(v) for v in torch.aminmax(factors.detach()))
    usable = int(singular) == 0 and low >= 1 / LARGEST_CHANGE and high <= LARGEST_CHANGE
    return arcs * factors if usable else arcs


def longest_step(typical: float, steps: Tensor, bearable: float) -> float:
    """The longest step, rad, that is no gap."""
    others = steps.sort().values[:-1]
    if len(others) == 0:
        return GAP_STEPS * typical
    varied = GAP_STEPS * typical + GAP_SPREADS * (_step_of_half_the_angle(others) - float(others.median()))
    long = float(others[-PATTERN]) if len(others) >= PATTERN else 0.0
    return max(GAP_STEPS * typical, bearable, min(max(varied, GAP_STEPS * long), WIDEST_SPREAD_STEP))


def _step_of_half_the_angle(ascending: Tensor) -> float:
    """Half of the angle lies in steps of this length or more; of steps that the object may bear, and of four or more,
    as fewer are no pattern."""
    steps = ascending[ascending <= WIDEST_SPREAD_STEP]
    covered = steps.cumsum(0)
    longer = int((covered > float(covered[-1]) / 2).sum()) if len(steps) else 0
    return float(steps[-max(longer, PATTERN)]) if len(steps) >= PATTERN else float(ascending.median())


def typical_step(angles: Tensor, sorted_steps: Tensor) -> float:
    """The median over views of the longer of a view's two steps, rad, without the longest step of all.

    So views in pairs, however close, have the step between the pairs. Not less than the median step in the order of
    acquisition where that is monotonic: many turns that overlap put their views in clusters.
    """
    turn = 2 * math.pi
    steps = sorted_steps.clone()
    steps[sorted_steps.argmax()] = 0
    longer = torch.maximum(steps, steps.roll(1))
    typical = float(longer.median())
    taken = torch.remainder(angles.double().diff() + math.pi, turn) - math.pi
    if bool((taken >= 0).all() or (taken <= 0).all()):
        taken = taken.abs()[taken.abs() > SAME]
        typical = max(typical, float(taken.median()) if len(taken) else 0.0)
    return min(typical, WIDEST_STEP) if typical > SAME else LONE_STEP
