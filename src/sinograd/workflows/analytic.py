"""FDK and filtered backprojection of a prepared scan, interrupted and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.errors import InputError, Stopped
from sinograd.interrupts import Interrupts
from sinograd.workflows.checkpoint import Partial
from sinograd.workflows.devices import chosen_device

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Geometry, Grid
    from sinograd.recon.analytic.plan import Plan
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
    from sinograd.recon.analytic.fbp import check_fbp
    from sinograd.recon.analytic.fdk import check_fdk
    from sinograd.recon.analytic.plan import make_plan

    geometry = scan.geometry
    cone = isinstance(geometry, ConeBeam)
    if request.algorithm == ("fbp" if cone else "fdk"):
        raise InputError(f"`algorithm={request.algorithm!r}` does not take a {type(geometry).__name__}")
    try:
        (check_fdk if cone else check_fbp)(geometry, grid)
        plan = make_plan(geometry, grid, "FDK" if cone else "filtered backprojection", request.truncation)
    except ValueError as error:
        if not str(error).startswith("geometry: "):
            raise
        raise InputError(f"{scan.name}: {str(error).removeprefix('geometry: ')}") from error
    partial = Partial.of(request, scan, grid)
    parts = _parts(chosen_device(request.device), plan, geometry, grid)
    if len(parts) > 1:
        volume = _in_slabs(request, scan, grid, plan, parts, report)
    else:
        volume = _whole(request, scan, grid, plan, parts, partial, report)
    options = f"window {request.window}, cut-off {request.cutoff:g}"
    if request.truncation != "none":
        options += f", rows continued ({request.truncation})"
    if request.device != "cpu":
        options += f", on {request.device}" + (f" in {len(parts)} slabs" if len(parts) > 1 else "")
    return volume, "FDK" if cone else "FBP", options, partial


def _parts(where: torch.device, plan: Plan, geometry: Geometry, grid: Grid) -> list[Part]:
    """What is computed at a time on a GPU; nothing for the CPU, which has the volume in its memory anyway."""
    from sinograd.ops.slab_plan import memory_of
    from sinograd.recon.analytic.slabs import parts_that_fit

    if where.type == "cpu":
        return []
    return parts_that_fit(plan, geometry, grid, memory_of(where, None), _FLOAT32_BYTES, on_gpu=True)


def _whole(
    request: Request, scan: Scan, grid: Grid, plan: Plan, parts: list[Part], partial: Partial | None, report: Report
) -> torch.Tensor:
    """The volume, which stays on the device until it is done."""
    import torch

    from sinograd.recon.analytic.filtered_backprojection import add_filtered_backprojection

    start, first = partial.load() if partial is not None and request.resume else (torch.zeros(grid.shape), 0)
    volume, projections = start.to(chosen_device(request.device)), scan.load()
    advance = report.stage("reconstructing", len(scan.geometry))
    with Interrupts() as interrupts:

        def after_block(done: int, total: int) -> None:
            advance(done, total)
            if interrupts.requested and partial is None:
                raise Stopped()
            if partial is not None and (interrupts.requested or (partial.is_due and done < total)):
                partial.save(volume.cpu(), done)
            if partial is not None and interrupts.requested:
                raise Stopped(kept=partial.kept("it"))

        taps = plan.default_taps(request.window, request.cutoff)
        block = parts[0].block if parts else None
        add_filtered_backprojection(
            volume, projections, plan, scan.geometry, grid, taps, None, after_block, first, block
        )
    return volume.cpu()


def _in_slabs(request: Request, scan: Scan, grid: Grid, plan: Plan, parts: list[Part], report: Report) -> torch.Tensor:
    """The volume, of which nothing is kept when it is interrupted."""
    from sinograd.recon.analytic.slabs import filtered_backprojection_on

    if request.resume:
        raise InputError(
            f"`resume`: this volume takes {len(parts)} slabs on {request.device}, and those of an interrupted run are "
            "not kept; start without `resume`, or go on with `device='cpu'`"
        )
    projections, taps = scan.load(), plan.default_taps(request.window, request.cutoff)
    advance = report.stage("reconstructing", len(scan.geometry))
    with Interrupts() as interrupts:

        def after_block(done: int, total: int) -> None:
            advance(done, total)
            if interrupts.requested:
                raise Stopped()

        where = chosen_device(request.device)
        return filtered_backprojection_on(where, projections, plan, scan.geometry, grid, taps, None, after_block)
