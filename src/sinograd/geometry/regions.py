"""The geometry of a part of a detector, of binned elements, and of a detector that stands elsewhere."""

from __future__ import annotations

from typing import Any, TypeVar, overload

import torch
from torch import Tensor

from sinograd.config.shown import shown
from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.base import Geometry
from sinograd.geometry.checks import Values
from sinograd.geometry.detectors import CurvedDetector, Detector

G = TypeVar("G", bound=Geometry)
Span = tuple[int, int]


def detector_region(
    geometry: G,
    rows: Span | None = None,
    columns: Span | None = None,
    binning: int | tuple[int, int] = 1,
) -> G:
    """The geometry of rows and columns first to last - 1, `binning` elements (row, column) joined to one.

    Every element of the result lies where the elements it is made of have their middle: the offset of the detector is
    adjusted exactly. Elements that do not fill a bin are left out at the end.

    Args:
        geometry: any; a 2-D one has no rows to choose from.
        rows, columns: (first, end), the end excluded; None: all.
        binning: elements joined along both axes, or (along a column, along a row).

    Raises:
        TypeError, ValueError: naming the argument, for spans outside the detector or smaller than a bin.
    """
    detector = geometry.detector
    factors = check_binning(binning, detector.ndim)
    spans = (check_span(rows, "rows", detector.rows), check_span(columns, "columns", detector.columns))
    if detector.ndim == 1 and rows is not None and spans[0] != (0, 1):
        raise InputError(f"rows {rows}: a 2-D geometry has one row")
    shape, shift = [], []
    for name, (first, end), factor, count in zip(
        ("rows", "columns"), spans, factors, (detector.rows, detector.columns), strict=True
    ):
        bins = (end - first) // factor
        if bins < 1:
            raise InputError(f"binning: {factor} {name} do not fit into the {end - first} of {name} {first} to {end}")
        shape.append(bins)
        shift.append(first + (bins * factor - 1) / 2 - (count - 1) / 2)
    return _placed(geometry, (shape[0], shape[1]), factors, (shift[0], shift[1]))


def shift_detector(geometry: G, column: float | Values = 0.0, row: float | Values = 0.0) -> G:
    """The geometry with its detector moved by `column` mm along its own +u (along the arc if curved), `row` along +v.

    One number for all views is added to the detector's offset, one for each view [views] to the geometry's `shifts`;
    both are added to the centres of a geometry that was given by vectors.

    Raises:
        TypeError, ValueError: naming the argument; a row for the line detector of a 2-D geometry.
    """
    detector = geometry.detector
    column, row = (checks.per_view(value, name, geometry.views) for value, name in ((column, "column"), (row, "row")))
    if detector.ndim == 1 and bool(torch.as_tensor(row != 0).any()):
        raise InputError("row: the line detector of a 2-D geometry does not move along +v")
    if isinstance(column, float) and isinstance(row, float):
        moved = (row / detector.row_spacing, column / detector.column_spacing)
        return _placed(geometry, (detector.rows, detector.columns), (1, 1), moved)
    pairs = torch.stack([torch.as_tensor(v, dtype=torch.float64).expand(geometry.views) for v in (row, column)], dim=1)
    if geometry.scan == "vectors":
        rows, columns = (pairs / torch.tensor([detector.row_spacing, detector.column_spacing])).split(1, dim=1)
        return _from_vectors(geometry, detector, surface.slid(geometry.vectors, rows, columns), (1, 1))
    arguments, scan = _call_arguments(geometry)
    own = arguments["shifts"]
    moves = pairs if detector.ndim == 2 else pairs[:, 1]
    arguments["shifts"] = moves if own is None else own + moves
    return type(geometry)._constructor(scan)(**arguments)


@overload
def check_span(span: Span | None, name: str, count: int) -> Span: ...
@overload
def check_span(span: Span | None, name: str) -> Span | None: ...
def check_span(span: Span | None, name: str, count: int | None = None) -> Span | None:
    """(first, end) of a part of `count` elements, None: of any; ValueError naming it unless it lies within them."""
    if span is None:
        return None if count is None else (0, count)
    items = [checks.scalar(item) for item in checks.entries(span, name, "(first, end)")]
    whole = len(items) == 2 and all(isinstance(item, int) and not isinstance(item, bool) for item in items)
    most = checks.MOST if count is None else count
    if not whole or not 0 <= items[0] < items[1] <= most:  # pyright: ignore[reportOperatorIssue]
        limit = "" if count is None else f" <= {count}"
        raise InputError(f"{name}: expected (first, end) with 0 <= first < end{limit}, got {shown(span)}")
    return items[0], items[1]  # pyright: ignore[reportReturnType]


def check_binning(binning: int | tuple[int, int], ndim: int = 2) -> tuple[int, int]:
    """(along a column, along a row); a line detector (ndim 1) is binned along its row alone."""
    if not checks.is_sequence(binning):
        factor = checks.count(binning, "binning")
        return (factor if ndim == 2 else 1, factor)
    pair = checks.shape(binning, "binning", "a number or (rows, columns)", (2,))
    if ndim == 1 and pair[0] != 1:
        raise InputError(f"binning {pair}: the line detector of a 2-D geometry has no rows to join")
    return pair[0], pair[1]


def _placed(geometry: G, shape: tuple[int, int], factors: tuple[int, int], shift: tuple[float, float]) -> G:
    """The geometry with a detector of `shape` whose middle is `shift` (rows, columns) elements from where it was."""
    old = geometry.detector
    if geometry.scan == "vectors":
        vectors = surface.slid(geometry.vectors, *shift)
        return _from_vectors(geometry, _detector(old, shape, factors, (0.0, 0.0)), vectors, factors)
    arguments, scan = _call_arguments(geometry)
    offset = (old.row_offset + shift[0] * old.row_spacing, old.column_offset + shift[1] * old.column_spacing)
    arguments["detector"] = _detector(old, shape, factors, offset)
    return type(geometry)._constructor(scan)(**arguments)


def _call_arguments(geometry: Geometry) -> tuple[dict[str, Any], str]:
    """The arguments that make the geometry, its angles written out, and the constructor's name."""
    if geometry.followed_vectors is not None:
        raise InputError(
            f"geometry: this {type(geometry).__name__} requires gradients, which do not pass to a part of its detector "
            "or a moved one: take that first, and give it the vectors or arguments that require gradients"
        )
    arguments = {key: value for key, value in geometry._arguments.items() if key not in ("views", "start")}
    return arguments, "circular" if geometry.scan == "short_scan" else geometry.scan


def _from_vectors(geometry: G, detector: Detector, vectors: Tensor, factors: tuple[int, int]) -> G:
    arguments, scan = _call_arguments(geometry)
    dimensions = geometry.ndim
    arguments["detector"] = detector
    arguments["centers"] = vectors[:, surface.CENTER, :dimensions]
    arguments["u"] = vectors[:, surface.U, :dimensions] * factors[1]
    if dimensions == 3:
        arguments["v"] = vectors[:, surface.V] * factors[0]
    if arguments.get("curvature_centers") is not None:
        arguments["curvature_centers"] = vectors[:, surface.CURVATURE, :dimensions]
    return type(geometry)._constructor(scan)(**arguments)


def _detector(old: Detector, shape: tuple[int, int], factors: tuple[int, int], offset: tuple[float, float]) -> Detector:
    spacing = (old.row_spacing * factors[0], old.column_spacing * factors[1])
    extra = {"radius": old.radius} if isinstance(old, CurvedDetector) else {}
    if old.ndim == 1:
        return type(old)(shape[1], spacing[1], offset=offset[1], **extra)
    return type(old)(shape, spacing, offset=offset, **extra)
