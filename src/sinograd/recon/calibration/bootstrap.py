"""Standard errors of a calibration by a parametric bootstrap of the photon noise.

What was found is taken for the truth: its reconstruction is projected again, noise of the variance that the projections
have is drawn on top of that, and the search is repeated. The spread of what is found counts whatever the sandwich
estimator takes for linear: B. Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 7(1), 1979.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from sinograd.errors import CoverageWarning
from sinograd.geometry import ConeBeam
from sinograd.ops import XRayTransform
from sinograd.recon.analytic.fbp import fbp
from sinograd.recon.analytic.fdk import fdk
from sinograd.recon.calibration.descend import Found
from sinograd.recon.calibration.level import Level

SEED = 20


def bootstrap_errors(level: Level, theta: Tensor, search: Callable[[Level], Found], draws: int) -> Tensor:
    """Standard deviations [n] of scaled arguments over some draws of the noise.

    Args:
        level: whose projections' noise is drawn.
        theta: what was found in them.
        search: finds the arguments at a level.
        draws: at least 2. The same draws in every call.
    """
    expected = _projected(level, theta)
    generator = torch.Generator().manual_seed(SEED)
    spread = level.variance.sqrt()
    found = []
    for _ in range(draws):
        noise = torch.randn(expected.shape, generator=generator)
        found.append(search(dataclasses.replace(level, projections=expected + spread * noise)).theta)
    return torch.stack(found).std(dim=0)


def _projected(level: Level, theta: Tensor) -> Tensor:
    """Projections of the reconstruction with the arguments theta."""
    geometry = level.geometry(theta.detach())
    grid = level.grid_at(geometry)
    reconstruct = fdk if isinstance(geometry, ConeBeam) else fbp
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", CoverageWarning)
        volume = reconstruct(level.projections, geometry, grid, window="hann")  # type: ignore[arg-type]
        return XRayTransform(geometry, grid)(volume).to(level.projections.dtype)
