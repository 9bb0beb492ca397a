"""Iterative algorithms on a prepared scan, interrupted and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

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
    from sinograd.recon import Iteration, Result, State
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

    Placed = tuple[LinearOperator, torch.Tensor, State | None]


class Keeper(Protocol):
    """Keeps the state of a run between two iterations."""

    is_saved: bool

    @property
    def is_due(self) -> bool:
        """Whether the last saving is long ago."""
        ...

    def save(self, volume: torch.Tensor, done: int, state: State) -> None:
        """Keep the volume after `done` iterations, and the state."""
        ...

    def kept(self, what: str) -> str:
        """What an interrupt leaves, in words."""
        ...


def iterate(request: Request, scan: Scan, grid: Grid, report: Report) -> tuple[torch.Tensor, str, str, Partial | None]:
    """The volume of a prepared scan, the algorithm and its result in words, and the file of an unfinished volume."""
    from sinograd.ops import XRayTransform

    partial = Partial.of(request, scan, grid)
    start = partial.load_state(request.algorithm) if partial is not None and request.resume else None
    placed = _placed(request, XRayTransform(scan.geometry, grid), scan.load(), start)
    image, text = run_algorithm(request, placed, partial, report)
    return image.cpu(), request.algorithm.upper(), text, partial


def run_algorithm(request: Request, placed: Placed, keeper: Keeper | None, report: Report) -> tuple[torch.Tensor, str]:
    """The image of the algorithm, and its result in words.

    The first interrupt is obeyed between two iterations: the state of the run is kept, and `resume=True` goes on from
    it to the same bits. Long runs keep it now and then, too.

    placed: operator, projections and the state to go on from.
    """
    operator, projections, start = placed
    advance = report.stage("iterating", 0, "iterations")
    with Interrupts() as interrupts:

        def after_iteration(iteration: Iteration) -> bool:
            if keeper is not None and (interrupts.requested or keeper.is_due) and iteration.snapshot is not None:
                keeper.save(iteration.image.cpu(), iteration.number, iteration.state())
            return interrupts.requested

        result: Result = ALGORITHMS.load(request.algorithm)(
            operator,
            projections,
            start=start,
            callback=after_iteration,
            progress=lambda now, of, residual: advance(now, of, f", residual {residual:.4g}"),
            **_options(request),
        )
        if result.stopped == "interrupted" or (interrupts.requested and result.stopped == "callback"):
            raise Stopped(kept="" if keeper is None or not keeper.is_saved else keeper.kept("the state of the run"))
    residual = float(result.residuals[int(result.best.max())].max())
    word = "iteration" if result.iterations == 1 else "iterations"
    text = f"{result.iterations} {word}, residual {residual:.4g} of the projections"
    if result.stopped == "diverged":
        text += f", diverged: the image is that of iteration {int(result.best.max())}"
    return result.image, text


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
    elif request.tv_strength is not None and not request.tv_strength >= 0:
        raise InputError(f"`tv_strength` must not be negative, got {request.tv_strength:g}")


def _facts(request: Request) -> Any:
    return ALGORITHMS.entry(request.algorithm).about


def _placed(request: Request, operator: XRayTransform, projections: torch.Tensor, start: State | None) -> Placed:
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
    facts, options = _facts(request), {}
    if request.iterations is not None:
        options["iterations"] = request.iterations
    if facts.get("tv_strength") and request.tv_strength is not None:
        options["strength"] = request.tv_strength
    if facts.get("non_negative") and request.non_negative:
        options["lower"] = 0.0
    return options
