"""Photons behind readings that were cut at a floor, from the readings about them.

A reading is N photons, Poisson of mean m, plus electronic noise e, normal of deviation s. Cut at the floor f, its mean
is to a good approximation, with sigma^2 = m + s^2 and z = (m - f) / sigma,

    f + sigma (z Phi(z) + phi(z)),

which grows with m. So the mean of the cut readings about an element tells m, and m tells what was cut off.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

# Elements along the last two axes whose readings are averaged; so many in all along a single axis.
WINDOW = 9

# Newton's steps (the mean is convex in m: from above they never overshoot) and the most draws of a reading that was
# lost; one that is lost in fewer than one of so many cases is drawn as a normal number.
STEPS, MOST_DRAWS = 8, 64


def expected_photons(readings: Tensor, full: Tensor, sigma: Tensor, floor: float) -> Tensor:
    """M of each of the cut readings; below zero where noise alone reads more. All of one shape, float64."""
    cut = readings.clamp(min=floor)
    mean = _local_mean(cut) * (full / _local_mean(full))
    m = mean.clone()
    for _ in range(STEPS):
        spread = (m.clamp(min=0) + sigma.square()).sqrt()
        z = (m - floor) / spread
        above, density = torch.special.ndtr(z), (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
        excess = floor + spread * (z * above + density) - mean
        slope = above + density / (2 * spread) * (m > 0)
        m = m - excess / slope.clamp(min=1e-3)
    return m.clamp(min=-6 * sigma, max=mean)


def draw_lost(m: Tensor, sigma: Tensor, floor: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Readings below the floor, and the photons among them: [n] each, of their means m and noise sigma [n]."""
    photons, noise = torch.zeros_like(m), torch.zeros_like(m)
    left = torch.arange(len(m), device=m.device)
    for _ in range(MOST_DRAWS):
        if len(left) == 0:
            break
        some = torch.poisson(m[left].clamp(min=0), generator=generator)
        rest = torch.empty_like(some).normal_(generator=generator) * sigma[left] + m[left].clamp(max=0)
        lost = some + rest < floor
        photons[left[lost]], noise[left[lost]] = some[lost], rest[lost]
        left = left[~lost]
    if len(left):
        mean, variance = m[left].clamp(min=0), sigma[left].square()
        spread = (mean + variance).sqrt()
        readings = below(floor, mean, spread, generator)
        photons[left] = (mean + (readings - mean) * mean / (mean + variance)).clamp(min=0).round()
        noise[left] = readings - photons[left]
    return photons + noise, photons


def below(limit: float, mean: Tensor, spread: Tensor, generator: torch.Generator | None) -> Tensor:
    """Normal numbers that are less than a limit."""
    uniform = torch.empty_like(mean).uniform_(generator=generator).clamp(min=2.0**-60)
    return mean + spread * torch.special.ndtri(uniform * torch.special.ndtr((limit - mean) / spread))


def _local_mean(values: Tensor) -> Tensor:
    """Mean over the elements about each, fewer at the edges."""
    rows, columns = values.shape[-2:] if values.ndim > 1 else (1, values.numel())
    images = values.reshape(-1, 1, rows, columns)
    size: tuple[Any, Any] = (min(WINDOW, 2 * rows - 1), min(WINDOW if rows > 1 else WINDOW**2, 2 * columns - 1))
    half = (size[0] // 2, size[1] // 2)
    means = torch.nn.functional.avg_pool2d(images, size, stride=1, padding=half, count_include_pad=False)
    return means.reshape(values.shape)
