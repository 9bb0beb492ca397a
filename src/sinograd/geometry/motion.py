"""Rigid motion of the object during a scan: six numbers a view, and smooth ones from cubic B-splines.

A point of the object at p stands at R p + t when a view is taken: t = motion[:3] (mm), R the rotation about the
isocentre by the rotation vector motion[3:] (its direction the axis, its length the angle in radians, right-handed). In
2-D, motion is (x, y, angle about z). The scan is described in the object's own coordinates, in which source and
detector move the other way, so that the reconstruction shows the object at rest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry.checks import Values

POINTS, CURVATURE = (0, 1), 4  # rows of vectors that are positions; the others are directions and steps

_SMALL = 1e-8  # square of an angle (rad) below which sine and cosine are their series


def read_motion(motion: object, views: int, ndim: int) -> Tensor | None:
    """None, or float64 [views, 6], in 2-D [views, 3]; keeps gradients."""
    if motion is None:
        return None
    return checks.values(motion, "motion", (views, 6 if ndim == 3 else 3), follow=True)


def move(vectors: Tensor, motion: Tensor, divergent: bool) -> Tensor:
    """Vectors [views, 4 or 5, 3] in the coordinates of an object that moves by `motion` [views, 6 or 3]."""
    if motion.shape[1] == 3:
        zero = torch.zeros_like(motion[:, 0])
        motion = torch.stack([motion[:, 0], motion[:, 1], zero, zero, zero, motion[:, 2]], 1)
    shift, turn = motion[:, :3], rotations(motion[:, 3:])
    positions = torch.zeros(vectors.shape[1], 1, dtype=vectors.dtype)
    positions[[*(POINTS if divergent else POINTS[1:]), *range(CURVATURE, vectors.shape[1])]] = 1
    return (vectors - positions * shift[:, None]) @ turn


def rotations(vectors: Tensor) -> Tensor:
    """Matrices [n, 3, 3] of rotation vectors [n, 3], by Rodrigues' formula; smooth at 0, too."""
    square = vectors.square().sum(-1)
    small = square < _SMALL
    angle = torch.where(small, 1.0, square).sqrt()
    first = torch.where(small, 1 - square / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / angle**2)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    unit = torch.eye(3, dtype=vectors.dtype)
    return unit + first[:, None, None] * cross + second[:, None, None] * (cross @ cross)


def spline_basis(knots: int, views: int) -> Tensor:
    """[views, knots]: values at each view of cubic B-splines whose knots are spread evenly over the views.

    Rows sum to 1. C. de Boor, "A Practical Guide to Splines", 1978, chapter IX, with uniform knots.
    """
    knots, views = checks.count(knots, "knots"), checks.count(views, "views")
    if knots < 4:
        raise InputError(f"knots: cubic splines need at least 4, got {knots}")
    place = torch.linspace(0, knots - 3, views, dtype=torch.float64) if views > 1 else torch.zeros(1).double()
    first = place.floor().clamp(max=knots - 4)
    t = place - first
    pieces = torch.stack([(1 - t) ** 3, (3 * t - 6) * t * t + 4, ((3 - 3 * t) * t + 3) * t + 1, t**3], 1) / 6
    basis = torch.zeros(views, knots, dtype=torch.float64)
    return basis.scatter(1, first.long()[:, None] + torch.arange(4), pieces)


def spline(coefficients: Values, views: int) -> Tensor:
    """Smooth values at each view, [views, ...], of cubic B-splines with coefficients [knots, ...]; keeps gradients.

    `motion=spline(coefficients, views)` with coefficients [knots, 6] is a smooth rigid motion.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    table = coefficients if checks.followed(coefficients) else torch.as_tensor(coefficients, dtype=torch.float64)
    if table.ndim == 0:
        raise InputError("coefficients must be [knots, ...], got a number")
    return torch.tensordot(spline_basis(len(table), views), table.to("cpu", torch.float64), dims=1)
