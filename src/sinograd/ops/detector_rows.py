"""On which detector rows the image of a box falls: what a grid, or a slab of one, reads of the projections."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.ops.kernel_views import is_curved, projection_matrices, voxel_views

# Rows by which an image may be off by rounding.
ROUNDING = 1e-6

Box = Sequence[tuple[float, float]]
"""Ends of a box along z, y and x, mm."""


def rows_of_box(vectors: Tensor, divergent: bool, detector: tuple[int, int], box: Box) -> Tensor:
    """[views, n]: detector rows between the least and the largest of which the image of a box falls.

    NaN where the box reaches level with the source, so that its image can be anywhere.

    Args:
        vectors: [views, 4 or 5, 3], float64.
        divergent: fan or cone beam rather than parallel.
        detector: (rows, columns).
        box: its ends.
    """
    if is_curved(vectors):
        return (_concentric_rows if _concentric(vectors) else _curved_rows)(vectors, detector[0], box)
    # a row is a quotient of two linear functions, whose extremes lie at corners
    matrices = projection_matrices(vectors, divergent, detector)
    corners = _corners(box)
    image = torch.cat([corners, torch.ones(len(corners), 1, dtype=torch.float64)], 1) @ matrices.transpose(1, 2)
    return torch.where(image[..., 2] > 0, image[..., 1] / image[..., 2], torch.nan)


def _corners(box: Box) -> Tensor:
    """[8, 3]: x, y, z."""
    z, y, x = box
    return torch.tensor([*itertools.product(x, y, z)], dtype=torch.float64)


def _concentric(vectors: Tensor) -> bool:
    """Whether cylinders stand along z, and the source on their axis, in every view."""
    source, centre, _, v, axis = vectors.unbind(1)
    radius = (centre - axis).norm(dim=1)
    away = (axis - source)[:, :2].norm(dim=1)
    return bool((away <= 1e-6 * radius).all() and (v[:, :2].norm(dim=1) <= 1e-6 * v[:, 2].abs()).all())


def _concentric_rows(vectors: Tensor, rows: int, box: Box) -> Tensor:
    """The row depends on height and horizontal distance to the source: extremes at its nearest and farthest point."""
    source, centre, v = (vectors[:, i] for i in (0, 1, 3))
    z, y, x = box
    nearest = torch.stack([source[:, 0].clamp(*x), source[:, 1].clamp(*y)], 1)
    farthest = torch.stack(
        [torch.where(source[:, axis] > sum(ends) / 2, ends[0], ends[1]) for axis, ends in ((0, x), (1, y))], 1
    )
    radius = (centre - source)[:, :2].norm(dim=1)
    image = []
    for point, height in itertools.product((nearest, farthest), z):
        distance = (point - source[:, :2]).norm(dim=1)
        share = torch.where(distance > 0, radius / distance, torch.nan)
        at_detector = source[:, 2] + (height - source[:, 2]) * share
        image.append((at_detector - centre[:, 2]) / v[:, 2] + (rows - 1) / 2)
    return torch.stack(image, 1)


def _curved_rows(vectors: Tensor, rows: int, box: Box) -> Tensor:
    """Bounds for a cylinder in any position.

    A row depends on a point's height above the source and on how far along the ray to the detector it lies, both as
    the cylinder stands. That share is at least that of the box's nearest point on the longest way from the source to
    the cylinder, at most that of its farthest point on the shortest way.
    """
    views = voxel_views(vectors, True, (rows, 1), general=True)
    frame = views[:, 3:12].reshape(-1, 3, 3)
    offsets = (_corners(box)[None] - vectors[:, None, 0]) @ frame.mT  # [views, corners, 3]: two across the axis
    across, heights = offsets[..., :2], offsets[..., 2]
    middle = across.mean(1, keepdim=True)
    nearest = (across * middle).sum(2).amin(1) / middle[:, 0].norm(dim=1)
    farthest = across.norm(dim=2).amax(1)
    apart = views[:, 12:14].norm(dim=1)
    image = []
    for share, height in itertools.product(
        (nearest / (1 + apart), farthest / (1 - apart)), (heights.amin(1), heights.amax(1))
    ):
        image.append(torch.where((share > 0) & share.isfinite(), views[:, 14] + height / share, torch.nan))
    return torch.stack(image, 1)
