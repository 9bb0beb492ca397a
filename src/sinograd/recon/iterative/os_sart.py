"""`os_sart` and `sart`: algebraic reconstruction from a part of the views at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import real
from sinograd.recon.iterative.inner_products import dot
from sinograd.recon.iterative.operators import Operator, kept, own
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.result import Callback, Progress, Result
from sinograd.recon.iterative.row_column_weights import reciprocal_
from sinograd.recon.iterative.run import Control, Run, Step, Steps
from sinograd.recon.iterative.sirt import checked_relaxation
from sinograd.recon.iterative.state import State
from sinograd.recon.iterative.stopping import Stop
from sinograd.recon.iterative.subsets import ORDERS, given_subsets, interleaved, orders


def os_sart(
    operator: Operator,
    projections: Tensor,
    *,
    iterations: int = 10,
    subsets: int | Sequence[Sequence[int]] = 10,
    order: str = "golden",
    relaxation: float = 1.0,
    decay: float = 1.0,
    generator: torch.Generator | None = None,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    lower: float | Tensor | None = None,
    upper: float | Tensor | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """SART with ordered subsets: SIRT's update after each subset of the views, about as many times faster.

    G. Wang, M. Jiang, "Ordered-subset simultaneous algebraic reconstruction techniques (OS-SART)", Journal of X-Ray
    Science and Technology 12(3), 2004. R holds 1 / row sums of the subset; C is 1 / the largest of the subsets' column
    sums, so that no subset over-relaxes a voxel and one image serves all. With noise it ends in a cycle, the smaller
    the smaller `relaxation * decay ** iteration` has become.

    The reported residual, which stopping rules see, is that of each subset before its own update. It lags behind by
    part of an iteration and costs nothing.

    Memory: besides the projections 4 images (x, the best one, C, A.T of a residual; 3 with keep_best=False), one copy
    of the projections (R) and two of a subset. R and C stay with the operator unless there are weights.

    Args:
        operator: must give the operator of some views by `operator.subset(views)`, as sinograd's own do; the first
            axis of `range_shape` is views.
        iterations: passes over all views.
        subsets: their number, each taking every n-th view; or lists of views, each view in one list.
        order: "golden" (steps of the golden section), "distance" (always far from those before), "random",
            "sequential".
        relaxation, decay: the update is relaxed by relaxation * decay ** (number of iterations done).
        generator: for "random".
        others: as in `sirt`.

    Returns, raises and warns as `sirt`; also raises ValueError for an operator that cannot be divided, a number of
    subsets that there are no views for and an unknown order.
    """
    return _ordered(
        "os_sart",
        Problem(operator, projections, start=start, weights=weights, lower=lower, upper=upper),
        _Options(subsets, order, relaxation, decay, generator),
        Control(iterations, stop, callback, progress, keep_best),
    )


def sart(
    operator: Operator,
    projections: Tensor,
    *,
    iterations: int = 3,
    order: str = "golden",
    relaxation: float = 0.5,
    decay: float = 1.0,
    generator: torch.Generator | None = None,
    weights: Tensor | None = None,
    start: Tensor | State | None = None,
    lower: float | Tensor | None = None,
    upper: float | Tensor | None = None,
    stop: Stop | None = None,
    callback: Callback | None = None,
    progress: Progress | None = None,
    keep_best: bool = True,
) -> Result:
    """Simultaneous algebraic reconstruction: an update after each view; `os_sart` with one view a subset.

    A. H. Andersen, A. C. Kak, "Simultaneous algebraic reconstruction technique (SART)", Ultrasonic Imaging 6, 1984.
    In 3-D every view costs a copy of the volume besides its projection: with more than some ten views `os_sart` is
    quicker and as good.

    Arguments, results, errors, warnings and memory as in `os_sart`.
    """
    problem = Problem(operator, projections, start=start, weights=weights, lower=lower, upper=upper)
    return _ordered(
        "sart",
        problem,
        _Options(problem.data_shape[0], order, relaxation, decay, generator),
        Control(iterations, stop, callback, progress, keep_best),
    )


@dataclass(frozen=True, eq=False)
class _Options:
    subsets: int | Sequence[Sequence[int]]
    order: str
    relaxation: float
    decay: float
    generator: torch.Generator | None


@dataclass(frozen=True, eq=False)
class _Part:
    """A subset: its operator and the index of its views in projections."""

    operator: Any
    index: tuple[Any, ...]

    def of(self, projections: Tensor) -> Tensor:
        """Its views (a copy, or a view of every n-th)."""
        return projections[self.index]


def _ordered(name: str, problem: Problem, options: _Options, control: Control) -> Result:
    relaxation, decay = checked_relaxation(options.relaxation), real(options.decay, "decay")
    options = replace(options, relaxation=relaxation, decay=decay)
    if not 0 < options.decay <= 1:
        raise InputError(f"decay: expected a number above 0 and at most 1, got {options.decay}")
    if options.order not in ORDERS:
        raise InputError(f"order: expected one of {', '.join(ORDERS)}, got {options.order!r}")
    views = problem.data_shape[0]
    whole = isinstance(options.subsets, int)
    lists = interleaved(views, options.subsets) if whole else given_subsets(views, options.subsets)  # type: ignore[arg-type]
    if not callable(getattr(problem.operator, "subset", None)):
        raise InputError(
            f"operator: {name} needs operator.subset(views), the operator of some views; "
            f"{type(problem.operator).__name__} has none"
        )
    run = Run(name, problem, control)
    return run(_steps(problem, options, lists), monotone=False)


def _steps(problem: Problem, options: _Options, lists: list[list[int]]) -> Steps:
    key = ("parts", tuple(map(tuple, lists)), problem.data_ndim)
    parts = kept(problem.operator, key, lambda: [_part(problem, views, len(lists)) for views in lists])
    rows, columns = _weights(problem, parts, key)
    generator = options.generator
    if options.order == "random" and generator is None:
        generator = torch.Generator().manual_seed(0)
    relaxation = options.relaxation
    if problem.saved is None:
        x = problem.start()
        misfit = problem.data_length(problem.first_residual(x))
    else:
        x, misfit, relaxation = problem.saved["x"], problem.saved["misfit"], float(problem.saved["relaxation"])
        if generator is not None and "generator" in problem.saved:
            generator.set_state(problem.saved["generator"].cpu())
    order = orders(len(parts), options.order, generator)
    while True:
        drawn = None if generator is None else generator.get_state()
        yield Step(x, misfit, state={"x": x, "misfit": misfit, "relaxation": relaxation, "generator": drawn})
        met = torch.zeros(problem.batch, dtype=torch.float64, device=x.device)
        for index in next(order):
            part = parts[index]
            residual = own(part.operator(x), x).neg_().add_(part.of(problem.projections))
            met += _squared(problem, part, residual)
            residual.mul_(part.of(rows))
            x.addcmul_(columns, own(part.operator.T(residual), residual), value=relaxation)
            problem.constrain_(x)
        misfit = met.sqrt()
        relaxation *= options.decay


def _part(problem: Problem, views: list[int], step: int) -> _Part:
    regular = views == list(range(views[0], problem.data_shape[0], step))
    index = slice(views[0], None, step) if regular else torch.tensor(views)
    return _Part(problem.operator.subset(views), (..., index, *[slice(None)] * (problem.data_ndim - 1)))  # type: ignore[attr-defined]


def _squared(problem: Problem, part: _Part, residual: Tensor) -> Tensor:
    weights = None if problem.weights is None else part.of(problem.weights).contiguous()
    return dot(residual, residual, problem.data_ndim, weights)


def _weights(problem: Problem, parts: list[_Part], key: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """R of all views, and C."""
    p = problem.projections

    def make() -> tuple[Tensor, Tensor]:
        ones = p.new_ones(problem.image_shape)
        largest, rows = torch.zeros_like(ones), p.new_empty(problem.data_shape)
        for part in parts:
            rows[part.index] = part.operator(ones)
            largest = torch.maximum(largest, part.operator.T(torch.ones_like(part.of(rows))), out=largest)
        return reciprocal_(rows, "ray meets the grid"), reciprocal_(largest)

    rows, columns = kept(problem.operator, ("sums", key, p.dtype, p.device), make)
    if problem.weights is None:
        return rows, columns
    rows = rows * problem.weights
    largest = p.new_zeros((*problem.batch, *problem.image_shape))
    for part in parts:
        torch.maximum(largest, part.operator.T(part.of(problem.weights).contiguous()), out=largest)
    return rows, reciprocal_(largest)
