"""Filtered backprojection as the books write it: NumPy, float64, one view after another, no code of sinograd.

A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", IEEE Press, 1988: parallel beams 3.3, fans
with equiangular and equally spaced detectors 3.4, cone beams 3.6; L. A. Feldkamp, L. C. Davis, J. W. Kress, JOSA A
1(6), 1984; D. L. Parker, Medical Physics 9(2), 1982.

Views are evenly spaced, detectors centred. The source stands at R (sin a, -cos a, 0), columns run along
(cos a, sin a, 0), rows along z: with s the depth of a point beyond the axis and t its distance along the columns,
s = y cos a - x sin a and t = x cos a + y sin a. Fan angles grow with the columns, so a ray (a, gamma) is met again
from its other end at (a + pi - 2 gamma, -gamma) and Parker's gamma is minus ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def full_turn(views: int) -> tuple[Array, float]:
    """Angles and step of a full scan."""
    return np.arange(views) * (2 * np.pi / views), 2 * np.pi / views


def ramp(columns: int, spacing: float) -> Array:
    """h(n spacing), |n| < columns: Kak & Slaney eq. 3.61."""
    n = np.arange(-(columns - 1), columns)
    h = np.zeros(len(n))
    odd = n % 2 == 1
    h[odd] = -1 / (n[odd] * np.pi * spacing) ** 2
    h[n == 0] = 1 / (4 * spacing**2)
    return h


def equiangular_ramp(columns: int, step: float) -> Array:
    """(gamma / sin gamma)^2 h(gamma), Kak & Slaney section 3.4.1, without their 1/2."""
    gamma = np.arange(-(columns - 1), columns) * step
    return ramp(columns, step) / np.sinc(gamma / np.pi) ** 2


def parker_weights(angles: Array, gamma: Array, fan_angle: float) -> Array:
    """[views, columns]; angles run from 0 to pi + fan_angle, gamma is the angle of each column's ray."""
    half = fan_angle / 2
    a, g = angles[:, None], gamma[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.sin(np.pi / 4 * a / (half + g)) ** 2
        fall = np.sin(np.pi / 4 * (np.pi + 2 * half - a) / (half - g)) ** 2
    return np.where(a < 2 * half + 2 * g, rise, np.where(a > np.pi + 2 * g, fall, 1.0))


def fdk(
    projections: Array,  # [views, rows, columns]
    angles: Array,
    step: float,  # of the angles
    redundancy: Array | float,  # 1/2 for a full turn, Parker's [views, columns] for a short scan
    distances: tuple[float, float],  # source to axis, source to detector
    pixel: tuple[float, float],  # row and column spacing
    axes: tuple[Array, Array, Array],  # z, y, x of the voxels
    curved: bool = False,
) -> Array:
    """[z, y, x] from a cone beam with a flat detector, or one curved about the source."""
    sod, sdd = distances
    views, rows, columns = projections.shape
    redundancy = np.broadcast_to(redundancy, (views, columns))
    z, y, x = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    volume = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape))
    if curved:
        tau = pixel[1] / sdd  # rad
        gamma = centred(columns, tau)
        cosine = np.cos(gamma) / np.sqrt(1 + (centred(rows, pixel[0]) / sdd)[:, None] ** 2)
        weight, kernel = sod * cosine, equiangular_ramp(columns, tau)
    else:
        # the detector scaled down to the axis
        tau = pixel[1] * sod / sdd
        p, zeta = centred(columns, tau), centred(rows, pixel[0] * sod / sdd)[:, None]
        weight, kernel = sod / np.sqrt(sod**2 + p**2 + zeta**2), ramp(columns, tau)
    for view, a, w in zip(projections, angles, redundancy, strict=True):
        q = tau * convolve(view * weight * w, kernel)
        depth, across = sod + y * np.cos(a) - x * np.sin(a), x * np.cos(a) + y * np.sin(a)
        if curved:
            distance = np.hypot(depth, across)
            row, column = z * sdd / distance / pixel[0], np.arctan2(across, depth) / tau
            volume += step / distance**2 * sample(q, row, column)
        else:
            row, column = z * sdd / depth / pixel[0], across * sod / depth / tau
            volume += step * (sod / depth) ** 2 * sample(q, row, column)
    return volume


def fan_fbp(
    sinogram: Array,  # [views, columns]
    angles: Array,
    step: float,
    redundancy: Array | float,
    distances: tuple[float, float],
    spacing: float,
    axes: tuple[Array, Array],
    curved: bool = False,
) -> Array:
    """[y, x]: the middle plane of a cone beam with one row."""
    plane = (np.zeros(1), *axes)
    return fdk(sinogram[:, None], angles, step, redundancy, distances, (1.0, spacing), plane, curved)[0]


def parallel_fbp(
    projections: Array,  # [views, columns] or [views, rows, columns]; rows and z are spaced alike
    angles: Array,
    step: float,
    redundancy: float,  # 1/2 for a full turn, 1 for half a turn
    spacing: float,
    axes: tuple[Array, Array],
) -> Array:
    """[y, x] or, every row being a slice, [rows, y, x]."""
    slices = projections if projections.ndim == 3 else projections[:, None]
    rows, columns = slices.shape[1:]
    y, x = axes[0][None, :, None], axes[1][None, None, :]
    row = np.arange(rows)[:, None, None] - (rows - 1) / 2
    volume = 0.0
    for view, a in zip(slices, angles, strict=True):
        q = spacing * redundancy * convolve(view, ramp(columns, spacing))
        volume = volume + step * sample(q, row, (x * np.cos(a) + y * np.sin(a)) / spacing)
    return volume if projections.ndim == 3 else volume[0]


def centred(count: int, spacing: float) -> Array:
    """Positions of `count` elements about zero."""
    return (np.arange(count) - (count - 1) / 2) * spacing


def convolve(rows: Array, kernel: Array) -> Array:
    """Every row with the kernel [2 columns - 1], zero outside, as long as the row."""
    columns = rows.shape[-1]
    return np.stack([np.convolve(row, kernel)[columns - 1 : 2 * columns - 1] for row in rows])


def sample(image: Array, row: Array, column: Array) -> Array:
    """Bilinear interpolation at (row, column) from the image's middle; zero outside."""
    rows, columns = image.shape
    padded = np.pad(image, (1, 2))
    row = np.clip(row + (rows + 1) / 2, 0, rows + 1)
    column = np.clip(column + (columns + 1) / 2, 0, columns + 1)
    row, column = np.broadcast_arrays(row, column)
    i, j = row.astype(int), column.astype(int)
    di, dj = row - i, column - j
    return (padded[i, j] * (1 - dj) + padded[i, j + 1] * dj) * (1 - di) + (
        padded[i + 1, j] * (1 - dj) + padded[i + 1, j + 1] * dj
    ) * di
