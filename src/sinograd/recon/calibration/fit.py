"""Volumes that fit projections best, by conjugate gradients in a norm of middle frequencies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sinograd.ops import XRayTransform

EDGE = 3  # elements at the detector's edges that are not compared


class Projector(Protocol):
    """A linear function from volumes to projections, and its adjoint."""

    def __call__(self, volume: Tensor) -> Tensor:
        """Projections of a volume."""
        ...

    @property
    def T(self) -> Callable[[Tensor], Tensor]:
        """The adjoint."""
        ...


@dataclass(frozen=True, eq=False)
class Fit:
    """A volume that fits projections.

    Attributes:
        volume: what explains the projections.
        residual: what is left of them.
        path: of each step the share of the last direction and the length: `follow` takes other projections along it.
    """

    volume: Tensor
    residual: Tensor
    path: tuple[tuple[float, float], ...]


class SmoothVoxels:
    """Projections of a volume after a binomial filter of 0.7 voxels' standard deviation along each axis.

    Smooth voxels look alike from all sides. Those that are linear between their middles look sharper along the axes.
    """

    def __init__(self, operator: XRayTransform) -> None:
        self.operator = operator
        self.axes = len(operator.grid.shape)

    def __call__(self, volume: Tensor) -> Tensor:
        """Projections [..., views, (rows,) columns] of a volume [..., (Z,) Y, X]."""
        return self.operator(smoothed(volume, self.axes, 1))

    def T(self, projections: Tensor) -> Tensor:
        """The adjoint."""
        return smoothed(self.operator.T(projections), self.axes, 1)


class MiddleFrequencies:
    """A symmetric weighting of projections: a ramp along the rows with a Hann window, smoothed along the columns; zero
    at the detector's edges.
    """

    def __init__(self, like: Tensor) -> None:
        columns = like.shape[-1]
        frequency = torch.fft.rfftfreq(2 * columns)  # cycles per column
        ramp = frequency * (0.5 + 0.5 * torch.cos(2 * math.pi * frequency))
        self.filter = (ramp + 1e-3).to(like)
        self.rows = like.ndim == 3 and like.shape[1] > 1
        inside = torch.zeros(like.shape[1:], dtype=like.dtype, device=like.device)
        area = inside[EDGE:-EDGE] if like.ndim == 3 and like.shape[1] > 4 * EDGE else inside
        area[..., EDGE:-EDGE] = 1
        self.inside = inside

    def __call__(self, projections: Tensor) -> Tensor:
        """The weighted projections [..., views, (rows,) columns]."""
        columns = projections.shape[-1]
        weighted = torch.fft.rfft(projections * self.inside, 2 * columns) * self.filter
        result = torch.fft.irfft(weighted, 2 * columns)[..., :columns]
        if self.rows:
            result = _smoothed_along(result, -2, 2)
        return result * self.inside


def smoothed(values: Tensor, axes: int, times: int = 2) -> Tensor:
    """Values after binomial filters (1, 2, 1) along the last axes, so many times; symmetric, zero outside.

    Twice is a standard deviation of 1 element.
    """
    for axis in range(-axes, 0):
        values = _smoothed_along(values, axis, times)
    return values


def _smoothed_along(values: Tensor, axis: int, times: int) -> Tensor:
    count = values.shape[axis]
    for _ in range(times):
        before, after = values.narrow(axis, 0, count - 1), values.narrow(axis, 1, count - 1)
        sides = torch.zeros_like(values)
        sides.narrow(axis, 1, count - 1).add_(before)
        sides.narrow(axis, 0, count - 1).add_(after)
        values = 0.5 * values + 0.25 * sides
    return values


def fit_volume(operator: Projector, norm: MiddleFrequencies, projections: Tensor, iterations: int) -> Fit:
    """The volume that explains the projections best in a norm R: conjugate gradients of A^T R A from zero."""
    residual = projections
    slope = operator.T(norm(residual))
    direction, volume = torch.zeros_like(slope), torch.zeros_like(slope)
    size = dot(slope, slope)
    path: list[tuple[float, float]] = []
    for number in range(iterations):
        if number:
            slope = operator.T(norm(residual))
        size, before = dot(slope, slope), size
        if number and size <= 0:
            break
        share = size / before if number else 0.0
        direction = slope + share * direction
        image = operator(direction)
        length = size / max(dot(norm(image), image), 1e-300)
        volume, residual = volume + length * direction, residual - length * image
        path.append((share, length))
    return Fit(volume, residual, tuple(path))


def follow(
    path: tuple[tuple[float, float], ...], operator: Projector, norm: MiddleFrequencies, projections: Tensor
) -> Fit:
    """What other projections [..., views, (rows,) columns] become on the way of a fit: linear in them.

    What is left of them is (1 - A P) p with P = polynomial(A^T R A) A^T R, and R (1 - A P) is symmetric.
    """
    residual = projections
    slope = operator.T(norm(residual))
    direction, volume = slope, torch.zeros_like(slope)
    for number, (share, length) in enumerate(path):
        if number:
            direction = operator.T(norm(residual)) + share * direction
        volume, residual = volume + length * direction, residual - length * operator(direction)
    return Fit(volume, residual, path)


def dot(one: Tensor, other: Tensor) -> float:
    """The inner product, summed in float64."""
    return float((one * other).sum(dtype=torch.float64))
