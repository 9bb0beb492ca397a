"""One slice of a scan, reconstructed again for every position of the sliders.

Filters run along rows, so that a slice needs the few detector rows that see it. Their line integrals are kept; a move
of a slider repeats the stages behind it: preparation for rings and beam hardening, the geometry for centre, tilt and
offset, filter and backprojection for the rest.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sinograd.errors import InputError, SinogradWarning
from sinograd.geometry import Grid, detector_region
from sinograd.viewer.settings import Settings

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry

MARGIN = 12  # rows on both sides that are prepared beside those that are needed
BINNED_ROWS = 4  # at most, so that a margin of three binned rows is left
BANDS_BYTES = 400 << 20
COARSE, STRIP = 128, 256  # columns and pixels a side, about, of pictures while a slider moves, and of neighbours
VIEWS_AT_ONCE, BYTES_AT_ONCE = 96, 32 << 20  # at most, between which a newer move is noticed
VIEWS_PER_COLUMN = 0.7  # of these pictures


@dataclass(frozen=True)
class Picture:
    """A slice.

    Attributes:
        values: [y, x], float32.
        grid: of the whole volume, and of the slice.
        seconds: by stage.
    """

    values: np.ndarray
    grid: Grid
    slice: Grid
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Band:
    """Prepared rows (first, end) of a scan."""

    rows: tuple[int, int]
    scan: Scan
    made: dict[int, Scan] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return self.scan.nbytes + sum(scan.nbytes for scan in self.made.values())

    def reduced(self, side: int) -> Scan:
        """With means of n x n elements in the place of elements, about `side` columns, and every n-th view.

        Of few rows there are means along the columns alone.
        """
        if side not in self.made:
            scan, step = self.scan, max(1, round(len(self.scan.geometry) / (VIEWS_PER_COLUMN * side)))
            values, geometry = scan.load(slice(None, None, step)), scan.geometry
            factor = max(1, geometry.columns // side)
            together = min(factor, BINNED_ROWS) if geometry.ndim == 3 and geometry.rows > 2 * MARGIN else 1
            rows, columns = geometry.rows - geometry.rows % together, geometry.columns - geometry.columns % factor
            spans = {"columns": (0, columns), **({"rows": (0, rows)} if geometry.ndim == 3 else {})}
            geometry = detector_region(geometry[::step], binning=(together, factor), **spans)
            values = values[..., :columns].unflatten(-1, (-1, factor)).mean(-1)
            if together > 1:
                values = values[:, :rows].unflatten(1, (-1, together)).mean(2)
            self.made[side] = dataclasses.replace(scan, projections=values, geometry=geometry)
        return self.made[side]


class Tuning:
    """Slices of a scan; several threads may ask, one after another is served.

    Args:
        scan: of any kind that filtered backprojection takes.

    Raises:
        InputError: the scan has no grid, or filtered backprojection is not defined for it.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self._bands: OrderedDict[Any, list[_Band]] = OrderedDict()
        self._lock = threading.Lock()
        self.grid(Settings())

    def grid(self, settings: Settings) -> Grid:
        """The volume's, as `sinograd reconstruct` chooses it."""
        from sinograd.workflows.grids import choose_grid
        from sinograd.workflows.values import numbers

        scan = self.turned(settings)
        options = settings.grid_options(self.scan)
        shape, center = numbers(options.get("shape"), int, "shape"), numbers(options.get("center_mm"), float, "center")
        return choose_grid(scan, options.get("voxel_mm"), shape, center)

    def turned(self, settings: Settings) -> Scan:
        """The scan as the settings' geometry has it; of another geometry the scan's own grid says nothing."""
        if not settings.turned:
            return self.scan
        return dataclasses.replace(self.scan, geometry=settings.geometry(self.scan.geometry), grid=None)

    def slice(
        self, settings: Settings, index: int, side: int | None = None, check: Callable[[], None] = lambda: None
    ) -> Picture:
        """The slice `index` of the volume across z.

        Args:
            settings: the sliders.
            side: pixels a side, about, with fewer views: `COARSE` or `STRIP`, in a fraction of the time; None: all.
            check: called between blocks of views; what it raises ends the work.
        """
        with self._lock:
            check()
            start = time.perf_counter()
            grid = self.grid(settings)
            count = grid.shape[0] if grid.ndim == 3 else 1
            if not 0 <= index < count:
                raise InputError(f"index: expected 0 to {count - 1}, got {index}")
            band = self._band(settings, slice_of(grid, index))
            prepared = time.perf_counter()
            shown, scan = (grid, band.scan) if side is None else (coarser(grid, side), band.reduced(side))
            fewer = min(settings.cutoff, grid.spacing[-1] / shown.spacing[-1])  # frequencies that larger pixels hold
            limited = dataclasses.replace(settings, cutoff=fewer)
            values = self._reconstructed(limited, scan, (shown, index), check)
            seconds = {"prepare": prepared - start, "reconstruct": time.perf_counter() - prepared}
        return Picture(values, grid, slice_of(shown, index), seconds)

    def _reconstructed(
        self, settings: Settings, scan: Scan, place: tuple[Grid, int], check: Callable[[], None]
    ) -> np.ndarray:
        """A slice (grid, index) from prepared rows; only those rows of an upright detector that it needs are made."""
        from sinograd.recon import FilteredBackprojection
        from sinograd.recon.analytic.needed_rows import upright_rows
        from sinograd.recon.analytic.one_slice import one_slice
        from sinograd.recon.analytic.view_blocks import BLOCK_VIEWS

        grid, index = place
        binning = scan.geometry.detector.column_spacing / self.scan.geometry.detector.column_spacing
        cutoff = min(1.0, settings.cutoff * binning)
        words = {"window": settings.window, "cutoff": cutoff, "truncation": settings.truncation}
        geometry = self._geometry(settings, scan.geometry)
        made = FilteredBackprojection.of(geometry, grid, warn=False, **words)
        made = made.replace(made.taps, made.scan.weights)
        projections = scan.load()
        if grid.ndim == 3:
            part = slice_of(grid, index)
            rows = upright_rows(made.scan.detector, geometry.divergent, part)
            if rows is None:
                return np.zeros(part.shape[-2:], np.float32)
            made = one_slice(made, index, rows)
            if (read := made.scan.detector.real_rows) is not None:
                projections = projections[:, slice(*read)]
        volume = torch.zeros(made.grid.shape)
        view_bytes = made.scan.columns * (made.scan.detector.row_count if grid.ndim == 3 else 1) * 4
        block = max(BLOCK_VIEWS, min(VIEWS_AT_ONCE, BYTES_AT_ONCE // view_bytes // BLOCK_VIEWS * BLOCK_VIEWS))
        made.add_unchecked(volume, projections, (0, made.views), lambda done, total: check(), block)
        return volume.numpy().reshape(grid.shape[-2:])

    def _geometry(self, settings: Settings, geometry: Geometry) -> Geometry:
        return settings.centered(settings.geometry(geometry), self.scan.geometry.detector.column_spacing)

    def _band(self, settings: Settings, part: Grid) -> _Band:
        """Prepared rows that hold those that the slice needs."""
        from sinograd.preparation import prepare
        from sinograd.recon.analytic.needed_rows import needed_rows

        whole = self._geometry(settings, self.scan.geometry)
        needed = needed_rows(whole, part, margin=1)
        key = (settings.rings, settings.hardening)
        held = self._bands.setdefault(key, [])
        self._bands.move_to_end(key)
        for band in held:
            if band.rows[0] <= needed[0] and needed[1] <= band.rows[1]:
                return band
        rows = (max(0, needed[0] - MARGIN), min(whole.rows, needed[1] + MARGIN))
        options = settings.preparation(rows=rows) if whole.ndim == 3 else settings.preparation()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SinogradWarning)
            band = _Band(rows, prepare(self.scan, options).validate())
        held.insert(0, band)
        self._forget()
        return band

    def _forget(self) -> None:
        """Bands beyond the memory that they may take, the oldest first; the newest one stays."""
        while sum(band.nbytes for held in self._bands.values() for band in held) > BANDS_BYTES:
            held = next((bands for bands in self._bands.values() if bands), [])
            if sum(map(len, self._bands.values())) <= 1:
                return
            held.pop()
            for key in [key for key, bands in self._bands.items() if not bands]:
                del self._bands[key]


def sharpness(values: np.ndarray) -> float:
    """1-norm over 2-norm of the gradient, over the square root of the pixels: small where edges are few and sharp."""
    rows, columns = np.gradient(values.astype(np.float64))
    size = np.hypot(rows, columns)
    length = float(np.sqrt((size**2).sum()))
    return float(size.sum()) / length / np.sqrt(size.size) if length else 0.0


def slice_of(grid: Grid, index: int) -> Grid:
    """The slice `index` across z; an image itself."""
    if grid.ndim == 2:
        return grid
    z = float(grid.axes()[0][index])
    return Grid((1, *grid.shape[1:]), grid.spacing, (*grid.center[:2], z))


def coarser(grid: Grid, side: int) -> Grid:
    """A grid of the same slices, with pixels n times as large, so that there are about `side` a side."""
    factor = max(1, round(max(grid.shape[-2:]) / side))
    shape = (*grid.shape[:-2], *(-(-n // factor) for n in grid.shape[-2:]))
    spacing = (*grid.spacing[:-2], *(s * factor for s in grid.spacing[-2:]))
    return Grid(shape, spacing, grid.center)
