"""Boxes of a volume: parts along all three axes, of which a file that can read them reads no more."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sinograd.data.memory import reading
from sinograd.data.sources import computable
from sinograd.data.volume import Volume
from sinograd.errors import InputIndexError

_BLOCK_BYTES = 64 << 20

Box = tuple[slice, slice, slice]
"""Of z, y and x, each with a start and a stop; an image is one slice."""


def read_box(volume: Volume, box: Box) -> Tensor:
    """Voxels of a box, float32 [z, y, x]; the tensor may share memory with values that are in memory.

    Raises InputIndexError for a box that does not lie within the volume.
    """
    return stored_box(volume, box).to(torch.float32)


def stored_box(volume: Volume, box: Box) -> Tensor:
    """As `read_box`, in the type that the file stores, or the next larger one that torch computes with."""
    shape = (volume.slices, *volume.shape[-2:])
    if not all(0 <= part.start <= part.stop <= count for part, count in zip(box, shape, strict=True)):
        raise InputIndexError(f"{volume.name}: the box {[(s.start, s.stop) for s in box]} is not within {list(shape)}")
    source = volume.source
    if source is None:
        return volume.values.reshape(shape)[box]
    with reading(volume.name):
        return computable(box_of(source, box))


def box_of(source: Any, box: Box) -> Tensor:
    """A box of a `VolumeSource`."""
    return source.read_box(box) if hasattr(source, "read_box") else cropped(source, box)


def cropped(source: Any, box: Box) -> Tensor:
    """A box of a source that reads whole slices, a block of at most `_BLOCK_BYTES` or of the source's own at a time."""
    first, end = box[0].start, box[0].stop
    per_slice = max(1, math.prod(source.shape[-2:]) * source.dtype.itemsize)
    step = max(int(getattr(source, "block", 1)), _BLOCK_BYTES // per_slice, 1)
    parts = [source.read(low, min(low + step, end))[:, box[1], box[2]].clone() for low in range(first, end, step)]
    return torch.cat(parts) if parts else source.read(first, end)[:, box[1], box[2]]
