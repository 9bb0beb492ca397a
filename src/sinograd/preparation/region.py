"""A part of the detector, and elements joined: projections together with their geometry."""

from __future__ import annotations

from torch import Tensor, nn

from sinograd.errors import InputError
from sinograd.geometry import Geometry, detector_region
from sinograd.geometry.regions import Span, check_binning, check_span


def crop(
    projections: Tensor, geometry: Geometry, rows: Span | None = None, columns: Span | None = None
) -> tuple[Tensor, Geometry]:
    """Rows and columns first to end - 1 of projections [..., views, (rows,) columns], and their geometry.

    The result is a view of the projections. Raises ValueError for spans outside the detector.
    """
    check_projections(projections, geometry)
    part = detector_region(geometry, rows, columns)
    first, end = check_span(columns, "columns", geometry.columns)
    cut = projections[..., first:end]
    if geometry.ndim == 3:
        low, high = check_span(rows, "rows", geometry.rows)
        cut = cut[..., low:high, :]
    return cut, part


def bin_elements(projections: Tensor, geometry: Geometry, binning: int | tuple[int, int]) -> tuple[Tensor, Geometry]:
    """Means of `binning` (along a column, along a row) elements, and their geometry; differentiable.

    Elements that do not fill a bin are left out at the end. Counts and transmitted fractions are to be binned before
    the logarithm. Raises ValueError for bins larger than the detector.
    """
    check_projections(projections, geometry)
    part = detector_region(geometry, binning=binning)
    factors = check_binning(binning, geometry.detector.ndim)
    return joined(projections, factors if geometry.ndim == 3 else (1, factors[1])), part


def joined(images: Tensor, factors: tuple[int, int]) -> Tensor:
    """Means over blocks of `factors` elements of images [..., rows, columns]."""
    if factors == (1, 1):
        return images
    flat = images.reshape(-1, 1, *images.shape[-2:])
    return nn.functional.avg_pool2d(flat, factors).reshape(
        *images.shape[:-2], images.shape[-2] // factors[0], images.shape[-1] // factors[1]
    )


def check_projections(projections: Tensor, geometry: Geometry) -> None:
    """ValueError unless the projections are of the geometry."""
    expected = geometry.projection_shape
    if tuple(projections.shape[-len(expected) :]) != expected:
        raise InputError(f"projections {list(projections.shape)} do not match the geometry's {list(expected)}")
