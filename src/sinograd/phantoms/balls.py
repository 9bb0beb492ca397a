"""Solid balls."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import is_sequence, number
from sinograd.phantoms.ellipsoids import Ellipsoids


def ball(radius: float, value: float = 1.0, center: Sequence[float] = (0.0, 0.0, 0.0)) -> Ellipsoids:
    """A ball of `radius` mm and `value` 1/mm at `center` (x, y, z) mm; in two dimensions a disc."""
    return balls(radius, value, [center])


def balls(
    radius: float | Sequence[float] | Tensor,
    value: float | Sequence[float] | Tensor,
    center: Sequence[Sequence[float]] | Tensor,
) -> Ellipsoids:
    """Balls at the centres [n, 3]; radius (mm) and value (1/mm) are one number for all or n of them.

    Values add where balls overlap.
    """
    radius = radius if is_sequence(radius) else number(radius, "radius")
    radii = torch.as_tensor(radius, dtype=torch.float64, device="cpu")
    if radii.ndim > 1 or not bool((radii > 0).all()):
        raise InputError(f"radius must be a positive number or [n] of them, got {radius}")
    return Ellipsoids(value, radii[..., None].expand(*radii.shape, 3), center)
