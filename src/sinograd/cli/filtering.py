"""FDK and filtered backprojection that can be interrupted and gone on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sinograd.cli.partial import Partial, deferred_interrupt

if TYPE_CHECKING:
    import torch

    from sinograd.cli.pipeline import Request
    from sinograd.cli.progress import Progress
    from sinograd.geometry import Grid
    from sinograd.io import Scan


def filtered_backprojection(
    request: Request, scan: Scan, grid: Grid, progress: Progress
) -> tuple[torch.Tensor, str, str, Partial]:
    """The volume of a prepared scan, the algorithm and its options in words, and the file of an unfinished volume.

    The first interrupt is obeyed between two blocks of views: the volume so far is kept for `--resume`.
    """
    import torch

    from sinograd.geometry import ConeBeam
    from sinograd.recon.fbp import check_fbp
    from sinograd.recon.fdk import check_fdk
    from sinograd.recon.filtered_backprojection import add_filtered_backprojection, make_plan

    geometry, projections = scan.geometry, scan.load()
    cone = isinstance(geometry, ConeBeam)
    if request.algorithm == ("fbp" if cone else "fdk"):
        raise ValueError(f"--algorithm {request.algorithm} does not take a {type(geometry).__name__}")
    try:
        (check_fdk if cone else check_fbp)(geometry, grid)
        plan = make_plan(geometry, grid, "FDK" if cone else "filtered backprojection", request.truncation)
    except ValueError as error:
        if not str(error).startswith("geometry: "):
            raise
        raise ValueError(f"{scan.name}: {str(error).removeprefix('geometry: ')}") from error
    taps = plan.default_taps(request.window, request.cutoff)
    partial = Partial.of(request, scan, grid)
    volume, first = partial.load() if request.resume else (torch.zeros(grid.shape), 0)
    advance = progress.stage("reconstructing", len(geometry))

    with deferred_interrupt() as asked:

        def tell(done: int, total: int) -> None:
            advance(done, total)
            if asked():
                partial.save(volume, done)
                raise KeyboardInterrupt(f"--resume goes on from there ({partial.path.name} holds it)")
            if partial.is_due and done < total:
                partial.save(volume, done)

        add_filtered_backprojection(volume, projections, plan, geometry, grid, taps, None, tell, first)
    options = f"window {request.window}, cut-off {request.cutoff:g}"
    if request.truncation != "none":
        options += f", rows continued ({request.truncation})"
    return volume, "FDK" if cone else "FBP", options, partial
