"""FDK and filtered backprojection of a prepared scan, interrupted and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.choices import ALGORITHMS
from sinograd.errors import InputError, Stopped
from sinograd.interrupts import Interrupts
from sinograd.workflows.checkpoint import Partial
from sinograd.workflows.devices import chosen_device

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.recon import FilteredBackprojection
    from sinograd.recon.analytic.slabs import Part
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

_FLOAT32_BYTES = 4


def filtered_backprojection(
    request: Request, scan: Scan, grid: Grid, report: Report
) -> tuple[torch.Tensor, str, str, Partial | None]:
    """The volume of a prepared scan, the algorithm and its options in words, and the file of an unfinished volume.

    The first interrupt is obeyed between two blocks of views: the volume so far is kept for `resume=True`, unless it is
    computed in slabs.
    """
    from sinograd.geometry import ConeBeam

    cone = isinstance(scan.geometry, ConeBeam)
    whole = of_scan(request, scan, grid)
    partial = Partial.of(request, scan, grid)
    parts = _parts(chosen_device(request.device), whole)
    if len(parts) > 1:
        volume = _in_slabs(request, scan, whole, len(parts), report)
    else:
        volume = _whole(request, scan, whole, parts[0].block if parts else None, partial, report)
    options = options_text(request)
    if request.device != "cpu" and len(parts) > 1:
        options += f" in {len(parts)} slabs"
    return volume, "FDK" if cone else "FBP", options, partial


def options_text(request: Request) -> str:
    """Of filtered backprojection."""
    text = f"window {request.window}, cut-off {request.cutoff:g}"
    if request.truncation != "none":
        text += f", rows continued ({request.truncation})"
    return text if request.device == "cpu" else f"{text}, on {request.device}"


def direct(request: Request, scan: Scan, grid: Grid, report: Report) -> tuple[torch.Tensor, str, str, None]:
    """The same of another direct algorithm that is registered, as one call that cannot be resumed."""
    if request.resume:
        raise InputError(f"`resume`: {request.algorithm} cannot be resumed")
    projections, where = scan.load(), chosen_device(request.device)
    report.stage("reconstructing", 0)
    algorithm = ALGORITHMS.load(request.algorithm)
    volume = algorithm(projections.to(where), scan.geometry, grid, window=request.window, cutoff=request.cutoff)
    return volume.cpu(), request.algorithm.upper(), f"window {request.window}, cut-off {request.cutoff:g}", None


def of_scan(request: Request, scan: Scan, grid: Grid, warn: bool = True) -> FilteredBackprojection:
    """What does not depend on the projections; errors about the geometry name the scan."""
    from sinograd.geometry import ConeBeam
    from sinograd.ops.arguments import check_pair
    from sinograd.recon import FilteredBackprojection
    from sinograd.recon.algorithms import any_orbit_algorithms
    from sinograd.recon.analytic.orbit import UndefinedGeometryError

    if request.algorithm == ("fbp" if isinstance(scan.geometry, ConeBeam) else "fdk"):
        raise InputError(f"`algorithm={request.algorithm!r}` does not take a {type(scan.geometry).__name__}")
    check_pair(scan.geometry, grid)
    words = {"window": request.window, "cutoff": request.cutoff, "truncation": request.truncation}
    try:
        return FilteredBackprojection.of(scan.geometry, grid, warn=warn, **words)
    except UndefinedGeometryError as error:
        name = "FDK" if scan.geometry.ndim == 3 and scan.geometry.divergent else "filtered backprojection"
        first, *others = any_orbit_algorithms(type(scan.geometry).__name__)
        raise InputError(
            f"{scan.name}: {name} {error.reason}; iterative algorithms take any orbit: `algorithm={first!r}`, or "
            f"{', '.join(others)}"
        ) from error


def _parts(where: torch.device, whole: FilteredBackprojection) -> list[Part]:
    """What is computed at a time on a GPU; nothing for the CPU, which has the volume in its memory anyway."""
    from sinograd.ops.slab_plan import memory_of

    return [] if where.type == "cpu" else whole.parts(memory_of(where, None), _FLOAT32_BYTES, on_gpu=True)


def _whole(
    request: Request,
    scan: Scan,
    whole: FilteredBackprojection,
    block: int | None,
    partial: Partial | None,
    report: Report,
) -> torch.Tensor:
    """The volume, which stays on the device until it is done."""
    import torch

    start, first = (torch.zeros(whole.grid.shape), 0)
    if partial is not None and request.resume:
        start, first = partial.load()
    volume, projections = start.to(chosen_device(request.device)), scan.load()
    advance = report.stage("reconstructing", whole.views)
    with Interrupts() as interrupts:

        def after_block(done: int, total: int) -> None:
            advance(done, total)
            if partial is None:
                if interrupts.requested:
                    raise Stopped()
            elif interrupts.requested:
                partial.save(volume.cpu(), whole.held(done))
                raise Stopped(kept=partial.kept("it"))
            elif partial.is_due and whole.held(done) == done < total:
                partial.save(volume.cpu(), done)

        whole.add(volume, projections, range(first, whole.views), after_block, block=block)
    return volume.cpu()


def _in_slabs(request: Request, scan: Scan, whole: FilteredBackprojection, slabs: int, report: Report) -> torch.Tensor:
    """The volume, of which nothing is kept when it is interrupted."""
    if request.resume:
        raise InputError(
            f"`resume`: this volume takes {slabs} slabs on {request.device}, and those of an interrupted run are not "
            "kept; start without `resume`, or go on with `device='cpu'`"
        )
    projections = scan.load()
    advance = report.stage("reconstructing", whole.views)
    with Interrupts() as interrupts:

        def after_block(done: int, total: int) -> None:
            advance(done, total)
            if interrupts.requested:
                raise Stopped()

        return whole.on(chosen_device(request.device)).volume(projections, after_block)
