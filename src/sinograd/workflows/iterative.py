"""The iterative algorithms of `sinograd reconstruct`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinograd.errors import InputError, Stopped
from sinograd.workflows.checkpoint import Partial, deferred_interrupt
from sinograd.workflows.devices import chosen_device

if TYPE_CHECKING:
    import torch

    from sinograd.data import Scan
    from sinograd.geometry import Grid
    from sinograd.ops import LinearOperator, XRayTransform
    from sinograd.recon import Result
    from sinograd.workflows.reconstruction import Request
    from sinograd.workflows.report import Report

# Held by an algorithm, all told, and by the operator.
_IMAGES, _PROJECTIONS = 12, 5
# Of the largest projection: what a ray that misses the grid sees of an object that is larger.
_OUTSIDE = 0.1


@dataclass(frozen=True)
class Method:
    """A function of `sinograd.recon` and which options it takes."""

    function: str
    bounded: bool = True
    strength: bool = False


METHODS = {
    "sirt": Method("sirt"),
    "sart": Method("sart"),
    "os-sart": Method("os_sart"),
    "cgls": Method("cgls", bounded=False),
    "lsqr": Method("lsqr", bounded=False),
    "fista-tv": Method("fista_tv", strength=True),
}


def iterate(request: Request, scan: Scan, grid: Grid, progress: Report) -> tuple[torch.Tensor, str, str, Partial]:
    """The volume of a prepared scan, the algorithm and what came of it in words, and the file of an unfinished volume.

    The first interrupt is obeyed between two iterations: the best image is kept, and `resume=True` starts from it.
    """
    from sinograd import recon
    from sinograd.ops import XRayTransform

    method = METHODS[request.algorithm]
    partial = Partial.of(request, scan, grid)
    start, done = partial.load() if request.resume else (None, 0)
    options = _options(request, method)
    total = options.pop("iterations", None)
    if total is not None:
        options["iterations"] = max(1, total - done)
    operator, projections, start = _placed(request, XRayTransform(scan.geometry, grid), scan.load(), start)
    _warn_of_rays_beside(recon.row_weights(operator, grid.shape, projections), projections)
    advance = progress.stage("iterating", 0, "iterations")
    with deferred_interrupt() as asked:
        result: Result = getattr(recon, method.function)(
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

    device = chosen_device(request.device)
    if device.type == "cpu":
        return operator, projections, start
    held = _IMAGES * projections.element_size() * math.prod(operator.grid.shape) + _PROJECTIONS * projections.nbytes
    if operator.grid.ndim == 3 and held > memory_of(device, None):
        return InSlabs(operator, device), projections, start
    return operator, projections.to(device), None if start is None else start.to(device)


def check_options(request: Request) -> None:
    """ValueError for options that the algorithm does not have."""
    method = METHODS.get(request.algorithm)
    if request.iterations is not None and request.iterations < 1:
        raise InputError(f"`iterations` must be at least 1, got {request.iterations}")
    if method is None:
        given = {"iterations": request.iterations, "tv_strength": request.tv_strength}
        for name, value in given.items():
            if value is not None:
                raise InputError(f"`{name}` is for iterative algorithms ({', '.join(METHODS)}); give `algorithm` too")
    elif request.tv_strength is not None and not method.strength:
        raise InputError(f"`tv_strength` is for fista-tv, not for {request.algorithm}")


def _warn_of_rays_beside(weights: torch.Tensor, projections: torch.Tensor) -> None:
    """Warns when rays that miss the grid see the object."""
    from sinograd.recon import CoverageWarning

    count = int(((weights == 0) & (projections > _OUTSIDE * projections.max())).sum())
    if count:
        warnings.warn(
            f"{count} rays beside the grid are attenuated: the object is larger than the grid, and iterative "
            "algorithms put what lies outside at its border; a larger grid (`shape`), FDK or FBP avoid that",
            CoverageWarning,
            stacklevel=2,
        )


def _options(request: Request, method: Method) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if request.iterations is not None or request.resume:
        options["iterations"] = request.iterations or _default_iterations(method)
    if method.strength and request.tv_strength is not None:
        options["strength"] = request.tv_strength
    if method.bounded and request.non_negative:
        options["lower"] = 0.0
    return options


def _default_iterations(method: Method) -> int:
    import inspect

    from sinograd import recon

    function: Callable[..., Any] = getattr(recon, method.function)
    return inspect.signature(function).parameters["iterations"].default
