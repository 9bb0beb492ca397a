"""Whether a reconstruction is written slab by slab, and by which options."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sinograd.choices import ALGORITHMS, VOLUME_FORMATS
from sinograd.errors import InputError, OutOfMemory
from sinograd.workflows.estimate import needed_memory
from sinograd.workflows.hounsfield import is_dicom_output
from sinograd.workflows.manifest import Manifest
from sinograd.workflows.memory_budget import TooFewBytes, budget, enough_text, size_text

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.workflows.reconstruction import Request

_OPTIONS = ("scratch", "cluster", "client", "part", "range", "dtype")


def is_streamed(request: Request, scan: Scan, grid: Grid) -> bool:
    """Whether the volume is computed and written in slabs: asked for by an option, or because memory does not hold it.

    Raises:
        InputError: an option needs it, and this job cannot be done so; says why.
        OutOfMemory: more memory is needed than `memory` allows, and the job cannot be done in slabs.
    """
    reason = _why_not(request, scan, grid)
    asked = [name for name in _OPTIONS if getattr(request, name) is not None]
    if asked and reason:
        raise InputError(f"`{asked[0]}`: {reason}")
    interrupted = request.output is not None and Manifest(request.output).has_plan
    if asked or (request.resume and interrupted):
        return not reason
    if request.memory is not None and not reason and not request.iterative:
        return True
    from sinograd.geometry import detector_region

    options = request.preparation
    used = detector_region(scan.geometry, options.rows, options.columns, options.binning)
    needed = needed_memory(used, grid.shape, request.algorithm)
    if reason and request.memory is not None and needed > request.memory:
        raise OutOfMemory(
            f"`memory`: about {size_text(needed)} are needed, {size_text(request.memory)} may be used, and {reason}"
            f"{_least_text(request, scan, grid)}"
        )
    # a run in memory that was interrupted goes on as it began
    return not reason and needed > budget(request.memory) and not request.resume


def could_be_streamed(request: Request, scan: Scan, grid: Grid) -> bool:
    """Whether an output of a format that takes slabs is all that is missing for these."""
    from sinograd.workflows.helical import is_helical

    whole = grid.ndim != 3 or request.corrections.wanted or is_helical(request, scan)
    return not whole and _takes_slabs(request) and request.part is None


def _least_text(request: Request, scan: Scan, grid: Grid) -> str:
    """What slabs take where `memory` is too small for these, too."""
    from sinograd.workflows.streamed import first_schedule

    if could_be_streamed(request, scan, grid):
        try:
            first_schedule(replace(request, output=Path("volume.h5")), scan, grid)
        except TooFewBytes as error:
            return f"; slabs take {enough_text(error.enough)}"
    return ""


def stored_bytes(request: Request, grid: Grid) -> int:
    """Of the voxels in the output."""
    dtype = request.dtype or ("float32" if request.range is None else "uint16")
    return {"uint16": 2, "uint8": 1}.get(dtype, 4) * math.prod(grid.shape)


def _takes_slabs(request: Request) -> bool:
    if request.algorithm in ("auto", "fdk", "fbp"):
        return True
    return request.iterative and request.algorithm in [entry.name for entry in ALGORITHMS.entries(plugins=False)]


def _why_not(request: Request, scan: Scan, grid: Grid) -> str:
    """Why a job cannot be done slab by slab; empty where it can."""
    from sinograd.io.formats import writing_format
    from sinograd.workflows.helical import is_helical

    if request.iterative and request.part is not None:
        return (
            f"{request.algorithm} needs all slabs in every iteration, so that none can be computed alone; with "
            "`cluster` or `client` workers compute them together"
        )
    if request.output is None:
        return "slabs are written to a file as they are done: give `output`"
    if grid.ndim != 3:
        return "an image is reconstructed at once"
    if request.corrections.wanted:
        return "corrections by `spectrum` and of `metal` take all projections at once"
    if not _takes_slabs(request) or is_helical(request, scan):
        return "FDK, filtered backprojection and sinograd's iterative algorithms alone are computed in slabs"
    if request.slice_mm is not None or is_dicom_output(request):
        return "slices of `slice_mm`, and DICOM, are written at once"
    if not writing_format(VOLUME_FORMATS, request.output).format.streams:
        names = [e.name for e in VOLUME_FORMATS.entries(plugins=False) if e.about.get("writes") and e.load().streams]
        return f"{request.output.name} is of a format that is written at once; slabs are written to {', '.join(names)}"
    return ""
