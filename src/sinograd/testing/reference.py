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


def footprint_reference(
    volume: Tensor,  # [z, y, x]
    vectors: Tensor,  # [views, 4 or 5, 3], float64; v parallel to z
    divergent: bool,
    detector: Sequence[int],
    spacing: Sequence[float],
    center: Sequence[float],
    flat: bool = False,  # a slice: whose pixels are not divided
) -> Tensor:
    """Separable footprints (Long, Fessler, Balter 2010): on planes, trapezoids along columns times boxes along rows."""
    rows, columns = detector
    step = torch.tensor([*reversed(spacing)], dtype=torch.float64)  # x, y, z
    count = torch.tensor([*reversed(volume.shape)])
    first = torch.tensor(center, dtype=torch.float64) - (count - 1) / 2 * step
    row = (torch.arange(rows, dtype=torch.float64) - (rows - 1) / 2)[:, None]
    fine = 24  # places across a pixel; wide pixels are divided into up to four parts
    images = []
    for view, pixel in zip(vectors, pixel_positions(vectors, (1, columns * fine + 1), 1 / fine)[:, 0], strict=True):
        origin = view[0].expand_as(pixel) if divergent else pixel
        move = (pixel - view[0] if divergent else view[0].expand_as(pixel)) / step
        start = (origin - first) / step
        image = torch.zeros(rows, columns, dtype=volume.dtype)
        for column in range(columns):
            middle, low, high = column * fine + fine // 2, column * fine, (column + 1) * fine
            axis = int(move[middle, 1].abs() > move[middle, 0].abs())
            minor = 1 - axis
            t = (torch.arange(int(count[axis]))[:, None] - start[:, axis]) / move[:, axis]  # [planes, places]
            at = start[:, minor] + t * move[:, minor]
            width = (at[int(count[axis]) // 2, high] - at[int(count[axis]) // 2, low]).abs()
            parts = 1 if flat else min(4, max(1, int((width / 1.47).ceil())))
            for part in range(parts):
                a, b = low + part * fine // parts, low + (part + 1) * fine // parts
                c = (a + b) // 2
                slope = (move[c, minor] / move[c, axis]).abs().expand(len(t))
                across = trapezoid_shares(
                    (at[:, a] + at[:, b]) / 2, (at[:, b] - at[:, a]).abs(), slope, int(count[minor])
                )
                pitch = (t[:, c] if divergent else torch.ones_like(t[:, c])) * view[3, 2] / step[2]
                height = start[c, 2] + t[:, c] * move[c, 2] + row * pitch
                along = box_shares(height, pitch.abs(), int(count[2]))
                planes = volume.movedim(2 - axis, 0)  # [plane, z, minor]
                image[:, column] += torch.einsum("rpz,pzm,pm->r", along.to(volume), planes, across.to(volume)) / parts
            direction = (move[middle] * step).expand(rows, 3) + (row * view[3] if divergent else 0)
            image[:, column] *= direction.norm(dim=-1) / move[middle, axis].abs()
        images.append(image)
    return torch.stack(images)


def trapezoid_shares(middle: Tensor, width: Tensor, slope: Tensor, count: int) -> Tensor:
    """[n, count]: shares of the elements [j - 1/2, j + 1/2] in the convolution of boxes of two widths, [n] each."""
    broad, narrow = torch.maximum(width, slope), torch.minimum(width, slope).clamp(min=1e-8)
    boundaries = torch.arange(count + 1, dtype=torch.float64) - 0.5
    x = boundaries - middle[:, None]
    outer, inner = (broad + narrow)[:, None] / 2, (broad - narrow)[:, None] / 2
    tail = (outer - x.abs()).clamp(min=0) ** 2 / (2 * broad * narrow)[:, None]
    from_middle = torch.where(x.abs() <= inner, x.abs() / broad[:, None], 0.5 - tail)
    return (x.sign() * from_middle).diff(dim=1)


def box_shares(middle: Tensor, width: Tensor, count: int) -> Tensor:
    """[..., count]: shares of the elements [j - 1/2, j + 1/2] in boxes."""
    j = torch.arange(count, dtype=torch.float64)
    low, high = (middle - width / 2)[..., None], (middle + width / 2)[..., None]
    return (torch.minimum(high, j + 0.5) - torch.maximum(low, j - 0.5)).clamp(min=0) / width[:, None]


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


def pixel_positions(vectors: Tensor, detector: Sequence[int], pitch: float = 1.0) -> Tensor:
    """World positions of all detector elements, [views, rows, columns, 3]; columns are `pitch` elements apart."""
    rows, columns = detector
    i = pitch * (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2)[:, None]
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
