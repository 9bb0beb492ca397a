"""Solids on grids of anisotropic voxels, whose measures are known."""

from __future__ import annotations

import numpy as np


def positions(width: float, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mm of the voxel centres of a cube about its middle, off the voxels' own symmetry."""
    counts = [round(width / step) for step in spacing]
    axes = [(np.arange(n) - (n - 1) / 2) * step + 0.13 for n, step in zip(counts, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z, y, x


def plate(axis: int, voxels: int, shape: tuple[int, int, int]) -> np.ndarray:
    """A plate across an axis through the whole volume, in its middle."""
    mask = np.zeros(shape, bool)
    first = (shape[axis] - voxels) // 2
    np.moveaxis(mask, axis, 0)[first : first + voxels] = True
    return mask
