"""Rigid motion of the object during a scan, estimated from the projections and taken out.

The volume and the motion are fitted together: conjugate gradients bring the volume nearer to the projections, Gauss
and Newton's method the motion nearer to what is left of them, in turn, coarse to fine, with Anderson's acceleration.
This is iterative reprojection (D. Gursoy et al., "Rapid alignment of nanotomography data using joint iterative
reconstruction and reprojection", Scientific Reports 7, 2017) with six numbers a view on cubic B-splines.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import CalibrationError, CalibrationWarning, InputTypeError
from sinograd.geometry import Geometry, Grid, checks
from sinograd.geometry.learned import pixel_scale, start_value
from sinograd.geometry.motion import spline_basis
from sinograd.ops import XRayTransform
from sinograd.recon.calibration.descend import anderson
from sinograd.recon.calibration.fit import MiddleFrequencies, fit_volume
from sinograd.recon.calibration.level import LEAST_COLUMNS, binned, binning, checked_projections, covering_grid

FIRST_ITERATIONS, ITERATIONS = 8, 4  # of conjugate gradients, for the first volume of a level and for each better one

STEP = 0.3  # pixels, of the differences by which projections follow motion

MEMORY = 6  # of Anderson's acceleration

SHORTEST = 0.005  # pixels, of a step that is the last

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Motion:
    """Rigid motion of an object.

    Attributes:
        geometry: the scan as the object saw it, in which it is reconstructed at rest.
        motion: shift (mm) and rotation vector (radians) of each view, [views, 6], in 2-D [views, 3] (see `ConeBeam`).
        coefficients: of its cubic B-splines, [knots, 6 or 3].
        before, after: what of the projections no volume explains, at the finest level, without and with motion.
        converged: whether the last step was short.
    """

    geometry: Geometry
    motion: Tensor
    coefficients: Tensor
    before: float
    after: float
    converged: bool

    def __str__(self) -> str:
        ndim = 3 if self.motion.shape[1] == 6 else 2
        lengths, turns = self.motion[:, :ndim].abs().max(), self.motion[:, ndim:].norm(dim=1).max()
        return (
            f"motion of up to {float(lengths):.3g} mm and {math.degrees(float(turns)):.3g} degrees; what no volume "
            f"explains falls from {self.before:.4g} to {self.after:.4g}" + ("" if self.converged else "; not converged")
        )

    __repr__ = __str__


def estimate_motion(
    projections: Any,
    geometry: Geometry,
    *,
    knots: int = 12,
    smoothness: float = 1e-3,
    columns: int = 96,
    iterations: int = 20,
    progress: Progress | None = None,
) -> Motion:
    """Finds how a rigid object moved while it was scanned.

    Args:
        projections: line integrals [views, (rows,) columns].
        geometry: of the scan, as if nothing had moved; any beam and detector. A motion that it has is kept, and what is
            found is added.
        knots: coefficients of the splines over all views, at least 4: the motion changes smoothly between every
            views / (knots - 3) views.
        smoothness: weight of the squared second differences of coefficients, beside what the projections say. Larger
            values suppress what noise makes of views that hardly tell of motion.
        columns: of the finest level; coarser ones have half as many each, and at least 32.
        iterations: most of each level.
        progress: called with (levels done, levels).

    Returns:
        The motion, relative to its mean: place and turn of the whole object are no part of it.

    Raises:
        TypeError, ValueError: wrong arguments.
        CalibrationError: the fit diverged; `result` holds its last good state.

    Warns:
        CalibrationWarning: the motion still changed at the end.
    """
    if not isinstance(geometry, Geometry):
        raise InputTypeError(f"geometry: expected a Geometry, got {type(geometry).__name__}")
    data = checked_projections(projections, geometry)
    still = geometry[:]
    basis = spline_basis(knots, still.views)
    coefficients = torch.zeros(knots, 6 if still.ndim == 3 else 3, dtype=torch.float64)
    smoothness = checks.number(smoothness, "smoothness")
    widths = [min(checks.count(columns, "columns"), still.columns)]
    while widths[0] // 2 >= LEAST_COLUMNS:
        widths.insert(0, widths[0] // 2)
    before = after = math.nan
    converged = False
    for number, width in enumerate(widths):
        values, small = binned(data, still, binning(still, width))
        fit = _Fit(values, small, covering_grid(small), basis, smoothness)
        before = fit.cost(torch.zeros_like(coefficients))
        coefficients, after, converged = fit.run(coefficients, checks.count(iterations, "iterations"))
        if not (math.isfinite(after) and after <= before):
            last = _result(still, basis, coefficients, (before, after, False))
            raise CalibrationError("the motion that was found explains the projections worse than none", last)
        if progress is not None:
            progress(number + 1, len(widths))
    if not converged:
        warnings.warn("the motion still changed at the last iteration", CalibrationWarning, stacklevel=2)
    return _result(still, basis, coefficients, (before, after, converged))


class _Fit:
    """Volume and motion at one level."""

    def __init__(self, projections: Tensor, geometry: Geometry, grid: Grid, basis: Tensor, smoothness: float) -> None:
        self.projections, self.geometry, self.grid, self.basis = projections, geometry, grid, basis
        self.norm = MiddleFrequencies(projections)
        self.own = start_value(geometry, "motion")
        self.scales = pixel_scale(geometry, "motion", self.own)
        knots = basis.shape[1]
        second = torch.zeros(knots - 2, knots, dtype=torch.float64)
        for row in range(knots - 2):
            second[row, row : row + 3] = torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)
        self.roughness = smoothness * second.T @ second
        self.volume: Tensor | None = None

    def operator(self, motion: Tensor) -> XRayTransform:
        """Of an object that moves by [views, 6 or 3]."""
        moved = dataclasses.replace(self.geometry.recipe, motion=self.own + motion).geometry()
        return XRayTransform(moved, self.grid)

    def cost(self, coefficients: Tensor) -> float:
        """What no volume explains, from the first volume on."""
        operator = self.operator(self.basis @ coefficients)
        residual = fit_volume(operator, self.norm, self.projections, FIRST_ITERATIONS + ITERATIONS).residual
        return float((self.norm(residual) * residual).sum(dtype=torch.float64)) / 2

    def run(self, coefficients: Tensor, iterations: int) -> tuple[Tensor, float, bool]:
        """Coefficients after so many iterations, what no volume explains, and whether the last step was short."""
        points: list[Tensor] = []
        steps: list[Tensor] = []
        converged = False
        for _ in range(iterations):
            step = self._step(coefficients)
            points.append(coefficients / self.scales)
            steps.append(step / self.scales)
            if float((self.basis @ steps[-1]).abs().max()) < SHORTEST:
                converged = True
                break
            coefficients = self._centred(anderson(points[-MEMORY:], steps[-MEMORY:]) * self.scales)
        return coefficients, self.cost(coefficients), converged

    def _step(self, coefficients: Tensor) -> Tensor:
        """Gauss and Newton's step of the motion, for the volume that fits it so far."""
        motion = self.basis @ coefficients
        operator = self.operator(motion)
        start = self.volume
        left = self.projections if start is None else self.projections - operator(start)
        fit = fit_volume(operator, self.norm, left, FIRST_ITERATIONS if start is None else ITERATIONS)
        change, residual = fit.volume, fit.residual
        self.volume = change if start is None else start + change
        tangents = [self._tangent(motion, column) for column in range(motion.shape[1])]
        weighted = [self.norm(tangent) for tangent in tangents]
        axes = tuple(range(1, residual.ndim))
        slope = torch.stack([(tangent * residual).sum(axes, dtype=torch.float64) for tangent in weighted], 1)
        curvature = torch.stack(
            [torch.stack([(a * b).sum(axes, dtype=torch.float64) for b in tangents], 1) for a in weighted], 1
        )
        return self._solved(slope, curvature, coefficients / self.scales) * self.scales

    def _tangent(self, motion: Tensor, column: int) -> Tensor:
        """By how much each view of the volume changes where one number of its motion does, in pixels."""
        move = torch.zeros_like(motion)
        move[:, column] = STEP * self.scales[column]
        return (self.operator(motion + move)(self.volume) - self.operator(motion - move)(self.volume)) / (2 * STEP)

    def _solved(self, slope: Tensor, curvature: Tensor, scaled: Tensor) -> Tensor:
        """The step of the coefficients (in pixels) from normal equations of the views, [views, n] and [views, n, n]."""
        knots, n = self.basis.shape[1], slope.shape[1]
        full = torch.einsum("vk,vij,vl->kilj", self.basis, curvature, self.basis).reshape(knots * n, knots * n)
        strength = float(full.diagonal().mean())
        rough = strength * torch.kron(self.roughness, torch.eye(n, dtype=torch.float64))
        right = (self.basis.T @ slope).flatten() - rough @ scaled.flatten()
        ridge = 1e-4 * strength * torch.eye(knots * n, dtype=torch.float64)
        return torch.linalg.solve(full + rough + ridge, right).reshape(knots, n)

    def _centred(self, coefficients: Tensor) -> Tensor:
        """The same motion about its mean: place and turn of the object cannot be told."""
        return coefficients - (self.basis @ coefficients).mean(0)


def _result(geometry: Geometry, basis: Tensor, coefficients: Tensor, rest: tuple[float, float, bool]) -> Motion:
    motion = start_value(geometry, "motion") + basis @ coefficients
    moved = dataclasses.replace(geometry.recipe, motion=motion).geometry()
    return Motion(moved, motion, coefficients, *rest)
