"""Coarser copies of volumes: means of 2 x 2 x 2 voxels."""

from __future__ import annotations

import numpy as np


def halved(array: np.ndarray) -> np.ndarray:
    """Means of 2 voxels along every axis that has more than one; planes of the first axis are taken by pairs."""
    whole = array.dtype.kind in "iu"
    step = 2 if array.shape[0] > 1 else 1
    half = np.empty([-(-n // 2) for n in array.shape], array.dtype)
    for index in range(half.shape[0]):
        plane = array[step * index : step * (index + 1)].mean(axis=0, dtype=np.float64 if whole else None)
        for axis in range(plane.ndim):
            plane = mean_of_pairs(plane, axis)
        half[index] = np.rint(plane) if whole else plane
    return half


def mean_of_pairs(array: np.ndarray, axis: int) -> np.ndarray:
    """Means of two neighbours along an axis; a last one without a neighbour stays."""
    rows = np.moveaxis(array, axis, 0)
    mean = rows[::2].copy()
    even = rows.shape[0] // 2
    mean[:even] += rows[1::2]
    mean[:even] /= 2
    return np.moveaxis(mean, 0, axis)
