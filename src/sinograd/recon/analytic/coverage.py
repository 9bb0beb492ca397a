"""Which rays of an object a scan did not measure, in numbers."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.data.lengths import length_text
from sinograd.errors import CoverageWarning
from sinograd.geometry import Geometry, Grid
from sinograd.recon.analytic.angular import (
    BEARABLE_STEP,
    SAME,
    AngularSampling,
    angular_sampling,
    sampled_all_round,
)
from sinograd.recon.analytic.missing_views import missing_views
from sinograd.recon.analytic.orbit import Orbit, check_axis_seen, circular_orbit, defined_for, once
from sinograd.recon.analytic.redundancy import conjugate, detector_edges, ray_confidence
from sinograd.recon.analytic.virtual_detector import upright_detector

# Rays and directions the report samples; the share of missing rays above which a reconstruction warns.
ANGLES, FANS = 1440, 65
TOLERATED = 1e-3
FEW = 20  # views whose number is said
# Degrees: rays further than this from every view were not measured, however few views there are; and steps between
# directions above which the report gives the detail that they bear.
FARTHEST_DEG, COARSE_DEG = 22.5, 3.0
# Degrees between neighbouring directions of uneven views, so many times the mean, from which amplitudes are off by more
# than 0.5 %, in fan and in parallel beams, whose conjugates lie between the views in all columns alike: by up to about
# this at the widest step that is none missing (random views of an ellipse with inserts).
WIDE_FAN_DEG, WIDE_DEG, UNEVEN, OFF, WIDEST_DEG = 20.0, 36.0, 1.5, 0.03, 45.0
# Rad: parallel views and their conjugates are sampled together where directions are few, but for gaps wider than this.
WIDEST_GAP = 0.75 * math.pi
# Rad: a longer arc across 0 is a turn with a gap, a shorter one begins below 0.
MOST_OF_A_TURN = 1.5 * math.pi


@dataclass(frozen=True)
class Coverage:
    """What a circular scan measured of the rays in the plane of its orbit.

    Attributes:
        missing: share of the rays through the field of view that were measured from neither side, 0 to 1.
        directions_deg: arcs (from, to) of ray directions, degrees in [0, 180) counter-clockwise from +x, in which
            rays are missing.
        gaps_deg: unmeasured arcs (from, to) of source angles, degrees.
        arc_deg: degrees of source angle measured.
        complete_radius: mm from the axis up to which every ray was measured; 0 where some are missing at the axis.
        largest_arc_deg: degrees between neighbouring directions in which rays through the axis were measured, at most
            (180 for a single one).
        radius: mm from the axis to the edge of the field of view.
        views: how many.
        views_deg: the first and the last view (from, to) of each measured arc, degrees.
        missing_views_deg: arcs (from, to) of views that would complete the scan, degrees. Other sets may, too, as a
            ray is measured from either side.
    """

    missing: float
    directions_deg: tuple[tuple[float, float], ...]
    gaps_deg: tuple[tuple[float, float], ...]
    arc_deg: float
    complete_radius: float = 0.0
    largest_arc_deg: float = 0.0
    radius: float = 0.0
    views: int = 0
    views_deg: tuple[tuple[float, float], ...] = ()
    missing_views_deg: tuple[tuple[float, float], ...] = ()

    def detail(self, distance: float | None = None) -> float:
        """The finest detail, mm, that the views sample at a distance from the axis, mm (the edge of the field of view).

        Neighbouring directions lie up to `largest_arc_deg` apart, which is an arc of that length times the distance.
        """
        return math.radians(self.largest_arc_deg) * (self.radius if distance is None else distance)

    @property
    def complete(self) -> bool:
        """Whether every ray was measured (but for one in a thousand, at the edges)."""
        return self.missing <= TOLERATED

    @property
    def summary(self) -> str:
        """What is missing and what comes of it, in a sentence for who takes the scan."""
        parts = [self._views_in_words()]
        if self.directions_deg:
            beyond = f" {length_text(self.complete_radius, 3)} or more from the axis" if self.complete_radius else ""
            parts.append(f"structures along {self._directions_in_words()} will be smeared{beyond}")
        return "; ".join(parts)

    def _views_in_words(self) -> str:
        count = f"{self.views} view{'s' * (self.views > 1)}" if self.views < FEW else "views"
        text = f"{count} {'at' if self.views == 1 else 'from'} {_degrees(self.views_deg)}"
        if self.complete:
            return text
        share = f"({_percent(self.missing)} % of the rays)"
        if self.largest_arc_deg >= 180:
            return f"{text}, all in one direction {share}"
        if not self.gaps_deg:
            return f"{text}, up to {self.largest_arc_deg:.0f} degrees apart, are too few {share}"
        words = [("degrees missing ", arc) if n == 0 else ("", arc) for n, arc in enumerate(self.missing_views_deg)]
        arcs = [f"{_whole(high - low)} {word}around {_whole((low + high) / 2 % 360)}" for word, (low, high) in words]
        return f"{text}, {_listed(arcs) or 'some rays are missing'} {share}"

    def _directions_in_words(self) -> str:
        if sum(high - low for low, high in self.directions_deg) >= 180:
            return "all directions"
        return f"{_degrees(self.directions_deg)} (from +x towards +y)"

    def __str__(self) -> str:
        arcs = _listed([f"{low:.1f} to {high:.1f}" for low, high in self.directions_deg])
        gaps = _listed([f"{low:.1f} to {high:.1f} ({high - low:.1f})" for low, high in self.gaps_deg])
        text = f"{100 * (1 - self.missing):.1f} % of the rays through the field of view were measured"
        text += f"; source angles {self.arc_deg:.1f} deg"
        text += f", gaps at {gaps} deg" if gaps and not self.complete else ""
        text += f"; rays are missing in the directions {arcs} deg (from +x, mod 180)" if arcs else ""
        if arcs and self.complete_radius:
            text += f", none within {length_text(self.complete_radius)} of the axis"
        if self.largest_arc_deg >= 180:
            return text + "; all views look in the same direction"
        if self.largest_arc_deg > COARSE_DEG and not gaps:
            text += f"; directions lie up to {self.largest_arc_deg:.1f} deg apart, which samples no detail finer than "
            text += f"{length_text(self.detail(), 3)} at the edge of the field of view "
            text += f"({length_text(self.radius)} from the axis)"
        return text


def coverage(geometry: Geometry) -> Coverage:
    """The coverage of a circular or parallel scan.

    Raises:
        ValueError: the geometry has no circular orbit, or its detector does not see the axis.
    """
    with defined_for("coverage"):
        detector = upright_detector(geometry)
        orbit = circular_orbit(
            detector.vectors, detector.shape, geometry.divergent, geometry.scan == "helical", detector.ends
        )
        check_axis_seen(orbit)
    return measure_coverage(orbit, scan_sampling(orbit))


def scan_sampling(orbit: Orbit) -> AngularSampling:
    """Steps and gaps of an orbit's views.

    Long steps whose rays were all measured from the other side are gaps, as conjugate rays sample them more densely;
    else those alone are gaps which are longer than the object bears (see `angular`). Views of a parallel beam and their
    conjugates are sampled together where there is no such gap (see `redundancy`).
    """
    parallel = not orbit.divergent
    borne = angular_sampling(orbit.angles, parallel)
    if parallel and (borne.closed or _closed_by_conjugates(orbit.angles, borne)):
        return sampled_all_round(orbit.angles)
    dense = angular_sampling(orbit.angles, parallel, bearable=0.0)
    return dense if dense.closed or missing_share(orbit, dense) == 0 else borne


def _closed_by_conjugates(angles: Tensor, sampling: AngularSampling) -> bool:
    """Whether few views all round leave gaps that their conjugates fill only here and there."""
    if largest_arc(angles) <= BEARABLE_STEP or max(end - start for start, end in sampling.gaps) > WIDEST_GAP:
        return False
    return angular_sampling(torch.cat([angles, angles + math.pi])).closed


def missing_share(orbit: Orbit, sampling: AngularSampling) -> float:
    """The share of rays that an orbit does not measure."""
    return float((~_sampled_rays(orbit, sampling, _angles_that_count(sampling))[2]).double().mean())


def _angles_that_count(sampling: AngularSampling) -> int:
    """How many angles tell which rays were measured: of views all round, close together, one."""
    return 1 if sampling.closed and not _sparse(sampling) else ANGLES


def _sparse(sampling: AngularSampling) -> bool:
    return float(sampling.steps.max()) > math.radians(FARTHEST_DEG)


def _sampled_rays(orbit: Orbit, sampling: AngularSampling, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Angles, fan coordinates and whether they were measured, of rays at the first `count` of `ANGLES` angles,
    [count, fans]."""
    edges = detector_edges(orbit)
    reach = max(abs(edges[0]), abs(edges[1])) * (1 - 1 / orbit.fan.shape[1])
    a, gamma = torch.meshgrid(
        (torch.arange(count, dtype=torch.float64) + 0.5) * (2 * math.pi / ANGLES),
        torch.linspace(-reach, reach, FANS, dtype=torch.float64),
        indexing="ij",
    )
    seen = ray_confidence(a, gamma, sampling, edges) > 0
    seen |= ray_confidence(*conjugate(a, gamma, orbit.divergent), sampling, edges) > 0
    if _sparse(sampling):
        seen &= _near(a, orbit.angles) | _near(conjugate(a, gamma, orbit.divergent)[0], orbit.angles)
    return a, gamma, seen


def measure_coverage(orbit: Orbit, sampling: AngularSampling) -> Coverage:
    """The coverage of an orbit, by sampling its rays."""
    edges = detector_edges(orbit)
    a, gamma, seen = _sampled_rays(orbit, sampling, _angles_that_count(sampling))
    missing = float((~seen).double().mean())
    if missing > TOLERATED and len(seen) < ANGLES:
        a, gamma, seen = _sampled_rays(orbit, sampling, ANGLES)
    direction = torch.remainder(torch.rad2deg(a + math.pi / 2 - (gamma if orbit.divergent else 0)), 180.0)
    gaps = tuple((_round(low), _round(high)) for low, high in sampling.gaps)
    measured = 360.0 if sampling.closed else sum(math.degrees(end - start) for start, end in sampling.arcs)
    arcs = _arcs(direction[~seen].tolist()) if missing > TOLERATED else ()
    lacking = missing_views(seen, gamma[0], sampling, orbit.divergent) if missing > TOLERATED else ()
    step = 360 / ANGLES
    return Coverage(
        missing,
        arcs,
        gaps,
        measured,
        complete_radius=_complete_radius(orbit, gamma[0], seen.all(0)),
        largest_arc_deg=math.degrees(largest_arc(orbit.angles)),
        radius=_radius(orbit, max(abs(edges[0]), abs(edges[1]))),
        views=len(orbit.angles),
        views_deg=_first_and_last(orbit.angles, sampling),
        missing_views_deg=tuple((first * step, (first + count) * step) for first, count in lacking),
    )


def _first_and_last(angles: Tensor, sampling: AngularSampling) -> tuple[tuple[float, float], ...]:
    """The first and the last view of each measured arc, degrees, from -270 to 360; the least and the most of a
    turn that is whole, or that one short gap interrupts."""
    turn = 2 * math.pi
    wrapped = torch.remainder(angles.double() + 1e-9, turn)
    whole = ((math.degrees(float(wrapped.min())), math.degrees(float(wrapped.max()))),)
    if sampling.closed:
        return whole
    ends = []
    for start, end in sampling.arcs:
        after = torch.remainder(angles.double() - start, turn)
        inside = after[after <= end - start + 1e-9]
        low = start + float(inside.min())
        turns = math.floor((low + 1e-9) / turn) * turn
        low, high = low - turns, start + float(inside.max()) - turns
        if high >= turn - 1e-9:
            if len(sampling.arcs) == 1 and high - low > MOST_OF_A_TURN:
                return whole
            low, high = low - turn, high - turn
        ends.append((math.degrees(low), math.degrees(high)))
    return tuple(sorted(ends))


def largest_arc(angles: Tensor) -> float:
    """The largest arc between the directions of the rays through the axis, rad: pi for a single one."""
    turned = torch.remainder(angles.double(), math.pi).sort().values
    return float(torch.cat([turned.diff(), turned[:1] + math.pi - turned[-1:]]).max())


def _near(angles: Tensor, views: Tensor) -> Tensor:
    """Which angles lie within `FARTHEST_DEG` of a view."""
    turn = 2 * math.pi
    known = torch.remainder(views.double(), turn).sort().values
    known = torch.cat([known[-1:] - turn, known, known[:1] + turn])
    wrapped = torch.remainder(angles, turn)
    after = torch.searchsorted(known, wrapped).clamp(1, len(known) - 1)
    distance = torch.minimum(known[after] - wrapped, wrapped - known[after - 1])
    return distance <= math.radians(FARTHEST_DEG) + 1e-9


def warn_of_missing_rays(orbit: Orbit, sampling: AngularSampling, grid: Grid) -> None:
    """A `CoverageWarning` where rays through the grid are missing, or where the orbit is no circle.

    A scan whose detector stands a little to the side may still measure every ray of the circle up to its nearer edge;
    a grid no wider than that circle needs nothing else.
    """
    measured = measure_coverage(orbit, sampling)
    if lacks_rays(measured, grid):
        start = f"from {length_text(measured.complete_radius)} from" if measured.complete_radius else "from"
        details = (
            f"{measured}. Expect amplitudes about {100 * measured.missing:.1f} % low where rays are missing, and "
            f"streaks and shape distortions along the missing directions, {start} the axis outwards."
        )
        warnings.warn(CoverageWarning(measured.summary, details), stacklevel=4)
    elif measured.complete:
        text = _off_by(orbit.angles, WIDE_FAN_DEG if orbit.divergent else WIDE_DEG)
        if text:
            warnings.warn(CoverageWarning(f"{measured.summary}, {text}", f"{measured}. {text}"), stacklevel=4)
    for text in orbit.deviations:
        warnings.warn(CoverageWarning(f"geometry: {text}"), stacklevel=4)


def _off_by(angles: Tensor, least_deg: float) -> str:
    """What wide steps between directions of uneven views cost, in words; empty where that is nothing."""
    widest = largest_arc(angles)
    steps = torch.remainder(angles.double(), math.pi).sort().values.diff()
    mean = math.pi / (1 + int((steps > SAME).sum()))
    wide = math.degrees(widest)
    if wide <= least_deg or widest <= UNEVEN * mean:
        return ""
    return (
        f"up to {wide:.0f} degrees between neighbouring directions: amplitudes are off by up to about "
        f"{100 * OFF * wide / WIDEST_DEG:.1f} %"
    )


def lacks_rays(measured: Coverage, grid: Grid) -> bool:
    """Whether rays through the grid are missing."""
    return not measured.complete and measured.complete_radius < _half_width(grid)


def _half_width(grid: Grid) -> float:
    """The largest distance of a middle of a grid's side to the axis, mm."""
    return max(abs(center) + size / 2 for center, size in zip(grid.center[:2], reversed(grid.size[-2:]), strict=True))


def _complete_radius(orbit: Orbit, gamma: Tensor, seen: Tensor) -> float:
    """The distance to the axis, mm, up to which all sampled rays were seen; gamma and seen: [fans], in order."""
    reach = gamma.abs()
    lost = float(reach[~seen].min()) if not bool(seen.all()) else math.inf
    largest = float(reach[reach < lost].max()) if bool((reach < lost).any()) else 0.0
    return _radius(orbit, largest)


def _radius(orbit: Orbit, fan: float) -> float:
    """The distance to the axis, mm, of a ray at the fan coordinate `fan`."""
    if not orbit.divergent:
        return fan
    values, distance = torch.broadcast_tensors(once(orbit.fan).abs(), once(orbit.distance).abs())
    outermost = values.argmax()
    radius = distance.flatten()[outermost] / torch.sin(values.flatten()[outermost])
    return float(radius) * math.sin(fan)


def _listed(items: list[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _degrees(arcs: tuple[tuple[float, float], ...], most: int = 4) -> str:
    """Arcs in whole degrees."""
    ends = [(_whole(low), _whole(high)) for low, high in arcs]
    texts = [first if first == last else f"{first} to {last}" for first, last in ends]
    more = f" and {len(texts) - most} more ranges" if len(texts) > most else ""
    return f"{', '.join(texts[:most])} degrees{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"


def _whole(angle: float) -> str:
    return f"{math.floor(angle + 0.5):d}"


def _round(angle: float) -> float:
    return round(math.degrees(angle), 2)


def _arcs(directions: list[float], step: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Runs of occupied one-degree bins, joined across 180."""
    bins = sorted({int(d / step) for d in directions})
    runs: list[list[float]] = []
    for b in bins:
        if runs and b * step - runs[-1][1] < 1e-9:
            runs[-1][1] = (b + 1) * step
        else:
            runs.append([b * step, (b + 1) * step])
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == 180:
        runs[0][0] = runs.pop()[0] - 180
    return tuple((low, high) for low, high in runs)
