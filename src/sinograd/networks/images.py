"""What all networks ask of their input, and how it gets a size that they can take."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from sinograd.errors import InputError, InputTypeError


def check_images(x: Tensor) -> None:
    """ValueError unless `x` is a batch of images with one channel, TypeError unless it has floating point numbers."""
    if x.ndim != 4 or x.shape[1] != 1 or 0 in x.shape:
        raise InputError(f"x: expected images [B, 1, Y, X], got {list(x.shape)}")
    if not x.is_floating_point():
        raise InputTypeError(f"x: expected floating point numbers, got {x.dtype}")


def padded(x: Tensor, *, least: int = 1, multiple: int = 1) -> Tensor:
    """`x` with its last rows and columns repeated until there are `least` of both and `multiple` divides them."""
    rows, columns = (max(least, n + (-n) % multiple) - n for n in x.shape[-2:])
    return pad(x, (0, columns, 0, rows), mode="replicate") if rows or columns else x
