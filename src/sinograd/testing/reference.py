"""The operators written to be read: plain torch, any dtype, differentiable, slow.

What the kernels compute is defined here; the tests hold them to it. Interpolation is linear between the centres of
elements and everything outside an array is zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def joseph_reference(
    volume: Tensor,  # [z, y, x]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    detector: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
) -> Tensor:
    """Joseph's method: step along the faster horizontal axis (z beyond 45 degrees), interpolate inside each plane."""
    step = torch.tensor([*reversed(spacing)], dtype=torch.float64)  # x, y, z
    count = torch.tensor([*reversed(volume.shape)])
    first = torch.tensor(center, dtype=torch.float64) - (count - 1) / 2 * step
    pixels = pixel_positions(vectors, detector)
    images = []
    for view, pixel in zip(vectors, pixels, strict=True):
        origin = view[0].expand_as(pixel) if divergent else pixel
        direction = pixel - view[0] if divergent else view[0].expand_as(pixel)
        start, move = (origin - first) / step, direction / step  # in voxels
        major = (move[..., 1].abs() > move[..., 0].abs()).long()
        major[direction[..., 2] ** 2 > (direction[..., :2] ** 2).sum(-1)] = 2
        image = torch.zeros(tuple(detector), dtype=volume.dtype)
        for axis in range(3):
            total = torch.zeros_like(image)
            for plane in range(int(count[axis])):
                t = (plane - start[..., axis]) / move[..., axis]
                at = start + t[..., None] * move
                at[..., axis] = plane
                total = total + interpolate(volume, at.flip(-1))
            length = direction.norm(dim=-1) / move[..., axis].abs()
            image = torch.where(major == axis, total * length, image)
        images.append(image)
    return torch.stack(images)


def backproject_reference(
    projections: Tensor,  # [views, rows, columns]
    vectors: Tensor,  # [views, 4 or 5, 3], float64
    divergent: bool,
    grid_shape: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
    weighting: str = "none",
) -> Tensor:
    """Every voxel reads every view where its centre is projected."""
    axes = [
        (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * step + middle
        for n, step, middle in zip(grid_shape, spacing, reversed(center), strict=True)
    ]
    voxels = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flip(-1)  # [z, y, x, (x, y, z)]
    total = torch.zeros(tuple(grid_shape), dtype=projections.dtype)
    for view, image in zip(vectors, projections, strict=True):
        source, centre, u, v = view[:4]
        ray = voxels - source if divergent else source.expand_as(voxels)
        if len(view) == 5:
            at, weight = _on_cylinder(view, voxels)
        else:
            normal = torch.linalg.cross(u, v)
            start = source if divergent else voxels
            depth = (ray * normal).sum(-1)
            hit = start + ray * (((centre - start) * normal).sum(-1) / depth)[..., None]
            at = torch.linalg.lstsq(torch.stack([v, u], 1), (hit - centre).reshape(-1, 3).T).solution.T.reshape(
                *hit.shape[:-1], 2
            )
            weight = ((-source * normal).sum() / depth) ** 2
        if weighting == "fan":
            weight = (source[:2] ** 2).sum() / (ray[..., :2] ** 2).sum(-1)
        if weighting == "ratio":
            weight = weight.sqrt()
        if weighting == "none" or not divergent:
            weight = torch.ones_like(weight)
        middle = (torch.tensor(image.shape) - 1) / 2
        total = total + weight * interpolate(image, at + middle)
    return total


def pixel_positions(vectors: Tensor, detector: Sequence[int]) -> Tensor:
    """World positions of all detector elements, [views, rows, columns, 3]."""
    rows, columns = detector
    i = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2)[:, None]
    j = (torch.arange(rows, dtype=torch.float64) - (rows - 1) / 2)[:, None, None]
    views = []
    for view in vectors:
        _, centre, u, v = view[:4]
        if len(view) == 5:
            outward = centre - view[4]
            angle = i * u.norm() / outward.norm()
            line = view[4] + angle.cos() * outward + angle.sin() * outward.norm() * u / u.norm()
        else:
            line = centre + i * u
        views.append(line + j * v)
    return torch.stack(views)


def interpolate(array: Tensor, at: Tensor) -> Tensor:
    """The n-dimensional array at positions [..., n] (in elements), linear in each axis, zero outside."""
    below = at.floor()
    total = torch.zeros(at.shape[:-1], dtype=array.dtype)
    for corner in range(2**array.ndim):
        offset = torch.tensor([corner >> axis & 1 for axis in range(array.ndim)])
        index = below.long() + offset
        weight = (1 - (at - index).abs()).prod(-1)
        limit = torch.tensor(array.shape)
        inside = ((index >= 0) & (index < limit)).all(-1)
        index = index.clamp(torch.zeros_like(limit), limit - 1)
        total = total + torch.where(inside, weight * array[tuple(index.unbind(-1))], 0.0)
    return total


def _on_cylinder(view: Tensor, voxels: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column offsets from the middle of a curved detector, and the weight of the plane of the orbit."""
    source, centre, u, v, curvature = view
    outward = centre - curvature
    radius = outward.norm()
    # radii towards the middle and along the columns, and rows, from the curvature centre
    axes = torch.stack([outward, u / u.norm() * radius, v], 1)
    start = torch.linalg.solve(axes, source - curvature)
    ray = torch.linalg.solve(axes, (voxels - source)[..., None])[..., 0]
    a = (ray[..., :2] ** 2).sum(-1)
    b = (ray[..., :2] * start[:2]).sum(-1)
    c = (start[:2] ** 2).sum() - 1
    hit = start + ray * ((-b + (b * b - a * c).sqrt()) / a)[..., None]
    column = torch.atan2(hit[..., 1], hit[..., 0]) * radius / u.norm()
    weight = (source[:2] ** 2).sum() / ((voxels - source)[..., :2] ** 2).sum(-1)
    return torch.stack([hit[..., 2], column], -1), weight
