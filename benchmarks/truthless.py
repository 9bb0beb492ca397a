"""Figures of a scan that need no truth: how well its views, its rays and its slice agree with themselves."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

import sinograd as sg
from sinograd.geometry import FanBeam, Grid

ITERATIONS = 20
EVERY = 8  # views; one of so many is kept back
GAP = 1.5  # steps between views; rays across larger gaps are measured once


def kept_back(lines: Tensor, geometry: FanBeam, grid: Grid, first: int = EVERY // 2) -> tuple[float, float]:
    """How well views that a reconstruction did not use are told by it, as shares of the line integrals.

    Every eighth view is kept back and the others are reconstructed by 20 iterations of CGLS: root mean square of the
    error, and standard deviation of the error of the views' sums over the mean sum. Noise and voxels are in the former,
    not in the latter.
    """
    kept, used = split(len(lines), first)
    image = sg.recon.cgls(sg.XRayTransform(geometry[used], grid), lines[used], iterations=ITERATIONS).image
    error = (sg.XRayTransform(geometry[kept], grid)(image) - lines[kept]).double()
    shown = lines[kept].double()
    return rms(error) / rms(shown), float(error.sum(1).std() / shown.sum(1).mean())


def split(views: int, first: int = EVERY // 2) -> tuple[list[int], list[int]]:
    """Views that are kept back, and the others."""
    return [v for v in range(views) if v % EVERY == first], [v for v in range(views) if v % EVERY != first]


def opposite(lines: Tensor, geometry: FanBeam) -> float:
    """Root mean square of the difference of rays that were measured from both sides, as a share of the line integrals.

    For a circular fan whose detector is centred: the ray of the angles b of the source and g in the fan is that of
    b + pi + 2 g and -g, which is interpolated between two views.
    """
    columns = lines.shape[1]
    origins, directions = (part.double() for part in geometry.rays())
    heading = torch.atan2(directions[..., 1], directions[..., 0])
    source = torch.atan2(origins[..., 1], origins[..., 0])
    in_fan = torch.remainder(heading - source - math.pi + math.pi, 2 * math.pi) - math.pi
    turn = source[:, columns // 2].contiguous()
    order = torch.argsort(turn)
    turns = torch.cat([turn[order], turn[order][:1] + 2 * math.pi])
    order = torch.cat([order, order[:1]])
    wanted = torch.remainder(source + math.pi + 2 * in_fan - turns[0], 2 * math.pi) + turns[0]
    after = torch.searchsorted(turns, wanted.contiguous(), right=True).clamp(1, len(turns) - 1)
    step = turns[after] - turns[after - 1]
    share = ((wanted - turns[after - 1]) / step).to(lines)
    mirrored, column = lines.flip(1), torch.arange(columns).expand_as(after)
    other = (1 - share) * mirrored[order[after - 1], column] + share * mirrored[order[after], column]
    twice = step < GAP * turns.diff().median()
    return rms((lines - other)[twice]) / rms(lines[twice])


def mean_over_angle(image: Tensor) -> Tensor:
    """By distance from the axis in voxels, [radii]."""
    y, x = (torch.arange(n) - (n - 1) / 2 for n in image.shape)
    radius = (y[:, None] ** 2 + x**2).sqrt().round().long()
    count = int(min(image.shape) // 2)
    used = radius < count
    sums = torch.zeros(count).index_add_(0, radius[used], image[used])
    return sums / torch.zeros(count).index_add_(0, radius[used], torch.ones(int(used.sum())))


def rings(image: Tensor) -> float:
    """Root mean square of what is narrow in the mean over the angle about the axis, over the slice's deviation."""
    profile = mean_over_angle(image)[8:]
    padded = torch.nn.functional.pad(profile[None], (4, 4), mode="replicate")[0]
    return float((profile - padded.unfold(0, 9, 1).median(1).values).square().mean().sqrt() / image.std())


def lengths_in_object(lines: Tensor, geometry: FanBeam, grid: Grid) -> Tensor:
    """Mm of each ray in an object of one material: what is above half of its value in the slice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sg.errors.CoverageWarning)
        image = sg.fbp(lines, geometry, grid, window="hann")
    bright = image.flatten().topk(image.numel() // 10).values.mean()
    return sg.XRayTransform(geometry, grid)((image > bright / 2).float())


def loss_per_mm(lines: Tensor, lengths: Tensor, thin: tuple[float, float], thick: tuple[float, float]) -> float:
    """By which share rays with lengths of `thick` mm attenuate less per mm than those of `thin` mm."""
    per_mm = [
        float(lines[rays].double().sum() / lengths[rays].double().sum())
        for rays in ((lengths > low) & (lengths < high) for low, high in (thin, thick))
    ]
    return 1 - per_mm[1] / per_mm[0]


def rms(values: Tensor) -> float:
    """Root mean square."""
    return float(values.double().square().mean().sqrt())
