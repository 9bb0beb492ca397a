"""When a loss has stopped falling, and which step was the best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sinograd.training.config import EarlyStopping


@dataclass
class Convergence:
    """Watches one loss.

    rule: when to stop; None: never. over: how many values are averaged, which is the number of training stacks, so
    that easy and hard ones do not look like progress.
    """

    rule: EarlyStopping | None
    over: int = 1
    best: float = math.inf
    best_step: int = 0
    _reference: float = math.inf
    _reference_step: int = 0
    _recent: list[float] = field(default_factory=list)

    def update(self, step: int, loss: float) -> bool:
        """Take the loss at a step; True if it is the best so far."""
        self._recent = [*self._recent, loss][-self.over :]
        if len(self._recent) < self.over:
            return False
        value = math.fsum(self._recent) / self.over
        if self.rule is not None and value < self._reference * (1 - self.rule.min_change):
            self._reference, self._reference_step = value, step
        if value < self.best:
            self.best, self.best_step = value, step
            return True
        return False

    def stalled(self, step: int) -> bool:
        """Whether the loss has not fallen enough for long enough."""
        return self.rule is not None and step - self._reference_step >= self.rule.patience

    def state(self) -> dict[str, float | int | list[float]]:
        """Plain numbers that `load` takes."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "reference": self._reference,
            "reference_step": self._reference_step,
            "recent": list(self._recent),
        }

    def load(self, state: dict[str, float | int | list[float]]) -> None:
        """Go on from a state."""
        self.best, self.best_step = state["best"], state["best_step"]  # pyright: ignore
        self._reference, self._reference_step = state["reference"], state["reference_step"]  # pyright: ignore
        self._recent = list(state["recent"])  # pyright: ignore
