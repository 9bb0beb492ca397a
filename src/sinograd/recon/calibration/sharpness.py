"""Criteria of the reconstruction alone: how sparse its gradient is, and how few values it has.

Both are smooth functions of projections and geometry by way of `fdk` and `fbp`, and are followed by autograd.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from sinograd.errors import CoverageWarning
from sinograd.geometry import ConeBeam
from sinograd.recon.analytic.fbp import fbp
from sinograd.recon.analytic.fdk import fdk
from sinograd.recon.calibration.differentiated import Differentiated
from sinograd.recon.calibration.level import Level

BINS = 64


class Sharpness(Differentiated):
    """`Normal`s of a measure of the reconstruction at one level."""

    def __init__(self, level: Level) -> None:
        super().__init__(level)
        self.span: tuple[float, float] | None = None

    def measure(self, volume: Tensor) -> Tensor:
        """The criterion of a volume; less is sharper."""
        raise NotImplementedError

    def value(self, projections: Tensor, theta: Tensor) -> Tensor:
        """The criterion of the reconstruction."""
        return self.measure(self._volume(projections, theta))

    def _volume(self, projections: Tensor, theta: Tensor) -> Tensor:
        geometry = self.level.geometry(theta)
        grid = self.level.grid_at(self.level.geometry(theta.detach()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CoverageWarning)
            if isinstance(geometry, ConeBeam):
                return fdk(projections, geometry, grid, window="hann")
            return fbp(projections, geometry, grid, window="hann")  # type: ignore[arg-type]


class GradientSparsity(Sharpness):
    """The 1-norm of the gradient over its 2-norm: small where few edges hold it all."""

    def measure(self, volume: Tensor) -> Tensor:
        """See `Sharpness.measure`."""
        parts = [_inner(volume.diff(dim=axis), axis) for axis in range(volume.ndim)]
        square = torch.stack([part.square() for part in parts]).sum(0)
        small = 1e-4 * square.detach().mean()
        return (square + small).sqrt().mean() / square.mean().sqrt()


class Entropy(Sharpness):
    """The entropy of the histogram of values, its counts shared linearly between neighbouring bins."""

    def measure(self, volume: Tensor) -> Tensor:
        """See `Sharpness.measure`."""
        if self.span is None:
            held = volume.detach()
            self.span = float(held.min()), float(held.max())
        low, high = self.span
        place = ((volume - low) / (high - low) * (BINS - 1)).clamp(0, BINS - 1 - 1e-4).flatten()
        first = place.detach().floor()
        share = place - first
        counts = torch.zeros(BINS, dtype=volume.dtype, device=volume.device)
        counts = counts.index_add(0, first.long(), 1 - share).index_add(0, first.long() + 1, share)
        probability = counts / counts.sum()
        return -(probability * (probability + 1e-12).log()).sum()


def _inner(differences: Tensor, axis: int) -> Tensor:
    """Differences along an axis where there are ones along all."""
    for other in range(differences.ndim):
        if other != axis:
            differences = differences.narrow(other, 0, differences.shape[other] - 1)
    return differences
