"""Beam hardening from the scan alone: by a flat object, by its own lengths, or by projections that agree."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError, PreparationWarning
from sinograd.geometry import Geometry, Grid
from sinograd.ops import XRayTransform
from sinograd.preparation.beam_hardening import beam_hardening_polynomial, correct_beam_hardening
from sinograd.preparation.slices import check_scan, reconstructed

# Of the brightest tenth of the object: what is above this share of it belongs to the object, without the edge.
OBJECT = 0.5
GROUPS = 200  # of rays of similar length
EDGE = 3  # voxels that are left out at the object's edge
# Squared deviations are taken for at least this share of the largest: float64 does not resolve less.
RESOLVED = 1e-12
# What hardens needs a curve that gets steeper; one less steep than this somewhere was found from something else.
LEAST_SLOPE = 0.5


def flat_polynomial(
    line_integrals: Tensor, geometry: Geometry, grid: Grid, *, degree: int = 4, mask: Tensor | None = None
) -> tuple[float, ...]:
    """Coefficients (1, c2, ...) for which an object of one material is flattest; see `correct_beam_hardening`.

    M. Kachelriess, K. Sourbelle, W. A. Kalender, "Empirical cupping correction: a first-order raw data precorrection
    for cone-beam computed tomography", Medical Physics 33(5), 2006: reconstruction is linear, so the image of a
    polynomial is the sum of the images of its powers, and the weights are a least-squares fit. Here the standard
    deviation in the object is least as a share of the mean, and c1 = 1 keeps the values of thin objects. What noise
    adds is left out: deviations are those that the slices of even and of odd views have in common.

    Args:
        line_integrals: as measured, [views, (rows,) columns].
        geometry, grid: of the scan.
        degree: of the polynomial.
        mask: bool, voxels that are one material; None: what is above half of the object's values, without its edge.

    Raises:
        ValueError: a wrong degree, or a mask without enough voxels.

    Warns:
        PreparationWarning: the polynomial flattens line integrals, as no beam hardening needs it: rays are missing, or
            the object is not of one material.
    """
    _check(line_integrals, geometry, degree)
    with torch.no_grad():
        inside = _object(reconstructed(line_integrals, geometry, grid)) if mask is None else mask
    if not isinstance(inside, Tensor) or inside.dtype != torch.bool:
        raise InputTypeError("mask: expected a bool tensor")
    if tuple(inside.shape) != grid.shape or int(inside.sum()) < 10 * degree:
        raise InputError(f"mask: expected at least {10 * degree} voxels of {list(grid.shape)}, got {int(inside.sum())}")
    even, odd = (_powers_in(inside, line_integrals, geometry, grid, (degree, first)) for first in (0, 1))
    mean = (even.mean(0) + odd.mean(0)) / 2
    even, odd = even - even.mean(0), odd - odd.mean(0)
    scale = np.sqrt((even**2 + odd**2).mean(0))
    _check_scale(scale)
    common = (even / scale).T @ (odd / scale)
    return _solved(common + common.T, mean, scale, line_integrals)


def segmented_polynomial(
    line_integrals: Tensor, geometry: Geometry, grid: Grid, *, degree: int = 3, passes: int = 2
) -> tuple[float, ...]:
    """Coefficients (1, c2, ...) by the lengths of rays in an object of one material, which the scan itself shows.

    M. Krumm, S. Kasperl, M. Franz, "Reducing non-linear artifacts of multi-material objects in industrial 3D computed
    tomography", NDT & E International 41(4), 2008, for one material: the slice is cut at half of the object's value,
    lengths in what is above are those of a step wedge (`beam_hardening_polynomial`), and the corrected slice is cut
    again. Rays that are missing do less harm than in `flat_polynomial`.

    Args:
        line_integrals, geometry, grid, degree: as of `flat_polynomial`.
        passes: how often the slice is cut.

    Raises:
        ValueError: as `flat_polynomial`, or passes that are not positive.

    Warns:
        PreparationWarning: as `flat_polynomial`.
    """
    _check(line_integrals, geometry, degree)
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
        raise InputError(f"passes: expected a whole number from 1, got {passes!r}")
    transform, coefficients = XRayTransform(geometry, grid), (1.0,)
    with torch.no_grad():
        for _ in range(passes):
            image = reconstructed(correct_beam_hardening(line_integrals, coefficients), geometry, grid)
            inside = image > OBJECT * _bright(image)
            if not bool(inside.any()):
                raise InputError("line_integrals: expected an object, the slice has none")
            lengths = transform(inside.to(image.dtype))
            # Edges are blurred by voxels and pixels: rays that only graze the object would count as thin parts.
            used = lengths > EDGE * max(grid.spacing)
            wedge = _grouped(lengths[used].cpu().numpy(), line_integrals[used].cpu().numpy())
            coefficients = beam_hardening_polynomial(*wedge, degree=degree)
    _warn_of_flattening(coefficients, line_integrals)
    return coefficients


def _grouped(lengths: np.ndarray, line_integrals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over rays of similar length: a fit to single rays would take their noise for hardening."""
    order = np.argsort(lengths)
    groups = np.array_split(order, max(1, min(GROUPS, len(order))))
    first, second = ([values[group].mean(dtype=np.float64) for group in groups] for values in (lengths, line_integrals))
    return np.array(first), np.array(second)


def consistent_polynomial(
    line_integrals: Tensor, geometry: Geometry, grid: Grid, *, degree: int = 4
) -> tuple[float, ...]:
    """Coefficients (1, c2, ...) for which the projections of the reconstruction are the corrected projections.

    The standard deviation of the inconsistency of whole views is least as a share of their mean. For scans without
    missing rays, of objects that are not round: what a round object on the axis measures is consistent whatever is done
    to it. Of any number of materials that harden alike. Arguments, errors and warnings as of `flat_polynomial`.
    """
    _check(line_integrals, geometry, degree)
    transform = XRayTransform(geometry, grid)
    with torch.no_grad():
        powers = [line_integrals**k for k in range(1, degree + 1)]
        rests = [transform(reconstructed(q, geometry, grid, window="ram-lak")) - q for q in powers]
        # The voxels blur edges; what one view has in all is not touched by that.
        sums = [rest.double().flatten(1).sum(1) for rest in rests]
    errors = torch.stack([total - total.mean() for total in sums], 1).cpu().numpy()
    signal = np.array([float(q.double().sum()) / len(q) for q in powers])
    scale = np.linalg.norm(errors, axis=0)
    _check_scale(scale)
    return _solved((errors / scale).T @ (errors / scale), signal, scale, line_integrals)


def _powers_in(
    inside: Tensor, line_integrals: Tensor, geometry: Geometry, grid: Grid, which: tuple[int, int]
) -> np.ndarray:
    """Voxels of the images of powers up to a degree, [voxels, powers], of every other view; which: (degree, first)."""
    degree, first = which
    views = range(first, len(line_integrals), 2)
    part, beam = line_integrals[first::2].detach(), geometry[views]
    images = [reconstructed(part**k, beam, grid)[inside].double() for k in range(1, degree + 1)]
    return torch.stack(images, 1).cpu().numpy()


def _solved(squares: np.ndarray, signal: np.ndarray, scale: np.ndarray, line_integrals: Tensor) -> tuple[float, ...]:
    """(1, c2, ...) of the least (c scale) squares (c scale) / (signal c)^2.

    With c1 = 1 alone, without the signal, the least would be a polynomial that takes the object away.
    """
    values, directions = np.linalg.eigh(squares)
    values = np.maximum(values, RESOLVED * values[-1])
    found = directions @ ((directions.T @ (signal / scale)) / values) / scale
    coefficients = tuple(float(c) for c in found / found[0])
    _warn_of_flattening(coefficients, line_integrals)
    return coefficients


def _check_scale(scale: np.ndarray) -> None:
    if not ((scale > 0) & np.isfinite(scale)).all():
        raise InputError("line_integrals: their powers are zero or too large for float32: expected those of an object")


def _warn_of_flattening(coefficients: tuple[float, ...], line_integrals: Tensor) -> None:
    p = np.linspace(0, float(line_integrals.detach().max()), 200)
    slopes = np.polynomial.Polynomial((0.0, *coefficients)).deriv()(p)
    if slopes.min() >= LEAST_SLOPE:
        return
    shown = ", ".join(f"{c:.3g}" for c in coefficients)
    warnings.warn(
        f"the polynomial ({shown}) has a slope of {slopes.min():.2g} at a line integral of {p[slopes.argmin()]:.2g}, "
        "and beam hardening needs slopes above 1: a lower degree may find a better one, or the scan does not tell it",
        PreparationWarning,
        stacklevel=3,
    )


def _bright(image: Tensor) -> Tensor:
    """The value of the object: the mean of the brightest tenth of the voxels."""
    return image.flatten().topk(max(1, image.numel() // 10)).values.mean()


def _object(image: Tensor) -> Tensor:
    outside = (image < OBJECT * _bright(image)).float()[None, None]
    pool = torch.nn.functional.max_pool3d if image.ndim == 3 else torch.nn.functional.max_pool2d
    return pool(outside, 2 * EDGE + 1, 1, EDGE)[0, 0] == 0


def _check(line_integrals: Tensor, geometry: Geometry, degree: int) -> None:
    check_scan(line_integrals, geometry)
    if isinstance(degree, bool) or not isinstance(degree, int) or not 2 <= degree <= 8:
        raise InputError(f"degree: expected a whole number from 2 to 8, got {degree!r}")
