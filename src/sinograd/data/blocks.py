"""Blocks of views or slices: as many as fit in a given memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

BLOCK_BYTES = 64 << 20


def views_per_block(shape: Sequence[int], itemsize: int, max_bytes: int | None = None) -> int:
    """How many views of an array [views, ...] fit in `max_bytes` (None: BLOCK_BYTES); at least one."""
    limit = BLOCK_BYTES if max_bytes is None else max_bytes
    return max(1, limit // max(1, math.prod(shape[1:]) * itemsize))


def view_blocks(shape: Sequence[int], itemsize: int, max_bytes: int | None = None) -> Iterator[tuple[int, int]]:
    """First and end of blocks along the first axis of an array, in order.

    Args:
        shape: of the whole array: views first.
        itemsize: bytes of an element.
        max_bytes: of a block, which has at least one view; None: BLOCK_BYTES.
    """
    step = views_per_block(shape, itemsize, max_bytes)
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])
