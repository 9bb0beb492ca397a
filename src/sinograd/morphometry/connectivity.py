"""Euler number and connectivity density of a voxelised structure, 26-connected.

A. Odgaard, H. J. Gundersen, "Quantification of connectivity in cancellous bone, with special emphasis on 3-D
reconstructions", Bone 14 (1993).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from sinograd.morphometry.arguments import Spacing, Values, binary, steps

_SLICES = 16


def euler_number(mask: Values, *, region: Values | None = None, corrected: bool = False) -> float:
    """Pieces less tunnels plus cavities of what is inside a mask: vertices - edges + faces - voxels.

    Closed voxels that touch in a corner are connected (26 neighbours), outside ones only across faces.

    Args:
        mask: [Z, Y, X], true or 1 inside: a tensor, an array or a `Volume`.
        region: count inside this mask alone.
        corrected: for a piece of a larger structure: vertices, edges and faces count with the share of the voxels
            about them that the volume (and the region) has: 1/2 on a face of the volume, 1/4 on an edge, 1/8 in a
            corner. So the numbers of pieces that continue each other add up to that of the whole.

    Returns:
        A whole number unless `corrected`.

    Raises:
        InputTypeError, InputError: no masks of one shape and three dimensions.
    """
    inside = binary(mask)
    counted = None if region is None else binary(region, "region", inside.shape)
    total = 0.0
    for first in range(0, inside.shape[0] + 1, _SLICES):
        # Slices first - 1 to end - 1, an empty one on each side: what lies between them and in the last of them.
        end = min(first + _SLICES, inside.shape[0] + 1)
        total += _between(_slab(inside, first, end, inside), _slab(counted, first, end, inside), corrected)
    return total


def connectivity_density(mask: Values, spacing: Spacing, *, region: Values | None = None) -> float:
    """Tunnels per volume, 1/mm^3 (Conn.D): (1 - Euler number, corrected at the edges) / volume of the region.

    Args:
        mask, region: as for `euler_number`; region None: all of the volume.
        spacing: mm per voxel, one number or (z, y, x); None: what the `Volume` says.

    Returns:
        NaN of a region without voxels.

    Raises:
        InputTypeError, InputError: as `euler_number`, and a missing spacing.
    """
    inside = binary(mask)
    voxels = inside.numel() if region is None else int(binary(region, "region", inside.shape).sum())
    size = steps(spacing, mask)
    if voxels == 0:
        return math.nan
    return (1 - euler_number(inside, region=region, corrected=True)) / (voxels * math.prod(size))


def _slab(part: Tensor | None, first: int, end: int, inside: Tensor) -> Tensor:
    """Slices first - 1 to end - 1 of a mask (None: all inside), zeros about it."""
    depth = inside.shape[0]
    slices = range(max(first - 1, 0), min(end, depth))
    padded = torch.zeros(end - first + 1, inside.shape[1] + 2, inside.shape[2] + 2, dtype=torch.int8)
    start = slices.start - (first - 1)
    source = 1 if part is None else part[slices.start : slices.stop].cpu()
    padded[start : start + len(slices), 1:-1, 1:-1] = source
    return padded


def _between(inside: Tensor, counted: Tensor, corrected: bool) -> float:
    """What the cells between the slices of a slab, and in all of them but the first, add to the Euler number."""
    inside = inside * counted
    total = 0.0
    for across in itertools.product((0, 1), repeat=3):
        # Cells between voxels along the axes `across`: 2 of them about a face, 4 about an edge, 8 about a vertex.
        near, about = inside, counted
        for axis, between in enumerate(across):
            near, about = (_pairs(part, axis, bool(between)) for part in (near, about))
        sign = 1 if sum(across) % 2 else -1
        weights = about.double() / 2 ** sum(across) if corrected else 1.0
        total += sign * float(((near > 0) * weights).sum())
    return total


def _pairs(part: Tensor, axis: int, between: bool) -> Tensor:
    """Sums of neighbours along an axis, or each one but the first, which belongs to the slab before."""
    later = part.narrow(axis, 1, part.shape[axis] - 1)
    return later + part.narrow(axis, 0, part.shape[axis] - 1) if between else later
