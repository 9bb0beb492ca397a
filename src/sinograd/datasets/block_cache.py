"""Blocks of slices that were read or made lately, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import Tensor

from sinograd.errors import InputError


class BlockCache:
    """A least-recently-used cache of blocks of slices.

    limit: bytes kept at most; the block that was used last is kept in any case. A copy in another process starts empty.

    Raises:
        ValueError: a negative limit.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise InputError(f"cache_bytes must not be negative, got {limit}")
        self.limit = limit
        self.held = 0
        self._blocks: OrderedDict[tuple[int, int], tuple[object, tuple[Tensor, ...]]] = OrderedDict()

    def get(self, owner: object, first: int, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """The tensors that `make` gives for the block of `owner` that starts at slice `first`."""
        key = (id(owner), first)  # the owner is kept with its block, so that no other gets its id
        if key not in self._blocks:
            made = make()
            self._blocks[key] = (owner, made)
            self.held += _bytes(made)
        self._blocks.move_to_end(key)
        while self.held > self.limit and len(self._blocks) > 1:
            _, (_, old) = self._blocks.popitem(last=False)
            self.held -= _bytes(old)
        return self._blocks[key][1]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.limit,)


def _bytes(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
