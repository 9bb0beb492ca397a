"""The rays of a scan in the plane of its orbit, in which each line is measured from both sides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.blocks import view_blocks
from sinograd.data.projections import read_rows
from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.geometry.regions import check_span
from sinograd.geometry.vectors import central_hit, slid
from sinograd.preparation.shifts import shift_projections
from sinograd.recon.analytic.orbit import circular_orbit, defined_for, orbit_rays
from sinograd.recon.analytic.virtual_detector import VirtualDetector, upright_detector

# Sinograms of a parallel beam that are compared, and samples of all of them together.
MOST_SINOGRAMS, MOST_SAMPLES = 8, 2_000_000

# A cone beam's rows count as in the plane of the orbit where a line and its reversal differ by this share of a row.
ROW_ERROR = 0.25

# Columns by which a view's axis may lie off the median before it is moved there.
ALIGNED = 0.01

Progress = Callable[[int, int], None]

_READ_BYTES = 16 << 20  # of projections at a time


@dataclass(frozen=True)
class Sinograms:
    """Sinograms of lines in the plane of the orbit (or of parallel planes), views sorted by angle.

    Attributes:
        values: float32 [sinograms, views, columns].
        angles: source angles in [0, 2 pi), growing, float64 [views].
        vectors: of one view, [1, 4 or 5, 3]: all views are alike.
        divergent: fan or cone beam.
        joined: columns of the detector that are one column here.

    Values are arrays of NumPy: the search runs hundreds of small operations, and where cores are shared each of
    torch's waits for all its threads.
    """

    values: np.ndarray
    angles: np.ndarray
    vectors: Tensor
    divergent: bool
    joined: int = 1

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.values.shape[-1]

    @property
    def step(self) -> float:
        """Median angle between neighbouring views, rad."""
        steps = np.diff(self.angles)
        steps = steps[steps > 1e-9]
        return float(np.median(steps)) if len(steps) else 2 * math.pi

    def binned(self, factor: int) -> Sinograms:
        """With `factor` columns joined to one; those that do not fill one are left out at the end."""
        if factor == 1:
            return self
        count = self.columns // factor
        values = self.values[..., 0 : count * factor : factor] / np.float32(factor)
        for k in range(1, factor):
            values += self.values[..., k : count * factor : factor] / np.float32(factor)
        vectors = slid(self.vectors, 0.0, (count * factor - self.columns) / 2)
        vectors[:, 2] *= factor
        return Sinograms(values, self.angles, vectors, self.divergent, factor * self.joined)

    def thinned(self, every: int, first: int) -> Sinograms:
        """With one of `every` columns, from column `first` on."""
        values = np.ascontiguousarray(self.values[..., first::every])
        middle = first + every * (values.shape[-1] - 1) / 2
        vectors = slid(self.vectors, 0.0, middle - (self.columns - 1) / 2)
        vectors[:, 2] *= every
        return Sinograms(values, self.angles, vectors, self.divergent, every * self.joined)

    def negated(self) -> Sinograms:
        """The same views of a scan that turned the other way."""
        angles = np.mod(-self.angles, 2 * math.pi)
        order = np.argsort(angles, kind="stable")
        return Sinograms(self.values[:, order], angles[order], self.vectors, self.divergent, self.joined)

    def fan(self, offset: float) -> np.ndarray:
        """Fan coordinate of each column (`Orbit.fan`) if the detector stands `offset` of its own columns along +u."""
        vectors = slid(self.vectors, 0.0, offset / self.joined)
        return orbit_rays(vectors, (1, self.columns), self.divergent).fan[0].numpy()


def read_sinograms(
    projections: Any, geometry: Geometry, rows: tuple[int, int] | None, progress: Progress | None
) -> Sinograms:
    """The sinograms that the centre is found from, read block by block.

    Raises:
        ValueError: projections of another shape, NaN, an orbit that is no circle, rows outside the detector.
    """
    shape, expected = tuple(int(n) for n in projections.shape), geometry.projection_shape
    if shape != expected:
        raise InputError(f"projections {list(shape)} do not match the geometry's {list(expected)}")
    with defined_for("find_center"):
        detector = upright_detector(geometry)
        orbit = circular_orbit(
            detector.vectors, detector.shape, geometry.divergent, geometry.scan == "helical", detector.ends
        )
    groups, height = _groups(detector, geometry, rows)
    values = _read(projections, geometry, detector, groups, height, progress)
    first, end = _seen_columns(detector, groups[0])
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise InputError(f"projections: expected finite line integrals, got {bad} NaN or infinite in the middle rows")
    column = central_hit(detector.vectors, geometry.divergent)[2]
    middle = float(column.median())
    moves = middle - column
    if float(moves.abs().max()) > ALIGNED:
        pairs = torch.stack([torch.zeros_like(moves), moves], dim=1)
        values = shift_projections(values[:, :, None], pairs)[:, :, 0]
    angles = np.mod(orbit.angles.numpy(), 2 * math.pi)
    order = np.argsort(angles, kind="stable")
    nearest = int((column - middle).abs().argmin())
    vectors = detector.vectors[nearest : nearest + 1]
    vectors = slid(vectors, 0.0, (first + end - detector.shape[1]) / 2)
    return Sinograms(values.numpy()[:, order, first:end], angles[order], vectors, geometry.divergent)


def _groups(
    detector: VirtualDetector, geometry: Geometry, rows: tuple[int, int] | None
) -> tuple[list[tuple[int, int]], Tensor]:
    """Rows (first, end) that each make one sinogram in the view whose axis stands at the median height, and how many
    rows higher they are in each view.
    """
    count = detector.shape[0]
    row = central_hit(detector.vectors, geometry.divergent)[1] + (count - 1) / 2
    middle = float(row.median())
    higher = torch.round(row - middle).long()
    if rows is not None:
        first, end = check_span(rows, "rows", count)
    elif not geometry.divergent:
        first, end = count // 10, count - count // 10
    else:
        # a line and its reversal are at heights that differ by 2 r / R of their height, r from the axis
        reach = geometry.field_of_view / 2 or 0.5 * float(detector.vectors[0, 0, :2].norm())
        near = ROW_ERROR * float(detector.vectors[0, 0, :2].norm()) / (2 * reach)
        nearest = min(max(round(middle), 0), count - 1)
        first, end = max(0, nearest - int(near)), min(count, nearest + int(near) + 1)
    if geometry.divergent or rows is not None:
        return [(first, end)], higher
    fit = MOST_SAMPLES // (geometry.views * geometry.columns)
    sinograms = max(1, min(MOST_SINOGRAMS, fit, (end - first) // 2 or 1))
    edges = np.linspace(first, end, sinograms + 1).astype(int)
    return [(int(a), min(int(b), int(a) + 4)) for a, b in pairwise(edges)], higher


def _read(
    projections: Any,
    geometry: Geometry,
    detector: VirtualDetector,
    groups: list[tuple[int, int]],
    higher: Tensor,
    progress: Progress | None,
) -> Tensor:
    """Means over the rows of each group, float32 [groups, views, columns]."""
    views, (count, columns) = geometry.views, detector.shape
    values = torch.empty(len(groups), views, columns)
    lowest = min(first for first, _ in groups) + int(higher.min())
    highest = max(end for _, end in groups) + int(higher.max())
    needed = max(0, min(lowest, count - 1)), max(1, min(count, highest))
    source = detector.of_rows(needed)
    stored_rows = slice(*source.real_rows_of(needed))
    for start, stop in view_blocks((views, geometry.rows, geometry.columns), 4, _READ_BYTES):
        part = slice(start, stop)
        stored = projections[part] if geometry.ndim == 2 else read_rows(projections, part, stored_rows)
        block = stored.detach().cpu() if isinstance(stored, Tensor) else np.asarray(stored)
        block = block[:, None] if geometry.ndim == 2 else block
        block = block.float() if isinstance(block, Tensor) else torch.from_numpy(block.astype(np.float32))
        block = source.read(block, part)
        for view, rise in enumerate(higher[part].tolist()):
            for k, (first, end) in enumerate(groups):
                low = min(max(first + rise - needed[0], 0), block.shape[1] - 1)
                high = max(min(end + rise - needed[0], block.shape[1]), low + 1)
                values[k, start + view] = block[view, low:high].mean(0)
        if progress is not None:
            progress(part.stop, views)
    return values


def _seen_columns(detector: VirtualDetector, rows: tuple[int, int]) -> tuple[int, int]:
    """The columns (first, end) of an upright detector that the real one fills in these rows."""
    if detector.homographies is None:
        return 0, detector.shape[1]
    middle = len(detector.homographies) // 2
    ones = detector.read(torch.ones(1, *detector.real_shape), slice(middle, middle + 1))[0, slice(*rows)]
    seen = (ones > 1 - 1e-6).all(0).nonzero()[:, 0]
    return (int(seen[0]) + 1, int(seen[-1])) if len(seen) > 2 else (0, detector.shape[1])
