"""Weighted filtered backprojection of a prepared helical scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.errors import InputError, Stopped
from sinograd.interrupts import Interrupts
from sinograd.workflows.devices import chosen_device

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report


def is_helical(request: Request, scan: Scan) -> bool:
    """Whether the request is for `helical-fbp`, by name or by the geometry of the scan."""
    from sinograd.recon.analytic.helical.helix import is_helix

    return request.algorithm == "helical-fbp" or (request.algorithm == "auto" and is_helix(scan.geometry))


def helical(request: Request, scan: Scan, grid: Grid, report: Report) -> tuple[torch.Tensor, str, str, None]:
    """The volume of a prepared scan, the algorithm and its options in words.

    An interrupt is obeyed between two slabs, and nothing is kept.
    """
    from sinograd.ops.arguments import check_pair
    from sinograd.recon.algorithms import any_orbit_algorithms
    from sinograd.recon.analytic.helical.weighted import HelicalBackprojection
    from sinograd.recon.analytic.orbit import UndefinedGeometryError

    if request.resume:
        raise InputError("`resume`: the reconstruction of a helical scan cannot be resumed")
    if request.truncation != "none":
        raise InputError(f"`truncation={request.truncation!r}`: rows of helical scans are not continued")
    check_pair(scan.geometry, grid)
    try:
        whole = HelicalBackprojection.of(scan.geometry, grid, window=request.window, cutoff=request.cutoff)
    except UndefinedGeometryError as error:
        first, *others = any_orbit_algorithms(type(scan.geometry).__name__)
        raise InputError(
            f"{scan.name}: helical FBP {error.reason}; iterative algorithms take any orbit: `algorithm={first!r}`, or "
            f"{', '.join(others)}"
        ) from error
    projections = scan.load().to(chosen_device(request.device))
    advance = report.stage("reconstructing", 1)
    with Interrupts() as interrupts:

        def after_slab(done: int, total: int) -> None:
            advance(done, total)
            if interrupts.requested:
                raise Stopped()

        volume = whole.volume(projections, after_slab)
    options = f"window {request.window}, cut-off {request.cutoff:g}"
    if request.device != "cpu":
        options += f", on {request.device}"
    return volume.cpu(), "helical FBP", options, None
