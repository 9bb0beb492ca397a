"""Which views are backprojected at a time, and which are summed before their sum is added to the volume."""

from __future__ import annotations

from collections.abc import Iterator

# Without gradients: bytes of filtered projections backprojected at a time (a multiple of 24 views, the kernels' own
# block, and at least that).
BLOCK_BYTES, BLOCK_VIEWS = 8 << 20, 24
# On a GPU, whose kernels start too often otherwise: at least this, and more where the volume is large, as every block
# reads and writes all of it.
GPU_BLOCK_BYTES, GPU_BLOCK_SHARE = 1 << 30, 8
# Views of a group, a multiple of a block: each group after the first costs four passes over the volume, and all of
# them together one more volume.
GROUP_VIEWS = 360


def block_views(volume_bytes: int, view_bytes: int, on_gpu: bool) -> int:
    """Views backprojected at a time."""
    size = max(GPU_BLOCK_BYTES, volume_bytes // GPU_BLOCK_SHARE) if on_gpu else BLOCK_BYTES
    return BLOCK_VIEWS * max(1, size // max(1, BLOCK_VIEWS * view_bytes))


def view_blocks(first: int, last: int, block: int) -> Iterator[slice]:
    """Blocks of views first to last - 1, which end with their groups."""
    while first < last:
        end = min(first + block, last, (first // GROUP_VIEWS + 1) * GROUP_VIEWS)
        yield slice(first, end)
        first = end


def groups(views: int) -> tuple[range, ...]:
    """Views that are summed before their sum is added to the volume."""
    return tuple(range(first, min(first + GROUP_VIEWS, views)) for first in range(0, views, GROUP_VIEWS))


def held(done: int, views: int) -> int:
    """Views that a volume holds after `done` of them: no part of a group but of the first."""
    return done if done <= GROUP_VIEWS or done == views else done // GROUP_VIEWS * GROUP_VIEWS
