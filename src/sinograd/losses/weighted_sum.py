"""Several losses at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from torch import Tensor

from sinograd.config.schema import NOT_NEGATIVE
from sinograd.errors import InputError
from sinograd.losses.loss import LOSS, as_loss


@dataclass(frozen=True)
class Term:
    """One loss of a sum.

    Attributes:
        loss: a name, or a mapping with options.
        weight: what it is multiplied by.
    """

    loss: Annotated[Any, LOSS]
    weight: Annotated[float, NOT_NEGATIVE] = 1.0


class WeightedSum:
    """The sum of losses, each times its weight: `{name: sum, terms: [{loss: mse}, {loss: sobel, weight: 0.1}]}`.

    Args:
        terms: in a configuration mappings with `loss`, a name or a mapping with options, and `weight` (1).
    """

    def __init__(self, terms: tuple[Term, ...]) -> None:
        if not terms:
            raise InputError("terms: expected at least one loss, got none")
        self.losses: list[tuple[Any, float]] = []
        for term in terms:
            choice, weight = (term.loss, term.weight) if isinstance(term, Term) else term
            loss: Any = as_loss(choice)
            if getattr(loss, "unit", None) is not None or getattr(loss, "found", ()):
                raise InputError(f"terms: {getattr(choice, 'name', choice)} has a unit, and stands alone")
            self.losses.append((loss, float(weight)))

    @property
    def pointwise(self) -> bool:
        """Whether all of them are."""
        return all(getattr(loss, "pointwise", True) for loss, _ in self.losses)

    @property
    def takes_stages(self) -> bool:
        """Whether one of them is."""
        return any(getattr(loss, "takes_stages", False) for loss, _ in self.losses)

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of all."""
        return tuple(note for loss, _ in self.losses for note in getattr(loss, "notes", ()))

    def __call__(
        self, predicted: Tensor, target: Tensor, *, scale: float = 1.0, stages: Sequence[Tensor] = ()
    ) -> Tensor:
        """The loss, []."""
        total = predicted.new_zeros(())
        for loss, weight in self.losses:
            more = {"stages": stages} if stages and getattr(loss, "takes_stages", False) else {}
            total = total + weight * loss(predicted, target, scale=scale, **more)
        return total

    def check(self, shape: Sequence[int]) -> None:
        """InputError where one of them cannot compare images of this shape."""
        for loss, _ in self.losses:
            if hasattr(loss, "check"):
                loss.check(shape)

    def check_targets(self, targets: Iterable[Tensor], *, scale: float) -> None:
        """InputError where the targets do not lie where one of them needs them."""
        listed = list(targets)
        for loss, _ in self.losses:
            if hasattr(loss, "check_targets"):
                loss.check_targets(listed, scale=scale)
