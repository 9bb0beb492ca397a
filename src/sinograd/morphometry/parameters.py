"""Parameters of a whole volume or a region: BMD, BV/TV and TMD with a hard threshold.

Paper 001 (arXiv 2011.02382), equations 1 to 3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.morphometry.arguments import Values, binary, densities, level


def bmd(values: Values, *, mask: Values | None = None) -> Tensor:
    """Bone mineral density, the mean of the values (equation 1).

    Args:
        values: [..., Z, Y, X] in mg/cm3: a tensor, an array or a `Volume`.
        mask: the region [Z, Y, X], true or 1 inside; None: all of the volume.

    Returns:
        [...], float64, in mg/cm3; NaN of a region without voxels.

    Raises:
        UnitError: a `Volume` that is not in mg/cm3.
        InputTypeError, InputError: no floating-point numbers, NaN among them, fewer dimensions, a mask
            of another shape or with other values.
    """
    return _region(densities(values), mask).mean(-1)


def bvtv(values: Values, threshold: float, *, mask: Values | None = None) -> Tensor:
    """Bone volume over total volume: the share of voxels of at least the threshold (equation 2).

    Args:
        values, mask: as for `bmd`.
        threshold: mg/cm3; a voxel at the threshold is bone.

    Returns:
        [...], float64, from 0 to 1; NaN of a region without voxels.

    Raises:
        UnitError, InputTypeError, InputError: as `bmd`; all values lie on one side of the threshold.
    """
    tensor = densities(values)
    return (_region(tensor, mask) >= level(threshold, tensor)).double().mean(-1)


def tmd(values: Values, threshold: float, *, mask: Values | None = None) -> Tensor:
    """Tissue mineral density: the mean of the values that are bone (equation 3).

    Args:
        values, threshold, mask: as for `bvtv`.

    Returns:
        [...], float64, in mg/cm3; NaN where there is no bone.

    Raises:
        UnitError, InputTypeError, InputError: as `bvtv`.
    """
    tensor = densities(values)
    region = _region(tensor, mask)
    bone = region >= level(threshold, tensor)
    return torch.where(bone, region, 0.0).sum(-1) / torch.where(bone.any(-1), bone.sum(-1).double(), math.nan)


def _region(values: Tensor, mask: Values | None) -> Tensor:
    """[..., voxels of the region], float64."""
    if mask is None:
        return values.double().flatten(-3)
    return values[..., binary(mask, shape=values.shape[-3:]).to(values.device)].double()
