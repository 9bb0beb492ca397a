"""Points on a detector and what can be measured from them, all from the per-view vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.geometry.detectors import Detector

if TYPE_CHECKING:
    from sinograd.geometry.base import Geometry

SOURCE, CENTER, U, V, CURVATURE = range(5)
"""Rows of the vectors of a view; SOURCE is the direction of a parallel beam, CURVATURE exists if curved."""


def of_geometry(geometry: Geometry) -> Tensor:
    """The vectors of a geometry, as autograd follows them where something requires gradients."""
    followed = geometry.followed_vectors
    return geometry.vectors if followed is None else followed


def index_offsets(count: int) -> Tensor:
    """Index distances of the elements from the middle: float64 [count]."""
    return torch.arange(count, dtype=torch.float64, device="cpu") - (count - 1) / 2


def detector_points(vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """World positions of detector points.

    Args:
        vectors: [views, 4 or 5, 3].
        rows, columns: index distances from the detector's middle, [rows] or [views, rows], likewise columns.

    Returns:
        [views, rows, columns, 3].
    """
    views = len(vectors)
    r = rows.expand(views, rows.shape[-1])[:, :, None, None]
    c = columns.expand(views, columns.shape[-1])[:, None, :, None]
    center, u, v = (vectors[:, None, None, i] for i in (CENTER, U, V))
    if vectors.shape[1] == 4:
        return center + r * v + c * u
    axis = vectors[:, None, None, CURVATURE]
    radius = (center - axis).norm(dim=-1, keepdim=True)
    step = u.norm(dim=-1, keepdim=True)
    angle = c * step / radius
    return axis + angle.cos() * (center - axis) + angle.sin() * radius * (u / step) + r * v


def slid(vectors: Tensor, rows: float | Tensor, columns: float | Tensor) -> Tensor:
    """The vectors after the detector's middle has moved by so many rows and columns (numbers or [views, 1])."""
    moved = vectors.clone()
    center, u, v = vectors[:, CENTER], vectors[:, U], vectors[:, V]
    if vectors.shape[1] == 4:
        moved[:, CENTER] = center + columns * u + rows * v
        return moved
    axis = vectors[:, CURVATURE]
    outward = center - axis
    radius, step = outward.norm(dim=-1, keepdim=True), u.norm(dim=-1, keepdim=True)
    angle, tangent = torch.as_tensor(columns) * step / radius, u / step
    moved[:, CURVATURE] = axis + rows * v
    moved[:, CENTER] = moved[:, CURVATURE] + angle.cos() * outward + angle.sin() * radius * tangent
    moved[:, U] = step * (angle.cos() * tangent - angle.sin() * outward / radius)
    return moved


def central_hit(vectors: Tensor, divergent: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Where the ray through the rotation axis (at the height of the source) meets the detector.

    Returns:
        (t, row, column), each [views]: distance along the ray in units of source to axis, which is the
        magnification (for a parallel beam mm from the axis), and index distances from the detector's middle.
        Not finite where the ray misses the detector's surface.
    """
    start, ray = torch.zeros_like(vectors[:, CENTER]), vectors[:, SOURCE]
    if divergent:
        start = vectors[:, SOURCE]
        ray = -start * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64, device="cpu")
    return ray_hit(vectors, start, ray)


def images(vectors: Tensor, points: Tensor, divergent: bool) -> Tensor:
    """Where the images of world points [points, 3] lie on the detector: (row, column) from its middle,
    [views, points, 2]; not finite where there is none."""
    views, count = len(vectors), len(points)
    every = vectors[:, None].expand(views, count, *vectors.shape[1:]).flatten(0, 1)
    point, first = points.expand(views, count, 3).flatten(0, 1), every[:, SOURCE]
    _, row, column = ray_hit(every, first, point - first) if divergent else ray_hit(every, point, first)
    return torch.stack([row, column], -1).reshape(views, count, 2)


def ray_hit(vectors: Tensor, start: Tensor, ray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(t, row, column), each [n], where start + t ray meets the detector of each of n views."""
    center, u, v = vectors[:, CENTER], vectors[:, U], vectors[:, V]
    if vectors.shape[1] == 4:
        normal = torch.linalg.cross(u, v)
        t = _dot(center - start, normal) / _dot(ray, normal)
        on_plane = start + t[:, None] * ray - center
        # u and v need not be at right angles: solve with the reciprocal vectors
        column = _dot(on_plane, torch.linalg.cross(v, normal)) / _dot(u, torch.linalg.cross(v, normal))
        row = _dot(on_plane, torch.linalg.cross(normal, u)) / _dot(v, torch.linalg.cross(normal, u))
        return t, row, column
    axis = vectors[:, CURVATURE]
    radius = (center - axis).norm(dim=-1)
    v_unit = v / v.norm(dim=-1, keepdim=True)
    p = _across(start - axis, v_unit)
    d = _across(ray, v_unit)
    half, square = _dot(p, d), _dot(d, d)
    t = (-half + (half**2 - square * (_dot(p, p) - radius**2)).sqrt()) / square
    hit = p + t[:, None] * d
    step = u.norm(dim=-1)
    angle = torch.atan2(_dot(hit, u) / step, _dot(hit, center - axis) / radius)
    row = _dot(start + t[:, None] * ray - axis, v_unit) / v.norm(dim=-1)
    return t, row, angle * radius / step


def beam_angle(vectors: Tensor, detector: Detector, along: int) -> float:
    """Largest angle (rad) over the views between the rays to the two outer edges, at the middle line.

    along: U for the fan angle, V for the cone angle.
    """
    edges = _ends(vectors, (detector.rows, detector.columns), along) - vectors[:, None, SOURCE]
    first, last = edges[:, 0], edges[:, 1]
    angle = torch.atan2(torch.linalg.cross(first, last).norm(dim=-1), _dot(first, last))
    return angle.max().item()


def horizontal_ends(vectors: Tensor, shape: tuple[int, int]) -> Tensor:
    """Ends [views, 2, 3] of the middle row of a detector of (rows, columns), half a column beyond the last centres.

    Those of the middle column where the detector is turned on its side.
    """
    return torch.where(_upright(vectors)[:, None, None], _ends(vectors, shape, U), _ends(vectors, shape, V))


def seen_radius(vectors: Tensor, detector: Detector, divergent: bool) -> float:
    """Radius (mm) of the largest circle about the rotation axis that the scan covers; see `field_of_view`."""
    points = horizontal_ends(vectors, (detector.rows, detector.columns))
    rays = points - vectors[:, None, SOURCE] if divergent else vectors[:, None, SOURCE].expand_as(points)
    # signed distance from the axis to each edge ray, in the x-y plane
    distance = (rays[..., 1] * points[..., 0] - rays[..., 0] * points[..., 1]) / rays[..., :2].norm(dim=-1)
    nearest, farthest = distance.amin(dim=1), distance.amax(dim=1)
    rounding = 1e-9 * (farthest - nearest)  # an edge on the axis counts as seen
    axis_is_seen = (nearest <= rounding) & (farthest >= -rounding)
    return torch.where(axis_is_seen, distance.abs().amax(dim=1), 0.0).min().item()


def seen_heights(vectors: Tensor, detector: Detector, divergent: bool) -> tuple[float, float]:
    """Lowest and highest z (mm) of the rotation axis that any view sees."""
    upright = _upright(vectors)
    _, row, column = central_hit(vectors, divergent)
    half_rows, half_columns = detector.rows / 2, detector.columns / 2
    row = row.clamp(-half_rows, half_rows)[:, None]
    column = column.clamp(-half_columns, half_columns)[:, None]
    along_v = detector_points(vectors, _pair(half_rows), column)[:, :, 0]
    along_u = detector_points(vectors, row, _pair(half_columns))[:, 0]
    points = torch.where(upright[:, None, None], along_v, along_u)
    rays = points - vectors[:, None, SOURCE] if divergent else vectors[:, None, SOURCE].expand_as(points)
    t = -(points[..., :2] * rays[..., :2]).sum(-1) / rays[..., :2].square().sum(-1)
    z = points[..., 2] + t * rays[..., 2]
    return z.min().item(), z.max().item()


def reach(vectors: Tensor, detector: Detector) -> float:
    """Largest horizontal angle (rad) of any ray from the line source - rotation axis, to the outer edges."""
    half_rows = detector.rows / 2 if detector.ndim == 2 else 0.0
    corners = detector_points(vectors, _pair(half_rows), _pair(detector.columns / 2)).flatten(1, 2)
    rays = (corners - vectors[:, None, SOURCE])[..., :2]
    axis = -vectors[:, None, SOURCE, :2]
    cross = axis[..., 0] * rays[..., 1] - axis[..., 1] * rays[..., 0]
    return torch.atan2(cross, (axis * rays).sum(-1)).abs().max().item()


def _ends(vectors: Tensor, shape: tuple[int, int], along: int) -> Tensor:
    """Both ends [views, 2, 3] of the detector's middle row (along U) or middle column (along V)."""
    middle = torch.zeros(1, dtype=torch.float64, device="cpu")
    if along == U:
        return detector_points(vectors, middle, _pair(shape[1] / 2))[:, 0]
    return detector_points(vectors, _pair(shape[0] / 2), middle)[:, :, 0]


def _upright(vectors: Tensor) -> Tensor:
    """Whether the rows are nearer to horizontal than the columns: bool [views]."""
    rise = [vectors[:, i, 2].abs() / vectors[:, i].norm(dim=-1) for i in (U, V)]
    return rise[0] <= rise[1]


def _pair(half: float) -> Tensor:
    return torch.tensor([-half, half], dtype=torch.float64, device="cpu")


def _across(a: Tensor, unit: Tensor) -> Tensor:
    return a - _dot(a, unit)[:, None] * unit


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)
