"""Distances to the surface of a voxelised structure, on a grid twice as fine.

The surface lies half-way between voxels inside and outside: where the mask, interpolated linearly between voxel
centres, is one half. So a plate of n voxels is n voxels thick, even n or odd, and along any axis; and the steps of
slanted surfaces are cut at their middle.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_HALF = 4  # of the 8 that eight voxels inside add up to


def fine_interior(mask: np.ndarray) -> np.ndarray:
    """Which points of the fine grid are inside: booleans [2 Z + 1, 2 Y + 1, 2 X + 1] of a mask [Z, Y, X].

    Point 2 i + 1 is the centre of voxel i, the points between lie on faces, edges and corners. Beyond the array the
    structure continues as it is at its border.
    """
    weights = mask.astype(np.uint8)
    for axis, n in enumerate(mask.shape):
        weights = np.moveaxis(weights, axis, 0)
        fine = np.empty((2 * n + 1, *weights.shape[1:]), np.uint8)
        fine[1::2] = 2 * weights
        fine[2:-1:2] = weights[1:] + weights[:-1]
        fine[0], fine[-1] = fine[1], fine[-2]
        weights = np.moveaxis(fine, 0, axis)
    return weights > _HALF


def surface_distances(interior: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Mm from each point of the fine grid to the next one that is not inside; infinite where there is none.

    spacing: of the voxels, mm.
    """
    if interior.all():
        return np.full(interior.shape, np.inf, np.float32)
    half = [step / 2 for step in spacing]
    return ndimage.distance_transform_edt(interior, sampling=half).astype(np.float32)  # pyright: ignore
