"""Stripes told by wavelets and Fourier transforms; linear.

B. Muench, P. Trtik, F. Marone, M. Stampanoni, "Stripe and ring artifact removal with combined wavelet-Fourier
filtering", Optics Express 17(10), 8567, 2009.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.preparation.stripes.columns import mirrored_index

LEAST = 1e-18  # what is left of a wave's damping below this is nothing in float64
MOST_ORDER = 12  # roots of polynomials of a higher degree lose digits


def damp_stripes(sinograms: Tensor, *, level: int = 5, sigma: float = 1.0, order: int = 9) -> Tensor:
    """Sinograms [n, views, columns] without what is narrow along the columns and constant over the views; linear.

    Coefficients of vertical detail of each level are transformed along the views and damped by
    1 - exp(-k^2 / (2 sigma^2)), k periods over the views. What that takes out is a few waves along the views, and is
    computed by itself.

    Args:
        level: of the wavelet transform; each doubles the width of stripes. Fewer where the scan has too few columns.
        sigma: of the damping; more takes out more.
        order: of Daubechies' wavelets, 1 to 12 (9 is "db9").
    """
    if isinstance(level, bool) or not isinstance(level, int) or level < 1:
        raise InputError(f"level: expected a whole number from 1, got {level!r}")
    if not sigma > 0:
        raise InputError(f"sigma: expected a positive number, got {sigma}")
    views, columns = sinograms.shape[1:]
    level = max(1, min(level, int(math.log2(min(views, columns) / (2 * order - 1))) + 1))
    low, high = daubechies(order)
    # What is damped along the views is a few slow waves: the rest of the transform, which undoes itself, is left out.
    waves = [_waves(views, level, number, sigma, low, high) for number in range(1, level + 1)]
    before = torch.cat([folded for _, folded in waves]).to(sinograms)  # [waves of all levels, views]
    after = torch.cat([wave for wave, _ in waves]).to(sinograms)
    parts = (before @ sinograms).split([len(wave) for wave, _ in waves], 1)
    taps = low.to(sinograms), high.to(sinograms)
    narrow = [_detail(part, level, number, *taps) for number, part in enumerate(parts, 1)]
    return sinograms - after.mT @ torch.cat(narrow, 1)


def _waves(views: int, level: int, number: int, sigma: float, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """What a level's smooth coefficients along the views are damped by, as waves w and the inner products that tell
    how strong they are: [waves, views] each, float64. The damped part is sum_w w (w' . sinogram).
    """
    length = math.ceil(2 * views / 2**level) * 2**level
    count = length // 2**number
    k = torch.arange(count // 2 + 1, dtype=torch.float64)
    left = torch.exp(-(k / sigma).square() / 2)  # 1 less the damping
    k, left = k[left > LEAST], left[left > LEAST]
    both = torch.where((k == 0) | (2 * k == count), 1.0, 2.0)  # a wave and its mirror image
    angle = 2 * math.pi * k[:, None] * torch.arange(count, dtype=torch.float64) / count
    scale = (left * both / count).sqrt()[:, None]
    waves = torch.cat([scale * angle.cos(), scale * angle.sin()])
    for _ in range(number):
        waves = _synthesis(waves, torch.zeros_like(waves), low, high)
    folded = torch.zeros(len(waves), views, dtype=torch.float64)
    folded.index_add_(1, _mirrored(views, level), waves)
    return waves[:, :views], folded


def _detail(rows: Tensor, level: int, number: int, low: Tensor, high: Tensor) -> Tensor:
    """The part of rows [..., columns] that is in the detail of a level of the transform along the columns."""
    columns = rows.shape[-1]
    values = rows.index_select(-1, _mirrored(columns, level).to(rows.device))
    for _ in range(number - 1):
        values = _analysis(values, low)
    values = _analysis(values, high)
    values = _synthesis(torch.zeros_like(values), values, low, high)
    for _ in range(number - 1):
        values = _synthesis(values, torch.zeros_like(values), low, high)
    return values[..., :columns]


def _mirrored(count: int, level: int) -> Tensor:
    """Indices that mirror at the end to twice the length, and by as little as makes that a multiple of 2^level."""
    length = math.ceil(2 * count / 2**level) * 2**level
    return mirrored_index(count, length)[length:][:length]


def _analysis(values: Tensor, taps: Tensor) -> Tensor:
    """Every second inner product with the taps along the last axis, which is periodic."""
    count = values.shape[-1]
    more = torch.arange(len(taps) - 2, device=values.device) % count
    wrapped = torch.cat([values, values[..., more]], -1)
    rows = wrapped.reshape(-1, 1, wrapped.shape[-1])
    return torch.nn.functional.conv1d(rows, taps[None, None], stride=2).reshape(*values.shape[:-1], -1)


def _synthesis(smooth: Tensor, detail: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The transpose of both analyses: their inverse."""
    rows = torch.stack([smooth, detail], -2).reshape(-1, 2, smooth.shape[-1])
    wide = torch.nn.functional.conv_transpose1d(rows, torch.stack([low, high])[:, None], stride=2)[:, 0]
    count = 2 * smooth.shape[-1]
    turns = math.ceil(wide.shape[1] / count)
    wrapped = torch.nn.functional.pad(wide, (0, turns * count - wide.shape[1])).reshape(-1, turns, count).sum(1)
    return wrapped.reshape(*smooth.shape[:-1], count)


@functools.lru_cache(maxsize=16)
def daubechies(order: int) -> tuple[Tensor, Tensor]:
    """The low-pass and high-pass taps [2 order] of Daubechies' orthogonal wavelets of least phase, float64.

    I. Daubechies, "Ten lectures on wavelets", SIAM, 1992, chapter 6: the roots within the unit circle of
    P(y) = sum_k C(order - 1 + k, k) y^k, y = (2 - z - 1/z) / 4.
    """
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= MOST_ORDER:
        raise InputError(f"order: expected a whole number from 1 to {MOST_ORDER}, got {order!r}")
    taps = np.array([1.0])
    for _ in range(order):
        taps = np.convolve(taps, [0.5, 0.5])
    half = [math.comb(order - 1 + k, k) for k in range(order)]
    for y in np.roots(half[::-1]):
        middle = 1 - 2 * y
        z = middle + np.sqrt(middle**2 - 1 + 0j)
        z = z if abs(z) < 1 else 1 / z
        taps = np.convolve(taps, [1, -z]) / (1 - z)
    low = np.real(taps) * math.sqrt(2)
    high = low[::-1] * (-1.0) ** np.arange(2 * order)
    return torch.from_numpy(low.copy()), torch.from_numpy(high.copy())
