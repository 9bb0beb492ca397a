"""Beam hardening from the scan alone: a polynomial that makes the object flat, or its projections consistent."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry, Grid
from sinograd.ops import XRayTransform
from sinograd.preparation.slices import check_scan, reconstructed

# Of the brightest tenth of the object: what is above this share of it belongs to the object, without the edge.
OBJECT = 0.5
EDGE = 3  # voxels that are left out at the object's edge


def flat_polynomial(
    line_integrals: Tensor, geometry: Geometry, grid: Grid, *, degree: int = 4, mask: Tensor | None = None
) -> tuple[float, ...]:
    """Coefficients (1, c2, ...) for which an object of one material is flattest; see `correct_beam_hardening`.

    M. Kachelriess, K. Sourbelle, W. A. Kalender, "Empirical cupping correction: a first-order raw data precorrection
    for cone-beam computed tomography", Medical Physics 33(5), 2006: reconstruction is linear, so the image of a
    polynomial is the sum of the images of its powers, and the weights are a least-squares fit. Here c1 = 1 keeps the
    values of thin objects.

    Args:
        line_integrals: as measured, [views, (rows,) columns].
        geometry, grid: of the scan.
        degree: of the polynomial.
        mask: bool, voxels that are one material; None: what is above half of the object's values, without its edge.

    Raises:
        ValueError: a wrong degree, or a mask without enough voxels.
    """
    _check(line_integrals, geometry, degree)
    with torch.no_grad():
        images = [reconstructed(line_integrals**k, geometry, grid).double() for k in range(1, degree + 1)]
    inside = _object(images[0]) if mask is None else mask
    if tuple(inside.shape) != grid.shape or int(inside.sum()) < 10 * degree:
        raise InputError(f"mask: expected at least {10 * degree} voxels of {list(grid.shape)}, got {int(inside.sum())}")
    columns = torch.stack([image[inside] for image in images], 1).numpy()
    columns = columns - columns.mean(0)  # flat is no deviation from the mean
    return _solved(columns)


def consistent_polynomial(
    line_integrals: Tensor, geometry: Geometry, grid: Grid, *, degree: int = 4
) -> tuple[float, ...]:
    """Coefficients (1, c2, ...) for which the projections of the reconstruction are the corrected projections.

    For objects that are not round: what a round object on the axis measures is consistent whatever is done to it. Of
    any number of materials that harden alike. Arguments and errors as of `flat_polynomial`.
    """
    _check(line_integrals, geometry, degree)
    transform = XRayTransform(geometry, grid)
    with torch.no_grad():
        powers = [line_integrals**k for k in range(1, degree + 1)]
        rests = [transform(reconstructed(q, geometry, grid, window="ram-lak")) - q for q in powers]
        # The voxels blur edges; what one view has in all is not touched by that.
        sums = [rest.double().flatten(1).sum(1) for rest in rests]
    return _solved(torch.stack([total - total.mean() for total in sums], 1).cpu().numpy())


def _solved(columns: np.ndarray) -> tuple[float, ...]:
    """(1, c2, ...) of the least |columns @ c|, with each column scaled."""
    scale = np.linalg.norm(columns, axis=0)
    found = np.linalg.lstsq(columns[:, 1:] / scale[1:], -columns[:, 0], rcond=1e-6)[0] / scale[1:]
    return (1.0, *(float(c) for c in found))


def _object(image: Tensor) -> Tensor:
    bright = image.flatten().topk(max(1, image.numel() // 10)).values.mean()
    outside = (image < OBJECT * bright).float()[None, None]
    pool = torch.nn.functional.max_pool3d if image.ndim == 3 else torch.nn.functional.max_pool2d
    return pool(outside, 2 * EDGE + 1, 1, EDGE)[0, 0] == 0


def _check(line_integrals: Tensor, geometry: Geometry, degree: int) -> None:
    check_scan(line_integrals, geometry)
    if isinstance(degree, bool) or not isinstance(degree, int) or not 2 <= degree <= 8:
        raise InputError(f"degree: expected a whole number from 2 to 8, got {degree!r}")
