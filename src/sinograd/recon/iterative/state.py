"""The state of an algorithm between two iterations: all that it needs to go on, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError


@dataclass(frozen=True, eq=False)
class State:
    """What `Iteration.state()` gives; as the argument `start` of the same algorithm it goes on from there.

    With the same operator, projections and other arguments the iterates are those of a run that was not interrupted,
    bit for bit on a CPU.

    Attributes:
        algorithm: the function's name.
        iterations: done so far; the argument `iterations` counts them, too.
        values: of the algorithm: images, projections, duals, momentum, ...
        record: what was measured so far, and the best image.
        start: the image that the first run started from; None: zeros.
    """

    algorithm: str
    iterations: int
    values: Mapping[str, Tensor]
    record: Mapping[str, Tensor]
    start: Tensor | None = None

    def to(self, device: torch.device | str) -> State:
        """The same with its values on a device."""
        moved = {name: value.to(device) if value.ndim else value for name, value in self.values.items()}
        moved |= {name: value for name, value in self.values.items() if name == "generator"}
        return replace(self, values=moved, start=None if self.start is None else self.start.to(device))

    def check(self, algorithm: str, shape: tuple[int, ...], like: Tensor) -> None:
        """InputError unless it is of this algorithm, and of images like these."""
        if self.algorithm != algorithm:
            raise InputError(f"start: expected a state of {algorithm}, got one of {self.algorithm}")
        image = self.values.get("x")
        if image is None or tuple(image.shape) != shape:
            got = None if image is None else list(image.shape)
            raise InputError(f"start: expected a state of images {list(shape)}, got {got}")
        if (image.dtype, image.device) != (like.dtype, like.device):
            raise InputTypeError(
                f"start: expected a state of {like.dtype} on {like.device}, got {image.dtype} on {image.device}"
            )


def copied(values: Mapping[str, Tensor | float | None]) -> dict[str, Tensor]:
    """The values as tensors of their own; None is left out."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for name, value in values.items()
        if value is not None
    }
