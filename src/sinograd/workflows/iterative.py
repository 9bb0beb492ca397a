"""The iterative algorithms of `sinograd reconstruct`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sinograd.choices import ALGORITHMS
from sinograd.errors import InputError, Stopped
from sinograd.workflows.checkpoint import Partial, deferred_interrupt
from sinograd.workflows.devices import chosen_device

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.ops import LinearOperator, XRayTransform
    from sinograd.recon import Result
    from sinograd.registry import Entry
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report


def iterate(request: Request, scan: Scan, grid: Grid, progress: Report) -> tuple[torch.Tensor, str, str, Partial]:
    """The volume of a prepared scan, the algorithm and what came of it in words, and the file of an unfinished volume.

    The first interrupt is obeyed between two iterations: the best image is kept, and `resume=True` starts from it.
    """
    from sinograd.ops import XRayTransform

    algorithm = ALGORITHMS.entry(request.algorithm)
    partial = Partial.of(request, scan, grid)
    start, done = partial.load() if request.resume else (None, 0)
    options = _options(request, algorithm)
    total = options.pop("iterations", None)
    if total is not None:
        options["iterations"] = max(1, total - done)
    operator, projections, start = _placed(request, XRayTransform(scan.geometry, grid), scan.load(), start)
    advance = progress.stage("iterating", 0, "iterations")
    with deferred_interrupt() as asked:
        result: Result = algorithm.load()(
            operator,
            projections,
            start=start,
            callback=lambda iteration: asked(),
            progress=lambda now, of, residual: advance(done + now, done + of, f", residual {residual:.4g}"),
            **options,
        )
        if asked() and result.stopped == "callback":
            partial.save(result.image.cpu(), done + result.iterations)
            raise Stopped(kept=f"`resume=True` goes on from there ({partial.path.name} holds the image)")
    residual = float(result.residuals[int(result.best.max())].max())
    told = f"{done + result.iterations} iterations, residual {residual:.4g} of the projections"
    if result.stopped == "diverged":
        told += f", diverged: the image is that of iteration {int(result.best.max())}"
    return result.image.cpu(), request.algorithm.upper(), told, partial


def _placed(
    request: Request, operator: XRayTransform, projections: torch.Tensor, start: torch.Tensor | None
) -> tuple[LinearOperator, torch.Tensor, torch.Tensor | None]:
    """Operator, projections and start on the device; where these do not fit, an operator that computes there slab by
    slab and tensors in host memory."""
    from sinograd.ops import InSlabs
    from sinograd.ops.slab_plan import memory_of
    from sinograd.recon.algorithms import working_memory

    device = chosen_device(request.device)
    if device.type == "cpu":
        return operator, projections, start
    needed = working_memory(request.algorithm, operator.grid.shape, projections.shape, projections.element_size())
    if operator.grid.ndim == 3 and needed > memory_of(device, None):
        return InSlabs(operator, device), projections, start
    return operator, projections.to(device), None if start is None else start.to(device)


def check_options(request: Request) -> None:
    """ValueError for options that the algorithm does not have."""
    from sinograd.recon.algorithms import iterative_algorithms

    if request.iterations is not None and request.iterations < 1:
        raise InputError(f"`iterations` must be at least 1, got {request.iterations}")
    names = iterative_algorithms()
    if request.algorithm not in names:
        for name, value in (("iterations", request.iterations), ("tv_strength", request.tv_strength)):
            if value is not None:
                raise InputError(f"`{name}` is for iterative algorithms ({', '.join(names)}); give `algorithm` too")
    elif request.tv_strength is not None and not ALGORITHMS.entry(request.algorithm).about.get("strength"):
        raise InputError(f"`tv_strength` is for fista-tv, not for {request.algorithm}")


def _options(request: Request, algorithm: Entry[Any]) -> dict[str, Any]:
    from sinograd.recon.algorithms import default_iterations

    options: dict[str, Any] = {}
    if request.iterations is not None or request.resume:
        options["iterations"] = request.iterations or default_iterations(request.algorithm)
    if algorithm.about.get("strength") and request.tv_strength is not None:
        options["strength"] = request.tv_strength
    if algorithm.about.get("bounded") and request.non_negative:
        options["lower"] = 0.0
    return options
