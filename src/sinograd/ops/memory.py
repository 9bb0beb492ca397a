"""What is said where a GPU has too little memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from sinograd.errors import OutOfMemory

SLABS = "sinograd.ops.InSlabs(operator) computes slab by slab from host memory"
PARTS = "call it with a part of the volume, or with float32"


class TooLittleMemory(OutOfMemory, torch.OutOfMemoryError):
    """`torch.OutOfMemoryError`, in one sentence."""


@contextmanager
def enough_memory(name: str, source: Tensor, shape: Sequence[int], remedy: str = SLABS) -> Iterator[None]:
    """Around what allocates a result of this shape, with the dtype and on the device of `source`.

    Raises:
        TooLittleMemory: torch finds no room for the result, or for what the kernels need beside it.
    """
    try:
        yield
    except TooLittleMemory:
        raise
    except torch.OutOfMemoryError as error:
        free, total = (part / 2**30 for part in torch.cuda.mem_get_info(source.device))
        size = math.prod(shape) * source.element_size() / 2**30
        raise TooLittleMemory(
            f"{name}: {source.device} has too little memory for a result of {size:.3g} GiB and what its kernels need "
            f"({free:.3g} of {total:.3g} GiB are free): {remedy}"
        ) from error
