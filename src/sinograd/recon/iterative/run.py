"""Runs an algorithm: counts, measures, stops, keeps the best image, survives an interrupt."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sinograd.errors import ConvergenceWarning, InputError, InputTypeError
from sinograd.recon.iterative.inner_products import norm
from sinograd.recon.iterative.problem import Problem
from sinograd.recon.iterative.result import Callback, Iteration, Progress, Result
from sinograd.recon.iterative.state import State, copied
from sinograd.recon.iterative.stopping import Stop

# A residual so many times its smallest value that rose so often in a row, or so many times its first value, diverges.
RISE, RISES, EXPLOSION = 1.5, 3, 10.0

_MEASURED = ("lowest", "best", "rises", "diverged")


@dataclass(frozen=True, eq=False)
class Step:
    """What an algorithm yields: at first for its start, then after each iteration.

    Attributes:
        image: stays whole until the step after the next has been yielded, or changes in place by whole operations.
        residual: |p - A x|, [...] float64.
        objective: what is minimised, [...] float64.
        state: what the algorithm needs to go on, as it is now.
    """

    image: Tensor
    residual: Tensor
    objective: Tensor | None = None
    state: Mapping[str, Tensor | float | None] | None = None


Steps = Generator[Step, None, None]
"""An algorithm: yields without end."""


@dataclass(frozen=True, eq=False)
class Control:
    """The arguments that all algorithms share, as in `sirt`."""

    iterations: int
    stop: Stop | None = None
    callback: Callback | None = None
    progress: Progress | None = None
    keep_best: bool = True


class Run:
    """The arguments that all algorithms share, checked; `run(...)` does the work. algorithm: name for messages."""

    def __init__(self, algorithm: str, problem: Problem, control: Control) -> None:
        self.iterations, stop = _check_count(control.iterations), control.stop
        if stop is not None and not isinstance(stop, Stop):
            raise InputTypeError(f"stop: expected a Stop, got {type(stop).__name__}")
        self.algorithm, self.problem, self.monotone = algorithm, problem, True
        self.stop, self.keep_best = stop or Stop(), control.keep_best
        self.callback, self.progress = control.callback, control.progress
        self._scale = problem.data_norm.cpu()
        self._noise = None if self.stop.noise is None else self._norm_of_noise(self.stop.noise)
        self._residuals: list[Tensor] = []
        self._objectives: list[Tensor] = []
        self._lowest = torch.full(problem.batch, math.inf, dtype=torch.float64)
        self._best = torch.zeros(problem.batch, dtype=torch.int64)
        self._rises = torch.zeros(problem.batch, dtype=torch.int64)
        self._diverged = torch.zeros(problem.batch, dtype=torch.bool)
        self._kept: Tensor | None = None
        self._first = 0
        if problem.resumed is not None:
            problem.resumed.check(algorithm, (*problem.batch, *problem.image_shape), problem.projections)
            self._go_on(problem.resumed)

    @torch.no_grad()
    def __call__(self, steps: Steps, *, monotone: bool = True) -> Result:
        """Takes steps until a reason to stop.

        monotone: what the algorithm measures falls in every iteration, up to rounding, unless something is wrong. The
        image with the smallest measure is returned; else the last one, unless it diverged.
        """
        self.monotone = monotone
        image, done, reason = None, 0, "iterations"
        try:
            for done, step in enumerate(steps, self._first):
                image = step.image
                if not self._residuals or done > self._first:
                    self._measure(done, step)
                elif done >= self.iterations:
                    break
                else:
                    continue
                reason = self._reason(done, step)
                if reason:
                    break
        except KeyboardInterrupt:
            if image is None:
                raise
            reason = "interrupted"
        finally:
            steps.close()
        assert image is not None
        return self._result(image, done, reason)

    def _state(self, done: int, step: Step) -> State:
        """A copy of all that is needed to go on after a step."""
        record: dict[str, Tensor | float | None] = {
            "residuals": torch.stack(self._residuals),
            "objectives": torch.stack(self._objectives) if self._objectives else None,
            "kept": self._kept,
            **{name: getattr(self, f"_{name}") for name in _MEASURED},
        }
        start = None if self.problem.starts_at_zero else self.problem.given_start()
        return State(self.algorithm, done, copied(step.state or {}), copied(record), start)

    def _go_on(self, state: State) -> None:
        self._first, record = state.iterations, copied(state.record)
        self._residuals = list(record["residuals"].cpu())
        self._objectives = list(record["objectives"].cpu()) if "objectives" in record else []
        for name in _MEASURED:
            setattr(self, f"_{name}", record[name].cpu())
        if self.keep_best and "kept" in record:
            self._kept = record["kept"].to(self.problem.projections.device)

    def _norm_of_noise(self, noise: float | Tensor) -> Tensor:
        p = self.problem.projections
        deviation = torch.as_tensor(noise, dtype=p.dtype, device=p.device)
        try:
            deviation = deviation.expand(p.shape)
        except RuntimeError:
            raise InputError(
                f"stop.noise: {list(deviation.shape)} does not broadcast to projections {list(p.shape)}"
            ) from None
        return norm(deviation, self.problem.data_ndim, self.problem.weights).cpu()

    def _measure(self, done: int, step: Step) -> None:
        """Notes the step; keeps its image if it is the best so far."""
        residual = step.residual.cpu()
        self._residuals.append(torch.where(self._scale > 0, residual / self._scale, residual))
        if step.objective is not None:
            self._objectives.append(step.objective.cpu())
        measures = self._objectives or self._residuals
        now = measures[-1]
        before = measures[-2] if done else now
        self._rises = torch.where(now > before, self._rises + 1, 0)
        relative, rounding = self._residuals[-1], 1e3 * torch.finfo(step.image.dtype).eps
        bad = relative > EXPLOSION * self._residuals[0]
        if self.monotone:
            bad |= (self._rises >= RISES) & (now > RISE * self._lowest)
        self._diverged |= (bad & (relative > rounding)) | ~torch.isfinite(now) | ~torch.isfinite(relative)
        better = (now < self._lowest) & ~self._diverged
        self._lowest = torch.where(better, now, self._lowest)
        self._best = torch.where(better, done, self._best)
        if self.keep_best:
            self._keep(step.image, better)

    def _keep(self, image: Tensor, better: Tensor) -> None:
        if self._kept is None:
            self._kept = image.clone()
        elif bool(better.all()):
            self._kept.copy_(image)
        elif bool(better.any()):
            self._kept[better.to(image.device)] = image[better.to(image.device)]

    def _reason(self, done: int, step: Step) -> str:
        """Why to stop here; empty to go on."""
        residual = self._residuals[-1]
        worst = float(residual.max()) if residual.numel() else 0.0
        if done and self.progress is not None:
            self.progress(done, self.iterations, worst)
        if done and self.callback is not None:
            objective = self._objectives[-1] if self._objectives else None
            state = None if step.state is None else partial(self._state, done, step)
            if self.callback(Iteration(done, self.iterations, step.image, residual, objective, state)) is True:
                return "callback"
        if residual.numel() and bool(self._diverged.all()):
            return "diverged"
        if self.stop.residual is not None and bool((self._diverged | (residual <= self.stop.residual)).all()):
            return "residual"
        if self._noise is not None and bool(
            (self._diverged | (step.residual.cpu() <= self.stop.factor * self._noise)).all()
        ):
            return "noise"
        return "iterations" if done >= self.iterations else ""

    def _result(self, image: Tensor, done: int, reason: str) -> Result:
        last = torch.full_like(self._best, done)
        take_best = self._diverged | (self.monotone & (self._best < done))
        if reason == "interrupted":
            self.problem.constrain_(image)  # the interrupt may have come between an update and the bounds
            take_best |= self.monotone
        if self._kept is None or not bool(take_best.any()):
            take_best, chosen = torch.zeros_like(take_best), image
        elif bool(take_best.all()):
            chosen = self._kept
        else:
            chosen, take = image.clone(), take_best.to(image.device)
            chosen[take] = self._kept[take]
        best = torch.where(take_best, self._best, last)
        result = Result(
            chosen,
            torch.stack(self._residuals),
            torch.stack(self._objectives) if self._objectives else None,
            done,
            best,
            reason,
            self.algorithm,
        )
        self._warn(result)
        return result

    def _warn(self, result: Result) -> None:
        diverged = int(self._diverged.sum())
        if diverged:
            of = f" for {diverged} of {self._diverged.numel()} problems" if self._diverged.ndim else ""
            first = int(self._diverged.nonzero()[0, 0]) if self._diverged.ndim == 1 else 0
            residuals = result.residuals.flatten(1)[:, first] if self._diverged.ndim else result.residuals
            at = int(result.best.flatten()[first])
            warnings.warn(
                f"{self.algorithm} diverged{of}: after {result.iterations} iterations the relative residual is "
                f"{float(residuals[-1]):.3g}; the image returned is that of iteration {at}, "
                f"where it was {float(residuals[at]):.3g}",
                ConvergenceWarning,
                stacklevel=4,
            )
        if result.stopped == "interrupted":
            warnings.warn(
                f"{self.algorithm} was interrupted after {result.iterations} of {self.iterations} iterations; the "
                f"image returned is that of iteration {int(result.best.max())}",
                ConvergenceWarning,
                stacklevel=4,
            )


def _check_count(iterations: int) -> int:
    try:
        count = operator.index(iterations)
    except TypeError:
        raise InputTypeError(f"iterations: expected a whole number, got {iterations!r}") from None
    if count < 0:
        raise InputError(f"iterations: expected 0 or more, got {count}")
    return count
