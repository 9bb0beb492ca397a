"""FDK and filtered backprojection that can be interrupted and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.errors import InputError, Stopped
from sinograd.workflows.checkpoint import Partial, deferred_interrupt
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
    request: Request, scan: Scan, grid: Grid, progress: Report
) -> tuple[torch.Tensor, str, str, Partial]:
    """The volume of a prepared scan, the algorithm and its options in words, and the file of an unfinished volume.

    The first interrupt is obeyed between two blocks of views: the volume so far is kept for `resume=True`, unless it is
    computed in slabs.
    """
    from sinograd.geometry import ConeBeam

    cone = isinstance(scan.geometry, ConeBeam)
    if request.algorithm == ("fbp" if cone else "fdk"):
        raise InputError(f"`algorithm={request.algorithm!r}` does not take a {type(scan.geometry).__name__}")
    whole = _prepared(request, scan, grid)
    partial = Partial.of(request, scan, grid)
    parts = _parts(chosen_device(request.device), whole)
    volume = (_in_slabs if len(parts) > 1 else _whole)(request, scan, whole, parts, partial, progress)
    options = f"window {request.window}, cut-off {request.cutoff:g}"
    if request.truncation != "none":
        options += f", rows continued ({request.truncation})"
    if request.device != "cpu":
        options += f", on {request.device}" + (f" in {len(parts)} slabs" if len(parts) > 1 else "")
    return volume, "FDK" if cone else "FBP", options, partial


def _prepared(request: Request, scan: Scan, grid: Grid) -> FilteredBackprojection:
    """What does not depend on the projections; what is wrong with the geometry is said of the scan."""
    from sinograd.geometry import ConeBeam
    from sinograd.recon import FilteredBackprojection
    from sinograd.recon.analytic.fbp import check_fbp
    from sinograd.recon.analytic.fdk import check_fdk

    geometry = scan.geometry
    options = {"window": request.window, "cutoff": request.cutoff, "truncation": request.truncation}
    try:
        (check_fdk if isinstance(geometry, ConeBeam) else check_fbp)(geometry, grid)
        return FilteredBackprojection.of(geometry, grid, **options)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        if not str(error).startswith("geometry: "):
            raise
        raise InputError(f"{scan.name}: {str(error).removeprefix('geometry: ')}") from error


def _parts(where: torch.device, whole: FilteredBackprojection) -> list[Part]:
    """What is computed at a time on a GPU; nothing for the CPU, which has the volume in its memory anyway."""
    from sinograd.ops.slab_plan import memory_of

    return [] if where.type == "cpu" else whole.parts(memory_of(where, None), _FLOAT32_BYTES, on_gpu=True)


def _whole(
    request: Request,
    scan: Scan,
    whole: FilteredBackprojection,
    parts: list[Part],
    partial: Partial,
    progress: Report,
) -> torch.Tensor:
    """The volume, which stays on the device until it is done."""
    import torch

    start, first = partial.load() if request.resume else (torch.zeros(whole.grid.shape), 0)
    volume, projections = start.to(chosen_device(request.device)), scan.load()
    advance = progress.stage("reconstructing", len(scan.geometry))
    with deferred_interrupt() as asked:

        def report(done: int, total: int) -> None:
            advance(done, total)
            if asked():
                partial.save(volume.cpu(), whole.held(done))
                raise Stopped(kept=f"`resume=True` goes on from there ({partial.path.name} holds it)")
            if partial.is_due and whole.held(done) == done < total:
                partial.save(volume.cpu(), done)

        block = parts[0].block if parts else None
        whole.add(volume, projections, range(first, whole.views), report, block=block)
    return volume.cpu()


def _in_slabs(
    request: Request,
    scan: Scan,
    whole: FilteredBackprojection,
    parts: list[Part],
    partial: Partial,
    progress: Report,
) -> torch.Tensor:
    """The volume, of which nothing is kept when it is interrupted."""
    if request.resume:
        raise InputError(
            f"`resume`: this volume takes {len(parts)} slabs on {request.device}, and those of an interrupted run are "
            "not kept; start without `resume`, or go on with `device='cpu'`"
        )
    projections = scan.load()
    advance = progress.stage("reconstructing", len(scan.geometry))
    with deferred_interrupt() as asked:

        def report(done: int, total: int) -> None:
            advance(done, total)
            if asked():
                raise KeyboardInterrupt

        return whole.on(chosen_device(request.device)).volume(projections, report)
