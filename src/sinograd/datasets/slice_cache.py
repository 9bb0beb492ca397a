"""Slices that were read lately, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

from sinograd.datasets.pairs import VolumeSource, check_finite


class SliceCache:
    """Blocks of slices of some volumes; those that were not used for longest go first.

    limit: bytes kept at most; the block that was asked for last is kept in any case.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"cache_bytes must not be negative, got {limit}")
        self.limit = limit
        self.held = 0
        self._blocks: OrderedDict[tuple[int, int], tuple[VolumeSource, Tensor]] = OrderedDict()

    def slice(self, source: VolumeSource, index: int, name: str) -> Tensor:
        """Slice `index` of a volume, [Y, X]; ValueError with `name` when it holds values that are not finite."""
        size = max(1, int(getattr(source, "block", 1)))
        start = index // size * size
        key = (id(source), start)  # the source is kept with its block, so that no other gets its id
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key][1][index - start]
        block = source.read(start, min(start + size, source.shape[0]))
        check_finite(block, name, start)
        self._blocks[key] = (source, block)
        self.held += _bytes(block)
        while self.held > self.limit and len(self._blocks) > 1:
            _, (_, old) = self._blocks.popitem(last=False)
            self.held -= _bytes(old)
        return block[index - start]


def _bytes(block: Tensor) -> int:
    return block.numel() * block.element_size()
