"""What iterative algorithms tell and return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sinograd.errors import UnsupportedError
from sinograd.recon.iterative.state import State

REASONS = {
    "iterations": "all iterations done",
    "residual": "the residual is as small as was asked for",
    "noise": "the residual is that of the noise",
    "callback": "the callback asked to stop",
    "interrupted": "interrupted",
    "diverged": "diverged",
}


@dataclass(frozen=True, eq=False)
class Iteration:
    """What a callback gets after each iteration.

    Attributes:
        number, total: of iterations done and asked for.
        image: the image as it is now, [..., *domain_shape]. It changes with the next iteration: clone what is kept.
        residual: |p - A x| / |p|, [...] float64 on the CPU (with weights w, of both times their square root).
        objective: what the algorithm minimises, where it has such a thing; [...] likewise.
        snapshot: makes `state()`.
    """

    number: int
    total: int
    image: Tensor
    residual: Tensor
    objective: Tensor | None
    snapshot: Callable[[], State] | None = None

    def state(self) -> State:
        """A copy of all that the algorithm needs to go on after this iteration: give it as `start` to go on.

        Raises UnsupportedError for an algorithm that has no such thing.
        """
        if self.snapshot is None:
            raise UnsupportedError("this algorithm cannot go on from the middle of a run")
        return self.snapshot()


Callback = Callable[[Iteration], bool | None]
"""Called after each iteration; True stops the algorithm."""

Progress = Callable[[int, int, float], None]
"""Called with (iterations done, asked for, largest relative residual of the batch)."""


@dataclass(frozen=True, eq=False)
class Result:
    """What iterative algorithms return.

    Attributes:
        image: the reconstruction in 1/mm, [..., *domain_shape].
        residuals: |p - A x| / |p| of the start and after each iteration, [iterations + 1, ...] float64 on the CPU.
        objectives: what was minimised, likewise; None for algorithms without an objective of their own.
        iterations: how many were done.
        best: the iteration that the image is from, [...] int64 on the CPU; less than `iterations` after a divergence.
        stopped: "iterations", "residual", "noise", "callback", "interrupted" or "diverged".
        algorithm: the function's name.
    """

    image: Tensor
    residuals: Tensor
    objectives: Tensor | None
    iterations: int
    best: Tensor
    stopped: str
    algorithm: str

    def __repr__(self) -> str:
        first, last = (f"{float(self.residuals[i].max()):.4g}" for i in (0, -1))
        return (
            f"Result({self.algorithm}, image {list(self.image.shape)}, {self.iterations} iterations, "
            f"residual {first} to {last}, {REASONS[self.stopped]})"
        )
