"""`rebin`: the slices of a helical scan as fan-beam scans, for 2-D reconstruction and networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sinograd.data.calibration import Calibration
from sinograd.data.scan import Progress, Scan
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import ConeBeam, checks
from sinograd.ops.derivatives import untransformed
from sinograd.ops.single_slice_rebinning import BLOCK, RayTables, SingleSliceRebinning, SlicePasses, blocks_of


def rebin(scan: Scan, z: float | Sequence[float], *, progress: Progress | None = None) -> list[tuple[float, Scan]]:
    """Single-slice rebinning (Noo, Defrise, Clackdoyle 1999): a fan-beam scan for each slice of a helical one.

    Every slice takes the views of one turn about it, or, where the pitch is too large for that, as many as see it; at
    least half a turn plus the fan. Rays start at the focal spot of their view, a flying one, too. What it costs: rays
    are tilted against the slice, so that objects that vary along z have artefacts that grow with the cone angle;
    `sg.helical_fbp` has not. Read lazily, each view once; a turn of views is held, and the result.

    Args:
        scan: line integrals of a `ConeBeam` whose detector rows run along z; the table may run in either direction.
        z: slices, mm: one, or several in any order.
        progress: called with (slices done, slices).

    Returns:
        (z, scan) for each slice in the order of `z`; the scan has a `FanBeam` and projections [views, columns] in the
        dtype of the scan's in memory, else float32; differentiable in them.

    Raises:
        TypeError, ValueError: another beam or kind of numbers, a tilted detector, or a slice that too few views see,
            with the range that the scan supports or the pitch that is too large.
    """
    if not isinstance(scan, Scan):
        raise InputTypeError(f"scan must be a Scan, got {type(scan).__name__}")
    if scan.kind != "line integrals":
        raise InputError(f"{scan.name} holds {scan.kind}: line integrals are rebinned (`prepare` makes them)")
    if not isinstance(scan.geometry, ConeBeam):
        raise InputTypeError(f"scan.geometry must be a ConeBeam, got {type(scan.geometry).__name__}")
    scan.check_shape()
    window, found = _Window(scan), {}
    with untransformed():
        heights = checks.values(z if checks.is_sequence(z) else [z], "z", ("slices",)).tolist()
        passes = SlicePasses.of(scan.geometry)
        chosen = [passes.views(height) for height in heights]  # all errors before any work
        tables = RayTables(scan.geometry, window.dtype)
    for done, place in enumerate(sorted(range(len(heights)), key=lambda i: chosen[i].start)):
        with untransformed():
            operator = SingleSliceRebinning(scan.geometry, heights[place], passes, tables)
        values = torch.cat([operator.of_views(block, start) for start, block in window.views(operator.views)])
        found[place] = replace(
            scan,
            projections=values,
            geometry=operator.fan,
            metadata={**scan.metadata, "z_mm": heights[place]},
            grid=None,
            calibration=_calibration(scan.calibration, operator.views),
        )
        if progress is not None:
            progress(done + 1, len(heights))
    return [(heights[place], found[place]) for place in range(len(heights))]


class _Window:
    """Views of a scan in blocks, of which those of a slice stay until the next one."""

    def __init__(self, scan: Scan) -> None:
        values = scan.projections
        floating = isinstance(values, Tensor) and values.dtype in (torch.float32, torch.float64)
        self._scan, self._whole, self._blocks = scan, values if floating else None, {}
        self.dtype = values.dtype if floating else torch.float32

    def views(self, views: range) -> Iterator[tuple[int, Tensor]]:
        """The first view and [views, rows, columns] of each part of consecutive views."""
        if self._whole is not None:
            yield views.start, self._whole[views.start : views.stop]  # pyright: ignore[reportIndexIssue]
            return
        parts = [*blocks_of(views)]
        self._blocks = {block: self._blocks[block] for block, _ in parts if block in self._blocks}
        for block, chosen in parts:
            if block not in self._blocks:
                end = min((block + 1) * BLOCK, self._scan.shape[0])
                self._blocks[block] = self._scan.load(slice(block * BLOCK, end))
            yield block * BLOCK + chosen.start, self._blocks[block][chosen]


def _calibration(calibration: Any, views: range) -> Calibration | None:
    """Photons of the views, where all rows have the same."""
    photons = None if calibration is None else calibration.photons
    if photons is None or photons.ndim != 3 or photons.shape[1] != 1:
        return None
    return Calibration(photons=photons[views.start : views.stop, 0])
