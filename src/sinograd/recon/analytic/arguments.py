"""Checks of what a filtered backprojection is called with."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.ops.cuda.program import capturing
from sinograd.ops.derivatives import transformed
from sinograd.recon.analytic.orbit import is_shared


def view_span(views: range | slice | None, count: int) -> tuple[int, int]:
    """First and last (excluded) of a range of `count` views."""
    if not isinstance(views, range | slice | None):
        raise InputTypeError(f"views: expected a range, a slice or None, got {type(views).__name__}")
    chosen = range(count)[views] if isinstance(views, slice) else range(count) if views is None else views
    first, last = (chosen.start, chosen.stop) if len(chosen) else (0, 0)
    if chosen.step != 1 or not 0 <= first <= last <= count:
        raise InputError(f"views: expected some of 0 to {count - 1} without steps, got {views}")
    return first, last


def check_parameter(name: str, tensor: Tensor) -> None:
    """Taps or weights: finite floating-point numbers."""
    if not isinstance(tensor, Tensor):
        raise InputTypeError(f"{name}: expected a torch.Tensor, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise InputTypeError(f"{name}: expected floating-point numbers, got {tensor.dtype}")
    unseen = capturing(tensor.device) or transformed(tensor)
    different = tensor[:1] if tensor.ndim and is_shared(tensor) else tensor
    if not unseen and not bool(torch.isfinite(different.detach()).all()):
        raise InputError(f"{name}: expected finite values, got NaN or infinity")
