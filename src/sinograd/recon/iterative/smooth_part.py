"""What the algorithms that go down the gradient of a fidelity share: its value, curvature and default strengths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real
from sinograd.ops.stored import StoredTensor, drawn, in_blocks
from sinograd.recon.iterative.fidelity import Fidelity, LeastSquares, as_fidelity
from sinograd.recon.iterative.norms import norm_like
from sinograd.recon.iterative.operators import Operator
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.state import State

_LOOKED_AT = 1 << 23  # numbers that the noise is measured in, about
MARGIN = 1.02  # on the largest curvature, which power iteration gives from below


class SmoothPart:
    """fidelity(A x), with its problem checked; arguments as in the algorithms."""

    def __init__(
        self,
        operator: Operator,
        projections: Tensor | Fidelity,
        *,
        weights: Tensor | None = None,
        start: Tensor | State | None = None,
        lower: float | Tensor | None = None,
        upper: float | Tensor | None = None,
    ) -> None:
        self.fidelity = as_fidelity(projections, weights)
        self.problem = Problem(
            operator,
            self.fidelity.projections,
            start=start,
            weights=self.fidelity.weights,
            lower=lower,
            upper=upper,
        )
        if isinstance(self.fidelity, LeastSquares):
            self.fidelity = LeastSquares(self.problem.projections, self.problem.weights)

    def measure(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """The fidelity of projections of an image, and |p - A x|; [...] float64."""
        value = self.fidelity.value(projected, self.problem.data_ndim)
        if isinstance(self.fidelity, LeastSquares):
            return value, (2 * value).sqrt()
        return value, self.problem.data_length(projected - self.problem.projections)

    def curvature(self) -> float:
        """Largest curvature in x: |sqrt(weights) A|^2, with a margin."""
        p, weights = self.problem.projections, self.problem.weights
        if weights is not None:
            weights = weights.reshape(-1, *self.problem.data_shape).amax(0) if weights.numel() else None
        return MARGIN * norm_like(self.problem.operator, self.problem.image_shape, p, weights) ** 2

    def model_holds(
        self, value: Tensor, value_before: Tensor, gradient: Tensor, x: Tensor, before: Tensor, curvature: float
    ) -> bool:
        """Whether the quadratic model about `before` lies above the value at x, to rounding."""
        moved = x - before
        length = self.problem.image_dot(moved, moved)
        model = value_before + self.problem.image_dot(gradient, moved) + curvature / 2 * length
        rounding = 10 * torch.finfo(x.dtype).eps * value_before.abs()
        return bool((value <= model + rounding).all()) or not bool(torch.isfinite(length).all())


def checked_strength(
    regularization: float | None, strength: float, inner_iterations: int = 1
) -> tuple[float | None, float]:
    """Both as Python's numbers; InputError unless they are numbers from 0 and iterations above 0."""
    regularization = None if regularization is None else real(regularization, "regularization")
    strength = real(strength, "strength")
    for name, value in (("regularization", regularization), ("strength", strength)):
        if value is not None and not 0 <= value < math.inf:
            raise InputError(f"{name}: expected a number from 0, got {value}")
    if inner_iterations < 1:
        raise InputError(f"inner_iterations: expected 1 or more, got {inner_iterations}")
    return regularization, strength


def voxel_spacing(operator: Operator, ndim: int, spacing: Sequence[float] | None) -> tuple[float, ...]:
    """Of the image's axes: what is given, the operator's grid's, or 1."""
    own: Sequence[float] = getattr(getattr(operator, "grid", None), "spacing", None) or [1.0] * ndim
    spacing = tuple(float(s) for s in (own if spacing is None else spacing))
    if len(spacing) != ndim or not all(s > 0 for s in spacing):
        raise InputError(f"spacing: expected {ndim} numbers above 0, got {spacing}")
    return spacing


def tv_weight(smooth: SmoothPart, strength: float = 1.0) -> float:
    """A weight of total variation that suits the scan: strength * (1.5 s d + 0.3 d^2 m / |A|^2).

    With s the noise of the (square root of the weights times the) projections, d the noise that unit noise leaves in a
    voxel of A.T (times that root) and m the largest |A.T p|, the first part outweighs the noise in the gradient of the
    fidelity; the second, where m / |A|^2 is the scale of attenuation, smooths what few views leave open, as much per
    voxel on every grid. Found on phantoms and on the scans of the Helsinki Tomography Challenge 2022; from a third to
    twice as much works as well.
    """
    problem = smooth.problem
    p, weights = problem.projections, problem.weights
    if p.numel() == 0:
        return 1.0
    root = None if weights is None else weights.sqrt()
    generator = torch.Generator().manual_seed(0)
    signs = drawn(p.shape, p, lambda some: torch.randint(0, 2, some, generator=generator).mul_(2).sub_(1))
    unit = problem.adjoint(signs if root is None else signs.mul_(root))
    per_voxel = math.sqrt(float(problem.image_dot(unit, unit).mean()) / max(1, math.prod(problem.image_shape)))
    del unit, signs
    noise = _least_noise(problem)
    return strength * (1.5 * noise * per_voxel + 0.3 * per_voxel**2 * attenuation_scale(smooth))


def attenuation_scale(smooth: SmoothPart) -> float:
    """The largest |A.T p| over |A|^2: mean attenuation where the object is thickest, 1/mm; a third of its peaks."""
    problem = smooth.problem
    p = problem.projections
    if p.numel() == 0:
        return 1.0
    back = problem.adjoint(p.clone() if problem.weights is None else p * problem.weights)
    largest = max(abs(float(back.min())), abs(float(back.max())))
    return (largest or 1.0) / smooth.curvature()


def usual_misfit(smooth: SmoothPart, strength: float = 1.0) -> Tensor:
    """A relative residual that suits the scan, one of each problem: strength * sqrt(n^2 + 0.04^2).

    With n the length of the noise of the (square root of the weights times the) projections over theirs, in rays that
    meet something; 4 % is about what voxels leave of the projections of an object with edges.
    """
    problem = smooth.problem
    p = problem.projections
    if p.numel() == 0:
        return torch.zeros_like(problem.data_norm)
    rays = (p > 0.05 * p.max()).sum(dim=tuple(range(-problem.data_ndim, 0)))
    noise = _least_noise(problem) * rays.sqrt() / problem.data_norm.clamp(min=torch.finfo(p.dtype).tiny)
    return strength * torch.hypot(noise, torch.full_like(noise, 0.04))


def _least_noise(problem: Problem) -> float:
    """Standard deviation of the (weighted) projections' noise, along the rows or the views, whichever is less."""
    p, ndim = problem.projections, problem.data_ndim
    root = None if problem.weights is None else problem.weights.sqrt()
    return min((_noise(p, root, axis, ndim) for axis in {-1, -ndim} if p.shape[axis] > 8), default=0.0)


def _thinned(values: Tensor, steps: Sequence[int]) -> Tensor:
    """Every so many along the last axes, in memory; of a tensor [views, rows, columns] that is stored, too."""
    if not isinstance(values, StoredTensor):
        return values[(..., *(slice(None, None, step) for step in steps))]
    views, rows, columns = (slice(None, None, step) for step in steps)
    return torch.cat([block[:, rows, columns].clone() for (block,) in in_blocks(values[views])])


def _noise(projections: Tensor, root: Tensor | None, axis: int, ndim: int) -> float:
    """Standard deviation of the (weighted) projections' noise, white along an axis: from the median third difference.

    Counted are the rays that meet something: where nothing is, nothing is uncertain. Some 64 lines across the axis
    are looked at, of a large scan fewer rows.
    """
    across = -ndim if axis == -1 else -1
    steps = [1] * ndim
    steps[across] = max(1, projections.shape[across] // 64)
    if ndim == 3:
        looked_at = math.prod(projections.shape[-ndim:]) // steps[across]
        steps[-2] = min(projections.shape[-2], max(1, looked_at // _LOOKED_AT))
    projections, root = _thinned(projections, steps), None if root is None else _thinned(root, steps)
    counted = projections.narrow(axis, 1, projections.shape[axis] - 3) > 0.05 * projections.max()
    third = projections.diff(n=3, dim=axis)
    if root is not None:
        third.mul_(root.narrow(axis, 1, third.shape[axis]))
    third = third.abs_()[counted]
    return float(third.median()) / (0.6745 * math.sqrt(20)) if third.numel() else 0.0
