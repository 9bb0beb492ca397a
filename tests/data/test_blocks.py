"""Blocks of views. Truth: every view once, and the number of bytes."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sinograd.data.blocks import BLOCK_BYTES, view_blocks, views_per_block


@given(
    shape=st.lists(st.integers(1, 50), min_size=1, max_size=3),
    itemsize=st.sampled_from([1, 2, 4, 8]),
    max_bytes=st.integers(1, 1 << 12),
)
def test_blocks_hold_every_view_once_in_order_and_fit(shape: list[int], itemsize: int, max_bytes: int) -> None:
    blocks = list(view_blocks(shape, itemsize, max_bytes))
    assert [view for first, end in blocks for view in range(first, end)] == list(range(shape[0]))
    bytes_per_view = math.prod(shape[1:]) * itemsize
    for first, end in blocks:
        assert end - first == 1 or (end - first) * bytes_per_view <= max_bytes
    largest = views_per_block(shape, itemsize, max_bytes)
    assert all(end - first == largest for first, end in blocks[:-1])
    assert (largest + 1) * bytes_per_view > max_bytes


def test_empty_arrays_and_the_usual_size() -> None:
    assert list(view_blocks((0, 5), 4)) == []
    assert list(view_blocks((3, 0), 4)) == [(0, 3)]
    assert views_per_block((10, BLOCK_BYTES // 4), 2) == 2
