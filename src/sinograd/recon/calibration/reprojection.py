"""The criterion "reprojection": what of the projections no volume explains, by variable projection.

Of all volumes x, the one is taken that fits the projections best, so that the criterion is a function of the geometry
alone: f = min_x |p - A x|^2 / 2, in a norm of middle frequencies R (a ramp along the rows that ends smoothly, smoothed
along the columns): there noise and the voxels' own errors are small. G. H. Golub, V. Pereyra, "The differentiation of
pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM J. Numer. Anal. 10(2), 1973; with
the Jacobian of L. Kaufman, BIT 15, 1975. As A^T R A is nearly a multiple of the identity, conjugate gradients take few
iterations.

Noise n of the projections is in the volume and in what is left of them, so that the gradient at the true geometry is
not zero on average: it is quadratic in n. The volume and what is left are those of a polynomial of A^T R A, which noise
of the same variance is taken through, too; its own gradient is subtracted. M. F. Hutchinson, "A stochastic estimator of
the trace of the influence matrix", Commun. Stat. Simul. Comput. 18(3), 1989.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.ops import XRayTransform
from sinograd.recon.calibration.fit import Fit, MiddleFrequencies, SmoothVoxels, dot, fit_volume, follow, smoothed
from sinograd.recon.calibration.level import Level

ITERATIONS = 12
"""Of conjugate gradients. With 6, the distance of a source is off by 1.1 mm of 200 without noise, with 12 by 0.2."""

STEP = 0.3
"""Scaled step (pixels) of the differences by which projections follow an argument."""

NEAR = 0.3  # scaled steps (pixels) over which the curvature is kept, and what noise makes of the gradient

READINGS, SEED = 50_000, 41  # of the noise that is drawn: at least so many

NOISIEST = 100.0  # times the median of the variances that are drawn: dead pixels would be all of the noise


@dataclass(frozen=True, eq=False)
class Normal:
    """A criterion near a point.

    Attributes:
        cost: its value.
        gradient: [n], to the scaled arguments.
        curvature: [n, n].
        influence: how the gradient follows the projections, [n, *projections.shape].
        pixel: the curvature of moving all projections by a pixel along their rows; None where that is not known.
    """

    cost: float
    gradient: Tensor
    curvature: Tensor
    influence: Tensor
    pixel: float | None = None


@dataclass(frozen=True, eq=False)
class _Neighbourhood:
    """What changes little near scaled arguments theta [n]: of `Normal`, and the gradient that noise makes."""

    theta: Tensor
    active: list[int]
    curvature: Tensor
    influence: Tensor
    noise: Tensor


class Reprojection:
    """`Normal`s of the criterion at one level."""

    # how near a volume comes in a few iterations depends on the geometry, too: what is looked for is a gradient of zero
    rise = 0.02

    def __init__(self, level: Level) -> None:
        self.level = level
        self.norm = MiddleFrequencies(level.projections)
        # what voxels hold without error, whichever way they lie: else a grid that rows run along would fit better
        self.projections = self._smoothed(level.projections)
        self.noise = self._smoothed(drawn(level.variance))
        self._near: _Neighbourhood | None = None

    def cost(self, theta: Tensor) -> float:
        """The criterion."""
        residual = fit_volume(self._model(theta), self.norm, self.projections, ITERATIONS).residual
        return self._product(residual, residual) / 2

    def normal(self, theta: Tensor, active: list[int]) -> Normal:
        """The criterion near theta [n] as a function of the arguments `active`; its gradient without that of noise.

        The curvature, and what noise makes of the gradient, are kept while steps are short.
        """
        fit = fit_volume(self._model(theta), self.norm, self.projections, ITERATIONS)
        near = self._near
        if near is None or near.active != active or float((theta - near.theta).abs().max()) > NEAR:
            near = self._near = self._neighbourhood(theta, active, fit)
        cost = self._product(fit.residual, fit.residual) / 2
        gradient = self._gradient(theta, active, fit) - near.noise
        return Normal(cost, gradient, near.curvature, near.influence, self._pixel())

    def _gradient(self, theta: Tensor, active: list[int], fit: Fit) -> Tensor:
        """-<(1 - A P) A' x, R r>, of what is left (r) of projections or of several, whose gradients are added."""
        left = follow(fit.path, self._model(theta), self.norm, fit.residual).residual
        weighted = self.norm(left)
        slopes = [-dot(self._change(theta, index, fit.volume), weighted) for index in active]
        return torch.tensor(slopes, dtype=torch.float64)

    def _neighbourhood(self, theta: Tensor, active: list[int], fit: Fit) -> _Neighbourhood:
        model = self._model(theta)
        changes = [self._change(theta, index, fit.volume) for index in active]
        # by how much the projections of the volume change, beyond what another volume explains
        tangents = [follow(fit.path, model, self.norm, change).residual for change in changes]
        weighted = [self.norm(tangent) for tangent in tangents]
        curvature = torch.tensor([[dot(a, b) for b in tangents] for a in weighted], dtype=torch.float64)
        influence = -self._smoothed(torch.stack(weighted))
        noise = self._gradient(theta, active, follow(fit.path, model, self.norm, self.noise)) / len(self.noise)
        return _Neighbourhood(theta.clone(), list(active), curvature, influence, noise)

    def _change(self, theta: Tensor, index: int, volume: Tensor) -> Tensor:
        """By how much projections of a volume change with an argument."""
        ends = []
        for sign in (1, -1):
            moved = theta.clone()
            moved[index] += sign * STEP
            ends.append(self._model(moved)(volume))
        return (ends[0] - ends[1]) / (2 * STEP)

    def _model(self, theta: Tensor) -> SmoothVoxels:
        geometry = self.level.geometry(theta)
        return SmoothVoxels(XRayTransform(geometry, self.level.grid_at(geometry)))

    def _smoothed(self, projections: Tensor) -> Tensor:
        return smoothed(projections, self.level.projections.ndim - 1)

    def _pixel(self) -> float:
        slope = torch.zeros_like(self.projections)
        slope[..., 1:-1] = (self.projections[..., 2:] - self.projections[..., :-2]) / 2
        return self._product(slope, slope)

    def _product(self, one: Tensor, other: Tensor) -> float:
        return dot(self.norm(one), other)


def drawn(variance: Tensor) -> Tensor:
    """Noise [draws, *variance.shape] of random signs, READINGS or more in all; the same in every call."""
    draws = math.ceil(READINGS / max(1, variance.numel()))
    generator = torch.Generator().manual_seed(SEED)
    signs = torch.randint(0, 2, (draws, *variance.shape), generator=generator)
    return (2 * signs - 1).to(variance) * variance.clamp(max=NOISIEST * float(variance.median())).sqrt()
