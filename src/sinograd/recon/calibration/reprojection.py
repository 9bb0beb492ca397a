"""The criterion "reprojection": what of the projections no volume explains, by variable projection.

Of all volumes x, the one is taken that fits the projections best, so that the criterion is a function of the geometry
alone: f = min_x |p - A x|^2 / 2, in a norm of middle frequencies R (a ramp along the rows that ends smoothly, smoothed
along the columns): there noise and the voxels' own errors are small. G. H. Golub, V. Pereyra, "The differentiation of
pseudo-inverses and nonlinear least squares problems whose variables separate", SIAM J. Numer. Anal. 10(2), 1973; with
the Jacobian of L. Kaufman, BIT 15, 1975. As A^T R A is nearly a multiple of the identity, conjugate gradients take few
iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.ops import XRayTransform
from sinograd.recon.calibration.level import Level

ITERATIONS = 6
"""Of conjugate gradients, for the volume and for what it explains of tangents. They are as many for both, from zero:
with a volume that explains more than the tangents leave, steps are too short."""

STEP = 0.3
"""Scaled step (pixels) of the differences by which projections follow an argument."""

EDGE = 2  # elements at the detector's edges that are not compared


@dataclass(frozen=True, eq=False)
class Normal:
    """A criterion near a point.

    Attributes:
        cost: its value.
        gradient: [n], to the scaled arguments.
        curvature: [n, n].
        influence: how the gradient follows the projections, [n, *projections.shape].
    """

    cost: float
    gradient: Tensor
    curvature: Tensor
    influence: Tensor


class Reprojection:
    """`Normal`s of the criterion at one level."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.norm = MiddleFrequencies(level.projections)

    def cost(self, theta: Tensor) -> float:
        """The criterion."""
        _, residual = fit_volume(self._operator(theta), self.norm, self.level.projections, ITERATIONS)
        return self._product(residual, residual) / 2

    def normal(self, theta: Tensor, active: list[int]) -> Normal:
        """The criterion near theta [n] as a function of the arguments `active`."""
        operator = self._operator(theta)
        volume, residual = fit_volume(operator, self.norm, self.level.projections, ITERATIONS)
        tangents = [self._tangent(theta, index, volume, operator) for index in active]
        weighted = [self.norm(tangent) for tangent in tangents]
        gradient = [-_dot(tangent, residual) for tangent in weighted]
        curvature = [[_dot(a, b) for b in tangents] for a in weighted]
        return Normal(
            self._product(residual, residual) / 2,
            torch.tensor(gradient, dtype=torch.float64),
            torch.tensor(curvature, dtype=torch.float64),
            -torch.stack(weighted),
        )

    def _operator(self, theta: Tensor) -> XRayTransform:
        geometry = self.level.geometry(theta)
        return XRayTransform(geometry, self.level.grid_at(geometry))

    def _tangent(self, theta: Tensor, index: int, volume: Tensor, operator: XRayTransform) -> Tensor:
        """By how much the projections of the volume change, beyond what another volume explains."""
        ends = []
        for sign in (1, -1):
            moved = theta.clone()
            moved[index] += sign * STEP
            ends.append(self._operator(moved)(volume))
        return fit_volume(operator, self.norm, (ends[0] - ends[1]) / (2 * STEP), ITERATIONS)[1]

    def _product(self, one: Tensor, other: Tensor) -> float:
        return _dot(self.norm(one), other)


class MiddleFrequencies:
    """A symmetric weighting of projections: a ramp along the rows with a Hann window, smoothed along the columns; zero
    at the detector's edges.
    """

    def __init__(self, like: Tensor) -> None:
        columns = like.shape[-1]
        frequency = torch.fft.rfftfreq(2 * columns)  # cycles per column
        ramp = frequency * (0.5 + 0.5 * torch.cos(2 * math.pi * frequency))
        self.filter = (ramp + 1e-3).to(like)
        inside = torch.zeros(like.shape[1:], dtype=like.dtype, device=like.device)
        area = inside[EDGE:-EDGE] if like.ndim == 3 and like.shape[1] > 4 * EDGE else inside
        area[..., EDGE:-EDGE] = 1
        self.inside = inside

    def __call__(self, projections: Tensor) -> Tensor:
        """The weighted projections."""
        columns = projections.shape[-1]
        weighted = torch.fft.rfft(projections * self.inside, 2 * columns) * self.filter
        result = torch.fft.irfft(weighted, 2 * columns)[..., :columns]
        if projections.ndim == 3 and projections.shape[1] > 1:
            for _ in range(2):
                result = torch.nn.functional.pad(result, (0, 0, 1, 1))
                result = 0.25 * result[:, :-2] + 0.5 * result[:, 1:-1] + 0.25 * result[:, 2:]
        return result * self.inside


def fit_volume(
    operator: XRayTransform, norm: MiddleFrequencies, projections: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """The volume that explains the projections best in a norm R, and what is left of them.

    Conjugate gradients of A^T R A from zero.
    """
    residual = projections
    slope = operator.T(norm(residual))
    direction, volume = slope, torch.zeros_like(slope)
    size = _dot(slope, slope)
    for _ in range(iterations):
        image = operator(direction)
        length = size / max(_dot(norm(image), image), 1e-300)
        volume, residual = volume + length * direction, residual - length * image
        slope = operator.T(norm(residual))
        size, before = _dot(slope, slope), size
        if size <= 0:
            break
        direction = slope + (size / before) * direction
    return volume, residual


def _dot(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum(dtype=torch.float64))
