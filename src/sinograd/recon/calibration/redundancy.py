"""Criteria of the projections alone: rays that were measured twice, and planes that two cone-beam views share."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.geometry import vectors as surface
from sinograd.ops.kernel_views import is_curved
from sinograd.recon.calibration.bilinear import bilinear
from sinograd.recon.calibration.differentiated import Differentiated
from sinograd.recon.calibration.epipolar import epipolar_mismatch
from sinograd.recon.calibration.level import Level

_ROUNDING = 1e-6  # columns
# What interpolation displaces images of cone beams by, in pixels: measured with five bodies on 48 columns (root mean
# square of the roll's 0.04, at most 0.08).
_CONE_ERROR = 0.04
_SMOOTH = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # so that noise is interpolated alike at all places between columns


class Redundancy(Differentiated):
    """Parallel and fan beams: squared differences of rays that were measured from both sides. Cone beams: epipolar
    consistency (see `epipolar`), which takes flat detectors and objects that every view sees whole."""

    def __init__(self, level: Level) -> None:
        super().__init__(level)
        if level.start.divergent and level.start.ndim == 3:
            if is_curved(level.start.vectors):
                raise InputError("criterion redundancy: the epipolar planes of cone beams need a flat detector")
            self.model_error = _CONE_ERROR

    def value(self, projections: Tensor, theta: Tensor) -> Tensor:
        """Squared mismatch over the squares of what is compared."""
        geometry = self.level.geometry(theta)
        if geometry.divergent and geometry.ndim == 3:
            return epipolar_mismatch(projections, geometry)
        return opposite_mismatch(projections, geometry)


def opposite_mismatch(projections: Tensor, geometry: Geometry) -> Tensor:
    """Squared differences of rays and their opposites, over the squares of the rays; differentiable in both.

    Args:
        projections: of a parallel or fan beam, [views, (rows,) columns].

    Raises InputError where no ray was measured from both sides.
    """
    vectors = surface.of_geometry(geometry)
    images = projections if projections.ndim == 3 else projections[:, None]
    images = _smoothed(images.double())
    views, rows, columns = images.shape
    offsets = (surface.index_offsets(rows), surface.index_offsets(columns))
    pixels = surface.detector_points(vectors, *offsets).reshape(views, rows * columns, 3)
    first, second, share = _partners(vectors, pixels, geometry.divergent)
    found = torch.zeros_like(pixels[..., 0])
    seen = torch.ones(found.shape, dtype=torch.bool)
    for partner, weight in ((first, 1 - share), (second, share)):
        value, inside = _read_at(images, vectors, partner, _middle(vectors, pixels, geometry.divergent), geometry)
        found = found + weight * value
        seen &= inside
    seen &= first >= 0
    if not bool(seen.any()):
        raise InputError("criterion redundancy: no ray of the scan was measured from both sides")
    kept = images.reshape(views, -1)
    return ((found - kept).square() * seen).sum() / (kept.square() * seen).sum()


def _smoothed(images: Tensor) -> Tensor:
    """Along the columns."""
    kernel = images.new_tensor(_SMOOTH)[None, None]
    flat = torch.nn.functional.pad(images.reshape(-1, 1, images.shape[-1]), (2, 2), mode="replicate")
    return torch.nn.functional.conv1d(flat, kernel).reshape(images.shape)


def _middle(vectors: Tensor, pixels: Tensor, divergent: bool) -> Tensor:
    """A point [views, n, 3] of each ray: of a fan beam the one that is nearest to the axis, else the pixel."""
    if not divergent:
        return pixels
    source = vectors[:, None, surface.SOURCE]
    ray = pixels - source
    return source - (source * ray).sum(-1, keepdim=True) / ray.square().sum(-1, keepdim=True) * ray


def _partners(vectors: Tensor, pixels: Tensor, divergent: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Two views [views, n] that look along each ray from the other side, -1 where there are none, and the share of the
    second one, which follows the vectors."""
    first, views = vectors[:, surface.SOURCE], len(vectors)
    following = torch.arange(1, views + 1) % views
    if divergent:
        ray = pixels - first[:, None]
        beyond = first[None, None] - first[:, None, None]  # [views, 1, views, 3]
        across = ray[..., None, 0] * beyond[..., 1] - ray[..., None, 1] * beyond[..., 0]
        length = ray.norm(dim=-1, keepdim=True)
        ahead = (ray[:, :, None] * beyond).sum(-1) > 0.5 * length * first.norm(dim=-1)
    else:
        across = (first[:, None, 0] * first[None, :, 1] - first[:, None, 1] * first[None, :, 0])[:, None]
        ahead = (first @ first.T < 0)[:, None]
    ahead = ahead.detach() & _close(first.detach(), following)
    after = across[..., following]
    crosses = (across.detach() * after.detach() <= 0) & ahead & ahead[..., following]
    near = crosses & ((after - across).detach().abs() > 0)
    chosen = near.to(torch.int8).argmax(-1)
    here = across.gather(-1, chosen[..., None])[..., 0]
    there = after.gather(-1, chosen[..., None])[..., 0]
    share = here / (here - there)
    partner = chosen.masked_fill(~near.any(-1), -1)
    count = pixels.shape[1]
    share = torch.where(partner >= 0, share, 0.5)
    return (
        partner.expand(views, count),
        torch.where(partner >= 0, following[partner], -1).expand(views, count),
        share.expand(views, count),
    )


def _close(first: Tensor, following: Tensor) -> Tensor:
    """Whether the next view [views] is not across a gap: at most 2.5 times as far away as usual."""
    steps = (first[following] - first)[:, :2].norm(dim=-1)
    return steps <= 2.5 * steps.median()


def _read_at(
    images: Tensor, vectors: Tensor, partner: Tensor, points: Tensor, geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """Values [views, n] of the views `partner` where points [views, n, 3] are seen, and whether they are."""
    _, rows, columns = images.shape
    views = partner.clamp_min(0).flatten()
    chosen = vectors[views]
    point, start = points.reshape(-1, 3), chosen[:, surface.SOURCE]
    if geometry.divergent:
        _, row, column = surface.ray_hit(chosen, start, point - start)
    else:
        _, row, column = surface.ray_hit(chosen, point, start)
    row, column = row + (rows - 1) / 2, column + (columns - 1) / 2
    value = bilinear(images, views, torch.zeros_like(row) if rows == 1 else row, column)
    inside = torch.ones(row.shape, dtype=torch.bool)
    for place, count in ((row.detach(), rows), (column.detach(), columns)):
        inside &= (place >= -_ROUNDING) & (place <= count - 1 + _ROUNDING)
    return value.reshape(partner.shape), inside.reshape(partner.shape)
