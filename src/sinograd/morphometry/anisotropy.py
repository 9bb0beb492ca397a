"""Degree of anisotropy from mean intercept lengths.

T. P. Harrigan, R. W. Mann, "Characterization of microstructural anisotropy in orthotropic materials using a second rank
tensor", Journal of Materials Science 19 (1984).
"""

from __future__ import annotations

import math

import numpy as np

from sinograd.morphometry.arguments import Spacing, Values
from sinograd.morphometry.surface import surface_elements

_DIRECTIONS = 400
_BANDS = 48  # of equal height, in which normals are gathered


def degree_of_anisotropy(mask: Values, spacing: Spacing, *, region: Values | None = None) -> float:
    """1 - smallest / largest axis of the ellipsoid of mean intercept lengths: 0 alike in all directions, 1 parallel.

    Lines along a direction u meet the surface sum |n u| dA times per volume; what lies between is the mean intercept
    length. 1 / length^2 is fitted by a quadratic form of u, whose eigenvalues are those of the ellipsoid's axes.

    Args:
        mask, spacing, region: as for `surface_area`.

    Returns:
        0 to 1; NaN where there is no surface.

    Raises:
        InputTypeError, InputError: as `surface_area`.
    """
    areas, normals = _gathered(mask, spacing, region)
    if not areas.sum() > 0:
        return math.nan
    directions = _sphere(_DIRECTIONS)
    crossings = np.abs(directions @ normals.T) @ areas
    z, y, x = directions.T
    terms = np.stack([z * z, y * y, x * x, 2 * z * y, 2 * z * x, 2 * y * x], axis=1)
    a, b, c, d, e, f = np.linalg.lstsq(terms, crossings**2, rcond=None)[0]
    values = np.linalg.eigvalsh(np.array([[a, d, e], [d, b, f], [e, f, c]])).clip(0)
    return float(1 - math.sqrt(values[0] / values[2]))


def _gathered(mask: Values, spacing: Spacing, region: Values | None) -> tuple[np.ndarray, np.ndarray]:
    """The surface by the direction it faces: areas and mean normals of a few thousand bins."""
    wide = 2 * _BANDS
    areas, sums = np.zeros(_BANDS * wide), np.zeros((_BANDS * wide, 3))
    for area, normal in surface_elements(mask, spacing, region=region):
        normal = np.where(normal[:, :1] < 0, -normal, normal)
        band = np.minimum(normal[:, 0] * _BANDS, _BANDS - 1).astype(int)
        turn = np.arctan2(normal[:, 1], normal[:, 2]) / (2 * math.pi) + 0.5
        bins = band * wide + np.minimum(turn * wide, wide - 1).astype(int)
        areas += np.bincount(bins, area, len(areas))
        for k in range(3):
            sums[:, k] += np.bincount(bins, area * normal[:, k], len(areas))
    some = areas > 0
    normals = sums[some] / np.linalg.norm(sums[some], axis=1, keepdims=True)
    return areas[some], normals


def _sphere(n: int) -> np.ndarray:
    """N directions, spread evenly over half a sphere by the golden angle."""
    height = (np.arange(n) + 0.5) / n
    angle = math.pi * (1 + math.sqrt(5)) * np.arange(n)
    radius = np.sqrt(1 - height**2)
    return np.stack([height, radius * np.sin(angle), radius * np.cos(angle)], axis=1)
