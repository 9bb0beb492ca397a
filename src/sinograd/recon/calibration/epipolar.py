"""Epipolar consistency of cone-beam views: what two of them say of the planes through both sources.

The derivative of an object's plane integrals along the plane's normal follows from one view whose source lies in the
plane (P. Grangeat, "Mathematical framework of cone beam 3D reconstruction via the first derivative of the Radon
transform", 1991): with t the distance of the plane's line on the detector from the foot of the source, D that of the
source, and x the distance of a pixel from the foot,

    R' = (D^2 + t^2) / D^2  d/dt  integral over the line of  D / (D^2 + x^2)^(1/2)  p.

Two views share all planes about the line through their sources, and must say the same of each (A. Aichert et al.,
"Epipolar consistency in transmission imaging", IEEE Transactions on Medical Imaging 34(11), 2015). The object has to
lie within every view.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.geometry import vectors as surface
from sinograd.recon.calibration.bilinear import bilinear

PAIRS, PLANES = 60, 16
# Degrees between two views: others have nearly one source, or a line through all. No multiples of usual steps, as
# rounding would decide which pairs are taken.
LEAST_TURN, MOST_TURN = 14.7, 164.7
_REACH = 0.85  # of the object's height that planes pass through
_MOST_TILT = 0.6  # rad, of planes against the axis: their lines run along rows rather than columns
_BLOCK = 1 << 19  # points that are read together


def epipolar_mismatch(projections: Tensor, geometry: Geometry) -> Tensor:
    """Squared differences of what pairs of views say of their planes, over the squares of it.

    Args:
        projections: [views, rows, columns], line integrals; differentiable.
        geometry: a cone beam with a flat detector, which may require gradients.

    Raises InputError where no two views are 15 to 164 degrees apart.
    """
    vectors = surface.of_geometry(geometry)
    pairs = _pairs(vectors.detach())
    normals = _normals(vectors, pairs, geometry)
    weighted = _weighted(projections.double(), vectors, geometry)
    sides = [_derivatives(weighted, vectors, pairs[:, i], normals, geometry) for i in (0, 1)]
    return (sides[0] - sides[1]).square().sum() / (sides[0].square() + sides[1].square()).sum()


def _pairs(vectors: Tensor) -> Tensor:
    """About PAIRS pairs of views [pairs, 2], spread over all."""
    angles = torch.atan2(vectors[:, surface.SOURCE, 1], vectors[:, surface.SOURCE, 0])
    views = len(vectors)
    some = torch.arange(0, views, max(1, views // 48))
    first, second = torch.meshgrid(some, some, indexing="ij")
    turn = torch.rad2deg((angles[second] - angles[first] + torch.pi) % (2 * torch.pi) - torch.pi).abs()
    fits = ((first < second) & (turn > LEAST_TURN) & (turn < MOST_TURN)).nonzero()
    if not len(fits):
        raise InputError("criterion redundancy: no two views are 15 to 164 degrees apart")
    chosen = fits[torch.linspace(0, len(fits) - 1, min(PAIRS, len(fits))).round().long()]
    return some[chosen]


def _normals(vectors: Tensor, pairs: Tensor, geometry: Geometry) -> Tensor:
    """Unit normals [pairs, PLANES, 3] of planes through both sources of each pair, about the object's middle."""
    first, second = (vectors[pairs[:, i], surface.SOURCE] for i in (0, 1))
    along = second - first
    along = along / along.norm(dim=-1, keepdim=True)
    height, half = _heights(vectors, geometry)
    middle = torch.stack([torch.zeros_like(height), torch.zeros_like(height), height])
    to_middle = middle - first
    foot = to_middle - (to_middle * along).sum(-1, keepdim=True) * along
    distance = foot.norm(dim=-1, keepdim=True)
    base = torch.linalg.cross(along, foot / distance)
    base = base * torch.where(base[:, 2:] < 0, -1.0, 1.0)
    other = torch.linalg.cross(base, along)
    turn = torch.atan(_REACH * half / distance).clamp(max=_MOST_TILT)
    angles = turn * torch.linspace(-1, 1, PLANES, dtype=vectors.dtype)
    return angles.cos()[..., None] * base[:, None] + angles.sin()[..., None] * other[:, None]


def _heights(vectors: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """The middle of what the detectors see at the axis, and half its height; smooth in the vectors."""
    source, center = vectors[:, surface.SOURCE], vectors[:, surface.CENTER]
    share = source[:, :2].norm(dim=-1) / _distance(vectors)
    half = geometry.rows * geometry.detector.row_spacing / 2 * share
    return (source[:, 2] + share * (center[:, 2] - source[:, 2])).mean(), half.mean()


def _weighted(images: Tensor, vectors: Tensor, geometry: Geometry) -> Tensor:
    """Projections times D / (D^2 + x^2)^(1/2)."""
    rows, columns = surface.index_offsets(geometry.rows), surface.index_offsets(geometry.columns)
    points = surface.detector_points(vectors, rows, columns)
    ray = points - vectors[:, None, None, surface.SOURCE]
    return images * _distance(vectors)[:, None, None] / ray.norm(dim=-1)


def _distance(vectors: Tensor) -> Tensor:
    """Of each source from the plane of its detector, [views]."""
    return ((vectors[:, surface.CENTER] - vectors[:, surface.SOURCE]) * _normal(vectors)).sum(-1).abs()


def _normal(vectors: Tensor) -> Tensor:
    normal = torch.linalg.cross(vectors[:, surface.U], vectors[:, surface.V])
    return normal / normal.norm(dim=-1, keepdim=True)


def _derivatives(weighted: Tensor, vectors: Tensor, views: Tensor, normals: Tensor, geometry: Geometry) -> Tensor:
    """R' of planes [pairs, PLANES] as the views [pairs] say it."""
    chosen = vectors[views]
    u, v = chosen[:, surface.U], chosen[:, surface.V]
    right, up = u / u.norm(dim=-1, keepdim=True), v / v.norm(dim=-1, keepdim=True)
    to_center = chosen[:, surface.CENTER] - chosen[:, surface.SOURCE]
    a, b, c = ((normals * part[:, None]).sum(-1) for part in (right, up, to_center))
    size = (a.square() + b.square()).sqrt()
    a, b, offset = a / size, b / size, -c / size  # of the line a x + b y = offset, in mm from the detector's centre
    foot_x, foot_y = -(to_center * right).sum(-1, keepdim=True), -(to_center * up).sum(-1, keepdim=True)
    t = offset - a * foot_x - b * foot_y
    distance = _distance(chosen)[:, None]
    detector = geometry.detector
    step = min(detector.row_spacing, detector.column_spacing)
    sums = [_line_sums(weighted, views, (a, b, offset + side * step), geometry) for side in (1, -1)]
    return (1 + (t / distance).square()) * (sums[0] - sums[1]) / (2 * step)


def _line_sums(weighted: Tensor, views: Tensor, line: tuple[Tensor, Tensor, Tensor], geometry: Geometry) -> Tensor:
    """Integrals [pairs, planes] along lines on the detectors of the views [pairs]."""
    a, b, offset = line
    detector = geometry.detector
    step = detector.column_spacing
    count = geometry.columns + 2
    places = (torch.arange(count, dtype=a.dtype) - (count - 1) / 2) * step
    # lines are nearly rows: along them the places are the columns', so that sums are those of columns
    x = places.expand(*a.shape, count)
    y = (offset[..., None] - a[..., None] * x) / b[..., None]
    length = step / b.abs()
    parts = []
    for part in torch.arange(len(a)).split(max(1, _BLOCK // (a.shape[1] * count))):
        column = x[part] / detector.column_spacing + (geometry.columns - 1) / 2
        row = y[part] / detector.row_spacing + (geometry.rows - 1) / 2
        parts.append(bilinear(weighted, views[part][:, None, None], row, column).sum(-1))
    return torch.cat(parts) * length
