"""The search for the least criterion at one level: a few Newton steps within bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.recon.calibration.level import Level
from sinograd.recon.calibration.reprojection import Normal

LONGEST, SHORTEST = 2.0, 0.003  # pixels: of a step, and of one that is the last
MOST_STEPS = 12
MEMORY = 3  # of Anderson's acceleration


class Criterion(Protocol):
    """What is minimised at a level, of scaled arguments [n]."""

    level: Level
    rise: float
    """Share by which it may rise at a step."""

    def cost(self, theta: Tensor) -> float:
        """Its value."""
        ...

    def normal(self, theta: Tensor, active: list[int]) -> Normal:
        """Its value, gradient and curvature as a function of the arguments `active`."""
        ...


@dataclass(frozen=True, eq=False)
class Found:
    """Where a search ended.

    Attributes:
        theta: scaled arguments [n].
        normal: the criterion one step before.
        converged: whether the last step was short.
    """

    theta: Tensor
    normal: Normal
    converged: bool


def descend(criterion: Criterion, limits: Tensor) -> Found:
    """Newton steps from 0 within limits [n, 2].

    Steps are those of the curvature's absolute values, so that they always descend (Y. Dauphin et al., "Identifying and
    attacking the saddle point problem", NeurIPS 2014), accelerated after Anderson, at most two pixels long, and halved
    where the criterion rises or the geometry cannot be reconstructed.
    """
    theta = torch.zeros(len(limits), dtype=torch.float64)
    best: tuple[Tensor, Normal] | None = None
    step = torch.zeros_like(theta)
    points: list[Tensor] = []
    steps: list[Tensor] = []
    for _ in range(MOST_STEPS):
        normal = _normal(criterion, theta)
        if best is not None and (normal is None or normal.cost > best[1].cost + criterion.rise * abs(best[1].cost)):
            step = step / 2
            if float(step.abs().max()) < SHORTEST:
                return Found(best[0], best[1], True)
            theta = best[0] + step
            continue
        if normal is None:
            raise InputError("geometry: the criterion cannot be computed where the calibration starts")
        points.append(theta)
        steps.append(newton_step(normal, theta, limits))
        step = anderson(points[-MEMORY:], steps[-MEMORY:]) - theta
        step = step * min(1.0, LONGEST / max(float(step.abs().max()), 1e-300))
        best = (theta, normal)
        theta = (theta + step).clamp(limits[:, 0], limits[:, 1])
        step = theta - best[0]
        if bool((steps[-1].abs() < _short(normal, criterion.level)).all()):
            return Found(theta, normal, True)
    assert best is not None
    return Found(best[0], best[1], False)


def anderson(points: list[Tensor], steps: list[Tensor]) -> Tensor:
    """The next point of a fixed-point iteration from its last points and the steps that it took there.

    D. G. Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12(4), 1965.
    """
    if len(points) == 1:
        return points[0] + steps[0]
    last = steps[-1].flatten()
    differences = torch.stack([(steps[-1] - step).flatten() for step in steps[:-1]], 1)
    size = float(differences.norm()) ** 2
    if not size > 0:  # all steps alike, as where each is cut to the longest one
        return points[-1] + steps[-1]
    square = differences.T @ differences + 1e-6 * size * torch.eye(differences.shape[1], dtype=last.dtype)
    share = torch.linalg.solve(square, differences.T @ last)
    result = points[-1] + steps[-1]
    for weight, point, step in zip(share, points, steps, strict=False):
        result = result - weight * (points[-1] + steps[-1] - point - step)
    return result


def newton_step(normal: Normal, theta: Tensor, limits: Tensor) -> Tensor:
    """The step to the least point of the quadratic model, not past limits and not longer than LONGEST."""
    free = torch.ones(len(theta), dtype=torch.bool)
    step = torch.zeros_like(theta)
    for _ in range(len(theta)):
        step = torch.zeros_like(theta)
        sub = normal.curvature[free][:, free]
        values, vectors = torch.linalg.eigh(sub)
        values = values.abs().clamp_min(1e-9 * float(values.abs().max()) + 1e-300)
        step[free] = -(vectors @ ((vectors.T @ normal.gradient[free]) / values))
        outside = free & (
            ((theta <= limits[:, 0] + 1e-12) & (step < 0)) | ((theta >= limits[:, 1] - 1e-12) & (step > 0))
        )
        if not bool(outside.any()):
            break
        free &= ~outside
        if not bool(free.any()):
            return torch.zeros_like(theta)
    longest = float(step.abs().max())
    step = step * min(1.0, LONGEST / longest) if longest > 0 else step
    return (theta + step).clamp(limits[:, 0], limits[:, 1]) - theta


def standard_errors(normal: Normal, level: Level) -> Tensor:
    """Of scaled arguments, from the noise of the projections: the sandwich H^-1 J H^-1; [n].

    J is the covariance of the gradient, which follows the projections linearly. Infinite where H is singular.
    """
    spread = torch.stack([(one * level.variance.sqrt()).flatten() for one in normal.influence]).double()
    inner = spread @ spread.T
    try:
        inverse = torch.linalg.inv(normal.curvature)
    except RuntimeError:  # of torch.linalg
        return torch.full((len(inner),), math.inf, dtype=torch.float64)
    return (inverse @ inner @ inverse.T).diagonal().clamp_min(0).sqrt()


def _short(normal: Normal, level: Level) -> Tensor:
    """Steps [n] that matter no more: a hundredth of a pixel by far, or small against the noise."""
    return (0.2 * standard_errors(normal, level)).nan_to_num(0.0, 0.0).clamp_min(SHORTEST)


def _normal(criterion: Criterion, theta: Tensor) -> Normal | None:
    """The criterion near theta; None where it cannot be computed or is not finite."""
    try:
        normal = criterion.normal(theta, list(range(len(theta))))
    except InputError:
        return None
    finite = math.isfinite(normal.cost) and bool(torch.isfinite(normal.gradient).all())
    return normal if finite and bool(torch.isfinite(normal.curvature).all()) else None
