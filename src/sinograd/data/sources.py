"""Where values of volumes that are not in memory come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sinograd.data.units import Conversion

# torch has these types but computes nothing with them.
SIGNED = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


@runtime_checkable
class VolumeSource(Protocol):
    """Values that are read when they are needed: of a file, a series of slices, a simulation.

    A source holds no open file, so that it can be pickled and used in DataLoader workers. It may have an attribute
    `block`: how many slices are best read together (those of a chunk; all, where a file can only be read whole).
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Z, Y, X, or Y, X of an image."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        ...

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1, [end - first, Y, X]; an image is one slice. Raises errors that name the file."""
        ...


@dataclass(frozen=True)
class Converted:
    """Values of a source, converted when they are read."""

    held: VolumeSource
    convert: Conversion

    @property
    def shape(self) -> tuple[int, ...]:
        """Z, Y, X, or Y, X of an image."""
        return self.held.shape

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return self.held.dtype if self.held.dtype.is_floating_point else torch.float32

    @property
    def block(self) -> int:
        """Slices that are best read together."""
        return int(getattr(self.held, "block", 1))

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        return self.convert(computable(self.held.read(first, end)))


@dataclass(frozen=True)
class AsSlices:
    """An image that is read as a volume of one slice."""

    held: VolumeSource
    block: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Z, Y, X, or Y, X of an image."""
        return (1, *self.held.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return self.held.dtype

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1."""
        return self.held.read(first, end)


def computable(values: Tensor) -> Tensor:
    """The values in the next larger signed type where torch does not compute with theirs."""
    return values.to(SIGNED[values.dtype]) if values.dtype in SIGNED else values
