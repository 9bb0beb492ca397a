"""Rows continued beyond the detector, for objects larger than the field of view.

The ramp filter takes a row that ends in the object for an object that ends there, which brightens the rim of the
field of view and lifts the middle. Each row is therefore continued as an ellipse would be seen: the line integrals of
a uniform ellipse are p^2 = a + b s - c s^2 in the distance s of the ray to the axis. c is fitted to the whole row,
weighted with p^2 so that air does not count; value and slope at the edge are fitted to the tenth of the row next to it,
so that the row goes on smoothly. J. Hsieh, E. Chao, J. Thibault et al., "A novel reconstruction algorithm to extend the
CT scan field-of-view", Medical Physics 31(9), 2004, fit water cylinders in the same way; here the curvature comes from
the row instead of from the attenuation of water.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.ops.device_cache import on_device

TRUNCATIONS = ("none", "ellipse")

# The share of a row next to its edge that value and slope come from, and of the continuation that falls to zero.
EDGE, ROLL_OFF = 0.1, 0.25


def check_truncation(truncation: str) -> None:
    """ValueError for an unknown way to continue rows."""
    if truncation not in TRUNCATIONS:
        raise InputError(f"truncation: expected one of {', '.join(TRUNCATIONS)}, got {truncation!r}")


def extend_rows(rows: Tensor, distance: Tensor, extension: tuple[int, int]) -> Tensor:
    """Rows [..., views, rows, columns] with so many columns more before and after; differentiable.

    Args:
        rows: line integrals.
        distance: of each column's ray to the axis with the new columns, [views, extension[0] + columns + extension[1]].
        extension: columns to add before and after; 0 where nothing is to be added.
    """
    columns = rows.shape[-1]
    measured = distance[:, extension[0] : extension[0] + columns]
    scale = (measured[:, -1:] - measured[:, :1]).abs()
    parts = [rows]
    if extension[0]:
        outward = (measured[:, :1] - distance) / scale
        sign = 1 if float(outward[0, 0]) > 0 else -1
        before = _continuation(
            rows.flip(-1), (sign * outward).flip(-1), columns + extension[1], extension[0], extension[1]
        )
        parts.insert(0, before.flip(-1))
    if extension[1]:
        outward = (distance - measured[:, -1:]) / scale
        sign = 1 if float(outward[0, -1]) > 0 else -1
        parts.append(_continuation(rows, sign * outward, columns + extension[0], extension[1], extension[0]))
    return torch.cat(parts, dim=-1)


def _continuation(rows: Tensor, place: Tensor, first: int, count: int, skip: int) -> Tensor:
    """`count` new columns after rows [..., views, rows, columns].

    place: [views, skip + columns + count], 0 at the last measured column, growing outwards, -1 at the first measured.
    """
    columns = rows.shape[-1]
    inner = on_device(place[:, skip : skip + columns], rows)
    new = on_device(place[:, None, first : first + count], rows)
    # rows whose fourth powers are no normal numbers are empty: their fit would have gradients that are NaN
    peak = rows.detach().amax(-1, keepdim=True)
    squared = rows.clamp_min(0).square().masked_fill(peak < torch.finfo(rows.dtype).tiny ** 0.25, 0.0)
    curvature = _curvature(squared, inner)
    level, slope = _edge(squared, inner, curvature)
    # a flat row ends with the new columns, and none grows beyond twice the square of its peak
    end = new[..., -1:]
    curvature = torch.maximum(curvature, (level + slope * end) / end.square())
    room = (2 * squared.amax(-1, keepdim=True) - level).clamp_min(0)
    slope = torch.minimum(slope, 2 * (curvature * room + 1e-30).sqrt())
    continued = level + slope * new - curvature * new.square()
    outside = (continued.detach() <= 0).cumsum(-1) > 0
    values = continued.masked_fill(outside, 1.0).sqrt().masked_fill(outside, 0.0)
    return values * on_device(_roll_off(count), rows)


def _curvature(squared: Tensor, place: Tensor) -> Tensor:
    """C of the fit p^2 = a + b x - c x^2 of each row, weighted with p^2; at least 0: [..., views, rows, 1]."""
    moments = _moments(squared, place, 5)
    right = _moments(squared.square(), place, 3)
    scale = moments[..., :1] + 1e-30
    return _last_of_three(moments / scale, right / scale).neg().clamp_min(0).to(squared)


def _moments(weights: Tensor, place: Tensor, count: int) -> Tensor:
    """Sums of weights * place^k along each row, [..., count], float64.

    Not as a matrix product, whose bits depend on how many rows there are.
    """
    place, sums = place[:, None], []
    for k in range(count):
        weights = weights if k == 0 else weights * place
        sums.append(weights.sum(-1))
    return torch.stack(sums, dim=-1).double()


def _last_of_three(m: Tensor, right: Tensor) -> Tensor:
    """x_2, [..., 1], of M x = right [..., 3] with M_ij = m_(i+j), [..., 5], and 1e-9 more on its diagonal.

    M is positive definite, so that elimination needs no pivots. (`torch.linalg.solve` would wait for the device.)
    """
    m0, m1, m2, m3, m4 = m.split(1, dim=-1)
    r0, r1, r2 = right.split(1, dim=-1)
    first = 1 / (m0 + 1e-9)
    l1, l2 = m1 * first, m2 * first
    pivot, below = m2 + 1e-9 - l1 * m1, m3 - l2 * m1
    l3 = below / pivot
    return (r2 - l2 * r0 - l3 * (r1 - l1 * r0)) / (m4 + 1e-9 - l2 * m2 - l3 * below)


def _edge(squared: Tensor, place: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
    """Height (at least 0) and slope of p^2 at the last column, from a fit of given curvature to the columns near it."""
    near = max(3, math.ceil(EDGE * squared.shape[-1]))
    x = place[:, None, -near:]
    straight = squared[..., -near:] + curvature * x.square()
    middle, mean = x.mean(-1, keepdim=True), straight.mean(-1, keepdim=True)
    slope = ((straight - mean) * (x - middle)).sum(-1, keepdim=True) / (x - middle).square().sum(-1, keepdim=True)
    return (mean - slope * middle).clamp_min(0), slope


def _roll_off(count: int) -> Tensor:
    """1, and a quarter of a cosine squared down to 0 at the end."""
    end = torch.arange(count, 0, -1, dtype=torch.float64) / (ROLL_OFF * count)
    return torch.sin(math.pi / 2 * end.clamp_max(1)).square()
