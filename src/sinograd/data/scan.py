"""A scan: projections, the geometry they were measured in, and what the file says about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sinograd.config.shown import shown
from sinograd.data.blocks import view_blocks
from sinograd.data.calibration import Calibration
from sinograd.data.lengths import PIXEL
from sinograd.data.memory import check_memory, reading
from sinograd.data.projections import (
    Projections,
    check_dtype,
    choose_views,
    dtype_text,
    is_projections,
    load_views,
    location_text,
    shape_of,
)
from sinograd.data.units import PER_PIXEL
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid, ParallelBeam
from sinograd.geometry.checks import is_sequence, positive
from sinograd.geometry.scaling import scaled_beam
from sinograd.geometry.view_indices import view_indices

_CHECKED_BYTES = 4 << 20  # of float32 numbers that are looked at together
LENGTH_UNITS = ("mm", PIXEL)
KINDS = ("line integrals", "transmission", "counts")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """Projections with their geometry.

    projections: [views, rows, columns], or [views, columns] for a 2-D geometry; may be lazy: `load` reads.
    geometry: where source and detector were in each view.
    metadata: what the file tells (vendor, sample, voltage ...), short names and plain values.
    grid: the grid that the file or its publisher suggests; None: take `geometry.default_grid()`.
    kind: what the numbers are: "line integrals" (attenuation x length, no unit), "transmission" (I / I0,
        already divided by the reference) or "counts" (raw detector values).
    file: the file it was read from. provenance: how that file was made.
    calibration: references, dark images, shifts and exposures; None: nothing is known or to be done.
    length_unit: what lengths of geometry and grid are in: "mm", or "pixel" of a file that does not say how large its
        pixels are. Attenuation is then per pixel; `with_pixel` states the size.

    `scan[views]` is the scan of some views, chosen as those of a geometry (`scan[::2]`); it reads nothing.
    Raises TypeError naming the argument for projections, geometry, grid or calibration of another type,
    ValueError for an unknown kind; `validate` checks shapes and numbers.
    """

    projections: Projections
    geometry: Geometry
    metadata: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid | None = None
    kind: str = "line integrals"
    file: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    length_unit: str = "mm"

    def __post_init__(self) -> None:
        if not is_projections(self.projections):
            found = type(self.projections).__name__
            raise InputTypeError(f"projections must be an array, a tensor or what `sinograd.read` gives, got {found}")
        if not isinstance(self.geometry, Geometry):
            raise InputTypeError(f"geometry must be a Geometry, got {type(self.geometry).__name__}")
        if self.grid is not None:
            check_grid(self.grid)
        if self.kind not in KINDS:
            raise InputError(f"{self.name}: kind must be one of {', '.join(KINDS)}, got {shown(self.kind)}")
        if self.length_unit not in LENGTH_UNITS:
            expected = ", ".join(LENGTH_UNITS)
            raise InputError(f"{self.name}: length_unit must be one of {expected}, got {shown(self.length_unit)}")
        if self.calibration is not None and not isinstance(self.calibration, Calibration):
            raise InputTypeError(f"calibration must be a Calibration, got {type(self.calibration).__name__}")

    def __getitem__(self, views: Any) -> Scan:
        """The scan of some views (an int, a slice, a list, a tensor of ints or bools), still lazy."""
        if isinstance(views, list) and all(isinstance(view, bool) for view in views):
            views = np.array(views, dtype=bool)
        order = view_indices(views, self.shape[0]).numpy()
        return replace(
            self,
            projections=choose_views(self.projections, order),
            geometry=self.geometry[order.tolist()],
            calibration=None if self.calibration is None else self.calibration.of_views(order),
        )

    def without(self, views: Any) -> Scan:
        """The scan of all views but these (an int, a slice, a list, a tensor of ints or bools), still lazy.

        Geometry, angles and calibration follow, so that a reconstruction weights the other views as it must.

        Raises InputError where no view would be left, IndexError for numbers of no view.
        """
        kept = np.ones(self.shape[0], dtype=bool)
        kept[view_indices(views, self.shape[0]).numpy()] = False
        if not kept.any():
            raise InputError(f"{self.name}: none of {len(kept)} views would be left")
        return self[np.flatnonzero(kept).tolist()]

    @property
    def volume_unit(self) -> str:
        """What volumes that are reconstructed from it are in: "1/mm", or "1/pixel"."""
        return PER_PIXEL if self.length_unit == PIXEL else "1/mm"

    def with_pixel(self, pixel_mm: float) -> Scan:
        """The scan with columns that are `pixel_mm` apart, whatever its file says: all lengths of it are scaled.

        Raises InputError for fan and cone beams, whose pixels do not scale their distances: they need a geometry.
        """
        size = positive(pixel_mm, "pixel_mm")
        if not isinstance(self.geometry, ParallelBeam):
            raise InputError(
                f"{self.name}: `pixel_mm` is for parallel beams, this is a {type(self.geometry).__name__}, whose "
                "distances count, too: give `geometry`"
            )
        factor = size / self.geometry.detector.column_spacing
        grid = None if self.grid is None else self.grid.scaled(factor)
        return replace(self, geometry=scaled_beam(self.geometry, factor), grid=grid, length_unit="mm")

    @property
    def name(self) -> str:
        """The file's name for messages."""
        return str(self.file) if self.file is not None else "scan"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the projections."""
        return shape_of(self.projections)

    @property
    def nbytes(self) -> int:
        """Bytes of all projections as stored."""
        return math.prod(self.shape) * self.projections.dtype.itemsize

    def load(self, views: Any = slice(None), dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Read `views` (a slice, an index or a list of indices) as a tensor of `dtype`, whatever is stored.

        The tensor may share memory with projections that are already in memory.

        Raises TypeError or IndexError for what are no numbers of views.
        """
        check_dtype(dtype)
        if not isinstance(views, slice) or views != slice(None):
            views = _plain_views(views, self.shape[0])
        if isinstance(views, slice) and views == slice(None):
            check_memory(math.prod(self.shape) * dtype.itemsize, self.name)
        with reading(self.name):
            return load_views(self.projections, views, dtype)

    def validate(self, progress: Progress | None = None) -> Scan:
        """Check shapes and numbers, block by block, and return the scan itself.

        Raises ValueError naming the file when the scan is empty, when the projections do not have the
        geometry's shape, or when they hold NaN or infinite values (it says how many and where the first is).
        """
        self.check_shape()
        count, first = 0, None
        for start, stop in view_blocks(self.shape, 4, _CHECKED_BYTES):
            bad = ~torch.isfinite(self.load(slice(start, stop)))
            if bad.any():
                count += int(bad.sum())
                if first is None:
                    view, *place = bad.nonzero()[0].tolist()
                    first = (start + view, *place)
            if progress is not None:
                progress(stop, self.shape[0])
        if first is not None:
            place = ", ".join(f"{axis[:-1]} {index}" for axis, index in zip(self.axes, first, strict=True))
            raise InputError(
                f"{self.name}: expected finite {self.kind}, got {count} NaN or infinite "
                f"value{'s' if count > 1 else ''}, the first at {place}"
            )
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of the projections."""
        return ("views", "columns") if self.geometry.ndim == 2 else ("views", "rows", "columns")

    def check_shape(self) -> None:
        """The part of `validate` that needs no projections: ValueError when the shapes do not fit."""
        axes, shape = self.axes, self.shape
        if 0 in shape:
            raise InputError(f"{self.name}: the scan is empty: projections {list(shape)}")
        expected = tuple(int(n) for n in self.geometry.projection_shape)
        if len(shape) != len(expected):
            raise InputError(
                f"{self.name}: the geometry expects projections [{', '.join(axes)}] = {list(expected)}, "
                f"got {len(shape)} dimensions {list(shape)}"
            )
        wrong = [f"{a} {n} != {m}" for a, n, m in zip(axes, shape, expected, strict=True) if n != m]
        if wrong:
            raise InputError(
                f"{self.name}: projections {list(shape)} do not match the geometry's {list(expected)}: "
                + ", ".join(wrong)
            )
        if self.calibration is not None:
            self.calibration.check(shape, self.name)

    def _repr_html_(self) -> str:
        from sinograd.data.html_repr import scan_html

        return scan_html(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {axis}" for n, axis in zip(self.shape, self.axes, strict=False))
        stored = f"{dtype_text(self.projections)}, {self.nbytes / 1e6:,.1f} MB, {location_text(self.projections)}"
        lines = [
            f"Scan {self.name}",
            f"  projections: {counts}; {self.kind}; {stored}",
            f"  geometry: {self.geometry!r}",
            f"  grid: {'geometry.default_grid()' if self.grid is None else repr(self.grid)}",
        ]
        if self.calibration is not None:
            lines.insert(2, f"  calibration: {self.calibration!r}")
        if self.length_unit == PIXEL:
            lines.append("  lengths: in pixels, whose size is not known")
        entries = list(self.metadata.items())
        lines += [f"  {key}: {_short(value)}" for key, value in entries[:14]]
        if len(entries) > 14:
            lines.append(f"  and {len(entries) - 14} more in .metadata")
        return "\n".join(lines)


def _plain_views(views: Any, count: int) -> int | slice | list[int]:
    """Views as every kind of projections takes them; InputTypeError or InputIndexError."""
    if isinstance(views, slice):
        try:
            views.indices(count)
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"views are chosen by whole numbers, got {shown(views)}: {error}") from None
        return views
    chosen = view_indices(views, count).tolist()
    return chosen if is_sequence(views) else chosen[0]


def check_grid(grid: object) -> None:
    """TypeError unless `grid` is a Grid."""
    if not isinstance(grid, Grid):
        raise InputTypeError(f"grid must be a Grid, got {type(grid).__name__}")


def _short(value: Any, width: int = 90) -> str:
    text = str(value)
    return text if len(text) <= width else text[: width - 3] + "..."
