"""Iterative algorithms on a prepared scan, interrupted and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sinograd.choices import ALGORITHMS
from sinograd.errors import InputError, Stopped
from sinograd.interrupts import Interrupts
from sinograd.workflows.checkpoint import Partial
from sinograd.workflows.devices import chosen_device

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.ops import LinearOperator, XRayTransform
    from sinograd.recon import Result
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report


def iterate(request: Request, scan: Scan, grid: Grid, report: Report) -> tuple[torch.Tensor, str, str, Partial | None]:
    """The volume of a prepared scan, the algorithm and its result in words, and the file of an unfinished volume.

    The first interrupt is obeyed between two iterations: the best image is kept, and `resume=True` starts from it.
    """
    from sinograd.ops import XRayTransform

    partial = Partial.of(request, scan, grid)
    start, done = partial.load() if partial is not None and request.resume else (None, 0)
    options = _options(request)
    total = options.pop("iterations", None)
    if total is not None:
        options["iterations"] = max(1, total - done)
    operator, projections, start = _placed(request, XRayTransform(scan.geometry, grid), scan.load(), start)
    advance = report.stage("iterating", 0, "iterations")
    with Interrupts() as interrupts:
        result: Result = ALGORITHMS.load(request.algorithm)(
            operator,
            projections,
            start=start,
            callback=lambda iteration: interrupts.requested,
            progress=lambda now, of, residual: advance(done + now, done + of, f", residual {residual:.4g}"),
            **options,
        )
        if interrupts.requested and result.stopped == "callback":
            if partial is None:
                raise Stopped()
            partial.save(result.image.cpu(), done + result.iterations)
            raise Stopped(kept=partial.kept("the image"))
    residual = float(result.residuals[int(result.best.max())].max())
    text = f"{done + result.iterations} iterations, residual {residual:.4g} of the projections"
    if result.stopped == "diverged":
        text += f", diverged: the image is that of iteration {int(result.best.max())}"
    return result.image.cpu(), request.algorithm.upper(), text, partial


def check_options(request: Request) -> None:
    """InputError for options that the algorithm does not have."""
    if request.iterations is not None and request.iterations < 1:
        raise InputError(f"`iterations` must be at least 1, got {request.iterations}")
    if not request.iterative:
        iterative = [entry.name for entry in ALGORITHMS.entries() if entry.about.get("iterative")]
        for name in ("iterations", "tv_strength"):
            if getattr(request, name) is not None:
                raise InputError(f"`{name}` is for iterative algorithms ({', '.join(iterative)}); set `algorithm` too")
    elif request.tv_strength is not None and not _facts(request).get("tv_strength"):
        takers = [entry.name for entry in ALGORITHMS.entries() if entry.about.get("tv_strength")]
        raise InputError(f"`tv_strength` is for {', '.join(takers)}, not for {request.algorithm}")


def _facts(request: Request) -> Any:
    return ALGORITHMS.entry(request.algorithm).about


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


def _options(request: Request) -> dict[str, Any]:
    from sinograd.recon.algorithms import default_iterations

    facts, options = _facts(request), {}
    if request.iterations is not None or request.resume:
        options["iterations"] = request.iterations or default_iterations(request.algorithm)
    if facts.get("tv_strength") and request.tv_strength is not None:
        options["strength"] = request.tv_strength
    if facts.get("non_negative") and request.non_negative:
        options["lower"] = 0.0
    return options
