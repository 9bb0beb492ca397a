"""The logarithm of transmitted fractions, and what is done with readings that have none."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.derivatives import constant, transformed
from sinograd.preparation.defects import fill_starved_

# The smallest transmitted fraction that is believed (a line integral of 11.5).
SMALLEST = 1e-5


def negative_logarithm(transmitted: Tensor, smallest: float = SMALLEST) -> tuple[Tensor, int]:
    """Line integrals -ln(t) of transmitted fractions t [..., rows, columns], and how many readings were repaired.

    Readings that are zero or negative become the mean of their eight neighbours; what then is below `smallest` is
    raised to it. Differentiable: where readings were repaired the gradient is zero.

    Raises:
        ValueError: NaN or infinity (says how many), or a smallest fraction that is not in (0, 1).
    """
    if not 0 < smallest < 1:
        raise InputError(f"smallest: expected a transmitted fraction in (0, 1), got {smallest}")
    if transformed(transmitted):
        constant(transmitted)  # an error in a batch of torch.vmap
    detached = transmitted.detach()
    bad = int((~torch.isfinite(detached)).sum())
    if bad:
        raise InputError(f"transmitted: expected finite fractions, got {bad} of {detached.numel()} NaN or infinite")
    low = detached < smallest
    if not bool(low.any()):
        return -transmitted.log(), 0
    filled = detached.clone()
    flat = filled.reshape(-1, *filled.shape[-2:]) if filled.ndim > 1 else filled[None, None]
    for image in flat:
        fill_starved_(image, smallest)
    return -torch.where(low, flat.reshape(filled.shape), transmitted.masked_fill(low, 1.0)).log(), int(low.sum())
