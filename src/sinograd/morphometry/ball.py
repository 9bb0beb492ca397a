"""Spherical neighbourhoods on a grid of anisotropic voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks

_TIE = 1e-9  # a centre exactly on the sphere belongs to it, whatever rounding says


def ball(spacing: float | Sequence[float], diameter: float) -> Tensor:
    """Which voxels belong to the neighbourhood of the middle one: those whose centres lie within diameter / 2.

    Paper 001 (arXiv 2011.02382), N_d of equations 6 to 9: at 0.34 x 0.172 x 0.172 mm, 4.3 mm are 13 x 25 x 25 voxels.

    Args:
        spacing: mm per voxel, one number or (z, y, x).
        diameter: mm.

    Returns:
        Booleans [Z, Y, X], each side odd, the smallest box that holds all of them.

    Raises:
        InputError, InputTypeError: no positive numbers.
    """
    steps = checks.spacing(spacing, "spacing", 3)
    radius = checks.positive(diameter, "diameter") / 2 * (1 + _TIE)
    reach = [int(radius / step) for step in steps]
    axes = [torch.arange(-n, n + 1, dtype=torch.float64) * step for n, step in zip(reach, steps, strict=True)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius**2


def fitting_ball(spacing: Sequence[float], diameter: float, shape: Sequence[int]) -> Tensor:
    """`ball`, if its box fits into a volume [..., Z, Y, X] of that shape; InputError otherwise."""
    # Before anything of its size is allocated.
    radius = checks.positive(diameter, "diameter") / 2 * (1 + _TIE)
    box = [2 * int(radius / step) + 1 for step in spacing]
    if any(n > m for n, m in zip(box, shape[-3:], strict=True)):
        raise InputError(
            f"diameter {diameter:g} mm is a neighbourhood of {' x '.join(map(str, box))} voxels, larger than the "
            f"volume of {' x '.join(map(str, shape[-3:]))}"
        )
    return ball(spacing, diameter)
