"""Where the rays of each view run in the plane across the axis, from the true positions of source and pixels.

A ray of direction (-sin theta, cos theta) at the signed distance t = (cos theta, sin theta) . source from the axis;
theta = a - gamma and t = R sin gamma for the ray at the fan angle gamma of a source that is not displaced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.geometry.vectors import CENTER, SOURCE, V, detector_points, index_offsets


@dataclass(frozen=True, eq=False)
class FanRays:
    """Rays of some views at distances t from the axis, [views, distances] unless said otherwise.

    Attributes:
        column: where each meets the detector, in columns, counted from 0.
        theta: direction, rad, unwrapped.
        source: distance from the source to the point nearest to the axis, mm.
        detector: distance from the source to the detector, mm, in the plane.
        height: of the source, mm, [views].
        row: of the detector that is at the height of the source, counted from 0, [views].
    """

    column: Tensor
    theta: Tensor
    source: Tensor
    detector: Tensor
    height: Tensor
    row: Tensor


def column_distances(vectors: Tensor, angles: Tensor, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """theta, t and distance from source to pixel, in the plane, of all columns: [views, columns] each."""
    source = vectors[:, None, SOURCE, :2]
    points = detector_points(vectors, torch.zeros(1, dtype=torch.float64), index_offsets(columns))[:, 0, :, :2]
    ray = points - source
    length = ray.norm(dim=2)
    wrapped = torch.atan2(-ray[..., 0], ray[..., 1])
    turn = angles[:, None]
    theta = turn + torch.remainder(wrapped - turn + math.pi, 2 * math.pi) - math.pi
    t = source[..., 0] * theta.cos() + source[..., 1] * theta.sin()
    return theta, t, length


def fan_rays(vectors: Tensor, angles: Tensor, shape: tuple[int, int], distances: Tensor) -> FanRays:
    """The rays of views at the distances [distances] from the axis, which all of them see.

    Columns between two pixels are found on the straight line between them: off by less than 1e-4 of a column.
    """
    theta, t, length = column_distances(vectors, angles, shape[1])
    ascending = bool(t[0, -1] > t[0, 0])
    nodes = (t if ascending else t.flip(1)).contiguous()
    wanted = distances.expand(len(vectors), -1).contiguous()
    below = (torch.searchsorted(nodes, wanted, right=True) - 1).clamp(0, shape[1] - 2)
    low, high = nodes.gather(1, below), nodes.gather(1, below + 1)
    column = below + ((wanted - low) / (high - low)).clamp(0, 1)
    column = column if ascending else shape[1] - 1 - column
    at = column.floor().clamp(0, shape[1] - 2)
    index, share = at.long(), column - at
    turned = theta.gather(1, index).lerp(theta.gather(1, index + 1), share)
    reach = length.gather(1, index).lerp(length.gather(1, index + 1), share)
    xy = vectors[:, None, SOURCE, :2]
    along = xy[..., 0] * turned.sin() - xy[..., 1] * turned.cos()
    height = vectors[:, SOURCE, 2]
    row = (shape[0] - 1) / 2 + (height - vectors[:, CENTER, 2]) / vectors[:, V, 2]
    return FanRays(column, turned, along, reach, height, row)
