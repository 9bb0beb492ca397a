"""Criteria that are expressions of projections and geometry, followed by autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.recon.calibration.level import Level
from sinograd.recon.calibration.reprojection import STEP, Normal


class Differentiated:
    """`Normal`s of an expression at one level."""

    rise = 1e-6

    def __init__(self, level: Level) -> None:
        self.level = level

    def value(self, projections: Tensor, theta: Tensor) -> Tensor:
        """The criterion of projections, at scaled arguments; it may require gradients to both."""
        raise NotImplementedError

    def cost(self, theta: Tensor) -> float:
        """The criterion."""
        with torch.no_grad():
            return float(self.value(self.level.projections, theta))

    def normal(self, theta: Tensor, active: list[int]) -> Normal:
        """The criterion near theta [n] as a function of the arguments `active`.

        The curvature is that of its gradients' differences over STEP pixels, as interpolation is linear piece by piece.
        """
        cost, gradient, _ = self._gradients(theta)
        rows, influence = [], []
        for index in active:
            ends = []
            for sign in (1, -1):
                moved = theta.clone()
                moved[index] += sign * STEP
                ends.append(self._gradients(moved))
            rows.append((ends[0][1] - ends[1][1])[active] / (2 * STEP))
            influence.append((ends[0][2] - ends[1][2]) / (2 * STEP))
        curvature = torch.stack(rows)
        return Normal(cost, gradient[active], (curvature + curvature.T) / 2, torch.stack(influence))

    def _gradients(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        moving, projections = theta.clone().requires_grad_(), self.level.projections.clone().requires_grad_()
        cost = self.value(projections, moving)
        to_theta, to_projections = torch.autograd.grad(cost, [moving, projections])
        return float(cost.detach()), to_theta, to_projections
