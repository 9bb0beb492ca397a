"""Sums of an operator's rows and columns, as the reciprocals that algebraic algorithms use."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.recon.iterative.operators import Operator, check_operator, kept, own


def row_weights(operator: Operator, domain_shape: Sequence[int], like: Tensor) -> Tensor:
    """1 / (A 1), for every ray the reciprocal of its length in the grid; 0 for rays that miss it.

    Computed once for an operator, dtype and device and kept with the operator: not to be changed.

    Args:
        operator: with entries that are not negative.
        domain_shape: of an image, without batch dimensions.
        like: tensor of the dtype and on the device wanted.

    Raises:
        ValueError: no ray meets the grid, or a sum is negative.
    """
    check_operator(operator)
    key = ("row weights", tuple(domain_shape), like.dtype, like.device)
    return kept(operator, key, lambda: _reciprocal(operator, domain_shape, like, "ray meets the grid"))


def column_weights(operator: Operator, range_shape: Sequence[int], like: Tensor) -> Tensor:
    """1 / (A.T 1), for every voxel the reciprocal of all its weights; 0 for voxels that no ray meets.

    Arguments and errors as in `row_weights`; `range_shape` is that of projections.
    """
    check_operator(operator)
    key = ("column weights", tuple(range_shape), like.dtype, like.device)
    return kept(operator, key, lambda: _reciprocal(operator.T, range_shape, like, "voxel is met by a ray"))


@torch.no_grad()
def reciprocal_(sums: Tensor, what: str = "voxel is met by a ray") -> Tensor:
    """1 / sums in place, 0 where they are 0 (to rounding); ValueError if none is above 0 or one is below."""
    largest, smallest = (float(v) for v in (sums.max(), sums.min()))
    if not largest > 0:
        raise InputError(f"operator: expected sums above 0, got at most {largest:g}: no {what}")
    rounding = 1e-6 * largest
    if smallest < -rounding:
        raise InputError(
            f"operator: expected entries from 0 up, got sums down to {smallest:g} (of at most {largest:g})"
        )
    return sums.masked_fill_(sums <= rounding, torch.inf).reciprocal_()


def _reciprocal(function: object, shape: Sequence[int], like: Tensor, what: str) -> Tensor:
    ones = like.new_ones(tuple(shape))
    return reciprocal_(own(function(ones), ones), what)  # type: ignore[operator]
