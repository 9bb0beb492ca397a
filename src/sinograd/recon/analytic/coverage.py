"""Which rays of an object a scan did not measure, in numbers."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import CoverageWarning
from sinograd.geometry import Geometry, Grid
from sinograd.recon.analytic.angular import AngularSampling, angular_sampling
from sinograd.recon.analytic.orbit import Orbit, check_axis_seen, circular_orbit, defined_for
from sinograd.recon.analytic.redundancy import conjugate, detector_edges, ray_confidence
from sinograd.recon.analytic.virtual_detector import upright_detector

# Rays and directions the report samples; the share of missing rays above which a reconstruction warns.
ANGLES, FANS = 1440, 65
TOLERATED = 1e-3


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
    """

    missing: float
    directions_deg: tuple[tuple[float, float], ...]
    gaps_deg: tuple[tuple[float, float], ...]
    arc_deg: float
    complete_radius: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every ray was measured (but for one in a thousand, at the edges)."""
        return self.missing <= TOLERATED

    def __str__(self) -> str:
        arcs = _listed([f"{low:.1f} to {high:.1f}" for low, high in self.directions_deg])
        gaps = _listed([f"{low:.1f} to {high:.1f} ({high - low:.1f})" for low, high in self.gaps_deg])
        text = f"{100 * (1 - self.missing):.1f} % of the rays through the field of view were measured"
        text += f"; source angles {self.arc_deg:.1f} deg" + (f", gaps at {gaps} deg" if gaps else "")
        text += f"; rays are missing in the directions {arcs} deg (from +x, mod 180)" if arcs else ""
        return text + (
            f", none within {self.complete_radius:.4g} mm of the axis" if arcs and self.complete_radius else ""
        )


def coverage(geometry: Geometry) -> Coverage:
    """The coverage of a circular or parallel scan.

    Raises:
        ValueError: the geometry has no circular orbit, or its detector does not see the axis.
    """
    with defined_for("coverage"):
        detector = upright_detector(geometry)
        orbit = circular_orbit(detector.vectors, detector.shape, geometry.divergent, geometry.scan == "helical")
        check_axis_seen(orbit)
    return measure_coverage(orbit, angular_sampling(orbit.angles))


def measure_coverage(orbit: Orbit, sampling: AngularSampling) -> Coverage:
    """The coverage of an orbit, by sampling its rays."""
    edges = detector_edges(orbit)
    reach = max(abs(edges[0]), abs(edges[1])) * (1 - 1 / orbit.fan.shape[1])
    a, gamma = torch.meshgrid(
        (torch.arange(ANGLES, dtype=torch.float64) + 0.5) * (2 * math.pi / ANGLES),
        torch.linspace(-reach, reach, FANS, dtype=torch.float64),
        indexing="ij",
    )
    seen = ray_confidence(a, gamma, sampling, edges) > 0
    seen |= ray_confidence(*conjugate(a, gamma, orbit.divergent), sampling, edges) > 0
    missing = float((~seen).double().mean())
    direction = torch.remainder(torch.rad2deg(a + math.pi / 2 - (gamma if orbit.divergent else 0)), 180.0)
    gaps = tuple((_round(low), _round(high)) for low, high in sampling.gaps)
    measured = 360.0 if sampling.closed else sum(math.degrees(end - start) for start, end in sampling.arcs)
    arcs = _arcs(direction[~seen].tolist()) if missing > TOLERATED else ()
    return Coverage(missing, arcs, gaps, measured, _complete_radius(orbit, gamma[0], seen.all(0)))


def warn_of_missing_rays(orbit: Orbit, sampling: AngularSampling, grid: Grid) -> None:
    """A `CoverageWarning` with numbers where rays through the grid are missing.

    A scan whose detector stands a little to the side may still measure every ray of the circle up to its nearer edge;
    a grid no wider than that circle needs nothing else.
    """
    measured = measure_coverage(orbit, sampling)
    if not measured.complete and measured.complete_radius < _half_width(grid):
        warnings.warn(
            f"{measured}. Expect streaks and shape distortions along the missing directions.",
            CoverageWarning,
            stacklevel=4,
        )


def _half_width(grid: Grid) -> float:
    """The largest distance of a middle of a grid's side to the axis, mm."""
    return max(abs(center) + size / 2 for center, size in zip(grid.center[:2], reversed(grid.size[-2:]), strict=True))


def _complete_radius(orbit: Orbit, gamma: Tensor, seen: Tensor) -> float:
    """The distance to the axis, mm, up to which all sampled rays were seen; gamma and seen: [fans], in order."""
    reach = gamma.abs()
    lost = float(reach[~seen].min()) if not bool(seen.all()) else math.inf
    largest = float(reach[reach < lost].max()) if bool((reach < lost).any()) else 0.0
    if not orbit.divergent:
        return largest
    outermost = orbit.fan.abs().argmax()
    radius = orbit.distance.abs().flatten()[outermost] / torch.sin(orbit.fan.abs().flatten()[outermost])
    return float(radius) * math.sin(largest)


def _listed(items: list[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


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
