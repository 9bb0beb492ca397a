"""Exact line integrals of ellipsoids.

The rays of one detector column of one view start at the same source (or run in the same direction) and end
on a straight line of pixels, so the map that turns an ellipsoid into the unit ball turns them into rays
whose squared distance from the ball's centre is a quadratic in the row. Its two roots are the rows between
which the ellipsoid is seen; only those pixels are visited, however small or long the ellipsoid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.geometry.vectors import detector_points, index_offsets

_TRIPLES_PER_BLOCK = 2**19  # (view, column, ellipsoid) tests held at once
_PIXELS_PER_BLOCK = 2**20  # (ellipsoid, pixel) chords held at once


@dataclass(frozen=True)
class _Columns:
    """The rays of v views, a detector column at a time.

    Pixel (view, row, column) is at middle[view, column] + i step[view], i = row - (rows - 1) / 2.
    """

    apex: Tensor  # [v, 3] source position; for parallel rays their unit direction
    middle: Tensor  # [v, columns, 3]
    step: Tensor  # [v, 3]
    normal: Tensor  # [v, 3] unit normal of the detector, away from the source
    divergent: bool

    def planes(self) -> Tensor:
        """Plane of each column's rays: unit normal and signed offset, [v, columns, 4]."""
        apex = self.apex[:, None].expand_as(self.middle)
        normal = torch.linalg.cross(self.middle - apex if self.divergent else apex, self.step[:, None])
        normal = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
        return torch.cat([normal, (normal * self.middle).sum(-1, keepdim=True)], dim=-1)

    def lengths(self, rows: int) -> Tensor:
        """Distance from the source to each pixel, [v, columns, rows]; 1 for parallel rays."""
        if not self.divergent:
            return torch.ones(1, 1, 1, dtype=torch.float64, device="cpu")
        ray = self.middle - self.apex[:, None]
        i = index_offsets(rows)
        along = 2 * (ray * self.step[:, None]).sum(-1)[..., None]
        pitch = self.step.square().sum(-1)[:, None, None]
        return (ray.square().sum(-1)[..., None] + i * (along + i * pitch)).sqrt_()


@dataclass(frozen=True)
class _Spans:
    """What the K pairs of a detector column and an ellipsoid seen in it need: every field is [K].

    With k = row - peak the chord is scale sqrt(half^2 - k^2) / (1 + k (tilt + k bend)), in units of the
    distance from the source to the pixel.
    """

    column: Tensor  # number of the column, counted through all views
    first: Tensor  # first row inside
    count: Tensor  # number of rows inside
    peak: Tensor
    half_squared: Tensor
    scale: Tensor
    tilt: Tensor
    bend: Tensor


def project_ellipsoids(
    value: Tensor,
    semi_axes: Tensor,
    center: Tensor,
    rotation: Tensor,
    geometry: Geometry,
    dtype: torch.dtype,
    views_per_block: int | None,
) -> Tensor:
    """Line integrals [views, rows, columns] of the sum of ellipsoids (see `Ellipsoids`)."""
    rows, columns = geometry.rows, geometry.columns
    result = torch.zeros(geometry.views, rows, columns, dtype=dtype, device="cpu")
    numbers = torch.arange(len(value), device="cpu")
    if geometry.ndim == 2:
        height = torch.linalg.vector_norm(rotation[:, 2] * semi_axes, dim=-1)
        numbers = numbers[center[:, 2].abs() < height]
        value, semi_axes, center, rotation = (part[numbers] for part in (value, semi_axes, center, rotation))
    if views_per_block is None:
        views_per_block = max(1, _TRIPLES_PER_BLOCK // (columns * max(len(value), rows // 4, 1)))
    if views_per_block < 1:
        raise InputError(f"views_per_block must be at least 1, got {views_per_block}")
    if len(value) == 0:
        return result
    to_ball = rotation.mT / semi_axes[:, :, None]
    vectors = geometry.vectors
    for start in range(0, geometry.views, views_per_block):
        rays = _detector_columns(vectors[start : start + views_per_block], columns, geometry.divergent)
        if rays.divergent:
            _check_in_front(rays, semi_axes, center, rotation, numbers, start)
        chords = torch.zeros(len(rays.apex), columns, rows, dtype=torch.float64, device="cpu")
        _add_chords(_find_spans(rays, value, semi_axes, center, to_ball, rows), chords)
        result[start : start + views_per_block] = chords.mul_(rays.lengths(rows)).mT
    return result


def _detector_columns(vectors: Tensor, columns: int, divergent: bool) -> _Columns:
    apex, center, u, step = vectors[:, 0], vectors[:, 1], vectors[:, 2], vectors[:, 3]
    middle = detector_points(vectors, index_offsets(1), index_offsets(columns))[:, 0]
    normal = torch.linalg.cross(u, step)
    along = center - apex if divergent else apex
    normal = normal * torch.where((normal * along).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    normal = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    return _Columns(apex, middle, step, normal, divergent)


def _check_in_front(
    rays: _Columns, semi_axes: Tensor, center: Tensor, rotation: Tensor, numbers: Tensor, start: int
) -> None:
    """Refuses ellipsoids that cross the plane of the source parallel to the detector, or lie behind it."""
    depth = rays.normal @ center.T - (rays.normal * rays.apex).sum(-1, keepdim=True)
    reach = torch.linalg.vector_norm((rays.normal @ rotation) * semi_axes[:, None], dim=-1).T
    behind = (depth <= reach).nonzero()
    if len(behind):
        view, item = behind[0].tolist()
        raise InputError(
            f"ellipsoid {numbers[item]} reaches behind the source in view {start + view}: its centre is "
            f"{depth[view, item]:.4g} mm in front of the source and it extends "
            f"{reach[view, item]:.4g} mm towards it"
        )


def _find_spans(rays: _Columns, value: Tensor, semi_axes: Tensor, center: Tensor, to_ball: Tensor, rows: int) -> _Spans:
    """Where each ellipsoid is seen.

    In the ball's coordinates a ray runs along p and passes its centre at the distance |w| / |p|, w = g x b,
    with g and b two vectors that fix the line. p and w are linear in the row i, so |p|^2 - |w|^2, which is
    positive inside, is a parabola: it is taken about its peak, where nothing cancels.
    """
    to_plane = torch.cat([center, -torch.ones_like(center[:, :1])], dim=1).T
    distance = (rays.planes() @ to_plane).abs_()  # [v, columns, n]
    view, column, item = (distance <= semi_axes.amax(dim=1)).nonzero(as_tuple=True)

    step = torch.einsum("nab,vb->vna", to_ball, rays.step)[view, item]  # [K, 3]
    if rays.divergent:
        to_source = rays.apex[:, None] - center  # [v, n, 3]
        g = torch.einsum("nab,vnb->vna", to_ball, to_source)[view, item]
        b = _times(to_ball[item], rays.middle[view, column] - rays.apex[view])
        p, p_step = b, step
    else:
        g = torch.einsum("nab,vb->vna", to_ball, rays.apex)[view, item]
        b = _times(to_ball[item], rays.middle[view, column] - center[item])
        p, p_step = g, torch.zeros_like(step)
    w, w_step = torch.linalg.cross(g, b), torch.linalg.cross(g, step)

    curvature = w_step.square().sum(-1) - p_step.square().sum(-1)
    peak = ((p * p_step).sum(-1) - (w * w_step).sum(-1)) / curvature
    p, w = p + peak[:, None] * p_step, w + peak[:, None] * w_step
    square = p.square().sum(-1)
    half_squared = (square - w.square().sum(-1)) / curvature

    half = half_squared.clamp(min=0).sqrt()
    peak = peak + (rows - 1) / 2
    first = (peak - half).ceil().clamp(min=0)
    count = (peak + half).floor().clamp(max=rows - 1) - first + 1
    seen = (half_squared > 0) & (count > 0)
    scale = 2 * value[item] * curvature.clamp(min=0).sqrt() / square
    tilt = 2 * (p * p_step).sum(-1) / square
    bend = p_step.square().sum(-1) / square
    column = view * rays.middle.shape[1] + column
    return _Spans(
        column[seen],
        first[seen].long(),
        count[seen].long(),
        peak[seen],
        half_squared[seen],
        scale[seen],
        tilt[seen],
        bend[seen],
    )


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices * vectors[:, None, :]).sum(-1)


def _add_chords(spans: _Spans, chords: Tensor) -> None:
    """Adds every span to chords [v, columns, rows] in place."""
    rows = chords.shape[-1]
    flat = chords.view(-1)
    ends = spans.count.cumsum(0)
    begin = 0
    while begin < len(ends):
        done = int(ends[begin] - spans.count[begin])
        end = max(begin + 1, int(torch.searchsorted(ends, done + _PIXELS_PER_BLOCK, right=True)))
        chosen = slice(begin, end)
        count = spans.count[chosen]
        span = torch.repeat_interleave(count)
        starts = spans.first[chosen] - (ends[chosen] - count - done)
        row = torch.arange(len(span), device="cpu") + starts[span]
        k = row - spans.peak[chosen][span]
        chord = (spans.half_squared[chosen][span] - k.square()).clamp_(min=0).sqrt_()
        chord *= spans.scale[chosen][span]
        chord /= 1 + k * (spans.tilt[chosen][span] + k * spans.bend[chosen][span])
        flat.index_add_(0, row + (spans.column[chosen] * rows)[span], chord)
        begin = end
