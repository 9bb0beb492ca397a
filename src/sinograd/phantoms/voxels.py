"""Ellipsoids on a voxel grid."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Grid

_VOXELS_PER_SLAB = 2**20


def voxelize_ellipsoids(
    value: Tensor,
    semi_axes: Tensor,
    center: Tensor,
    rotation: Tensor,
    grid: Grid,
    supersampling: int,
    dtype: torch.dtype,
) -> Tensor:
    """Values [Z, Y, X] of the sum of ellipsoids (see `Ellipsoids`); Z = 1 for a two-dimensional grid."""
    if supersampling < 1:
        raise InputError(f"supersampling must be at least 1, got {supersampling}")
    sub = (torch.arange(supersampling, dtype=torch.float64, device="cpu") + 0.5) / supersampling - 0.5
    positions, spacing = list(grid.axes()), list(grid.spacing)
    offsets = [sub * s for s in spacing]
    if grid.ndim == 2:
        flat = torch.zeros(1, dtype=torch.float64, device="cpu")
        positions, spacing, offsets = [flat, *positions], [1.0, *spacing], [flat, *offsets]
    z, y, x = positions

    half = torch.linalg.vector_norm(rotation * semi_axes[:, None, :], dim=-1).flip(-1)
    middle = center.flip(-1)
    origin, pitch = (
        torch.stack([p[0] for p in positions]),
        torch.tensor(spacing, dtype=torch.float64, device="cpu"),
    )
    counts = torch.tensor([len(p) for p in positions], device="cpu")
    lower = ((middle - half - origin) / pitch - 0.5).floor().clamp(min=0).minimum(counts).long()
    upper = ((middle + half - origin) / pitch + 0.5).ceil().add(1).clamp(min=0).minimum(counts).long()
    to_ball = rotation.mT / semi_axes[:, :, None]
    quadratic = to_ball.mT @ to_ball

    result = torch.empty(len(z), len(y), len(x), dtype=dtype, device="cpu")
    thickness = max(1, _VOXELS_PER_SLAB // (len(y) * len(x)))
    for start in range(0, len(z), thickness):
        stop = min(start + thickness, len(z))
        slab = torch.zeros(stop - start, len(y), len(x), dtype=torch.float64, device="cpu")
        met = (lower[:, 0] < stop) & (upper[:, 0] > start) & (upper > lower).all(dim=1)
        for i in met.nonzero()[:, 0].tolist():
            (z0, y0, x0), (z1, y1, x1) = lower[i].tolist(), upper[i].tolist()
            z0, z1 = max(z0, start), min(z1, stop)
            local = z[z0:z1] - middle[i, 0], y[y0:y1] - middle[i, 1], x[x0:x1] - middle[i, 2]
            fraction = _fraction_inside(quadratic[i], local, offsets)
            slab[z0 - start : z1 - start, y0:y1, x0:x1].add_(fraction, alpha=value[i].item())
        result[start:stop] = slab
    return result


def _fraction_inside(quadratic: Tensor, local: tuple[Tensor, Tensor, Tensor], offsets: list[Tensor]) -> Tensor:
    """The share of each voxel's sample points p with p^T quadratic p <= 1, [z, y, x].

    local: z, y, x of the voxel centres relative to the ellipsoid's; offsets: of the sample points in a
    voxel. Over (x, y) the ellipsoid is the interval |z - middle| <= half, found by completing the square in
    z.
    """
    z, y, x = local
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = quadratic.tolist()
    inside = torch.zeros(len(z), len(y), len(x), dtype=torch.float64, device="cpu")
    for dy, dx in itertools.product(offsets[1].tolist(), offsets[2].tolist()):
        py, px = (y + dy)[:, None], x + dx
        middle = -(xz * px + yz * py) / zz
        rest = xx * px.square() + 2 * xy * px * py + yy * py.square() - zz * middle.square()
        half_squared = (1 - rest) / zz
        for dz in offsets[0].tolist():
            inside += ((z + dz)[:, None, None] - middle).square_() <= half_squared
    return inside / (len(offsets[0]) * len(offsets[1]) * len(offsets[2]))
