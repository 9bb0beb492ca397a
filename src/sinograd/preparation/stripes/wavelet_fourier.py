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

MOST_ORDER = 12  # roots of polynomials of a higher degree lose digits


def damp_stripes(sinograms: Tensor, *, level: int = 5, sigma: float = 1.0, order: int = 9) -> Tensor:
    """Sinograms [n, views, columns] without what is narrow along the columns and constant over the views; linear.

    Coefficients of vertical detail of each level are transformed along the views and damped by
    1 - exp(-k^2 / (2 sigma^2)), k periods over the views.

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
    padded = _padded(_padded(sinograms, 1, level), 2, level)
    low, high = daubechies(order)
    return _undone(padded, low.to(padded), high.to(padded), level, sigma)[:, :views, :columns]


def _undone(image: Tensor, low: Tensor, high: Tensor, level: int, sigma: float) -> Tensor:
    """One level of the transform, damped, with the levels below it."""
    along_columns = _analysis(image, low), _analysis(image, high)
    smooth = _analysis(along_columns[0].mT, low), _analysis(along_columns[0].mT, high)
    detail = _analysis(along_columns[1].mT, low), _analysis(along_columns[1].mT, high)
    inner = smooth[0].mT if level == 1 else _undone(smooth[0].mT, low, high, level - 1, sigma)
    vertical = _damped(detail[0], sigma)
    first = _synthesis(inner.mT, smooth[1], low, high).mT
    second = _synthesis(vertical, detail[1], low, high).mT
    return _synthesis(first, second, low, high)


def _damped(rows: Tensor, sigma: float) -> Tensor:
    """Along the last axis, the views."""
    spectrum = torch.fft.rfft(rows, dim=-1)
    k = torch.arange(spectrum.shape[-1], device=rows.device, dtype=rows.dtype)
    return torch.fft.irfft(spectrum * (-torch.expm1(-k.square() / (2 * sigma**2))), n=rows.shape[-1], dim=-1)


def _padded(sinograms: Tensor, axis: int, level: int) -> Tensor:
    """Mirrored at the end to twice the length, and by as little as makes that a multiple of 2^level."""
    count = sinograms.shape[axis]
    length = math.ceil(2 * count / 2**level) * 2**level
    return sinograms.index_select(axis, mirrored_index(count, length)[length:][:length].to(sinograms.device))


def _analysis(values: Tensor, taps: Tensor) -> Tensor:
    """Every second inner product with the taps along the last axis, which is periodic."""
    wrapped = torch.cat([values, values[..., : len(taps) - 2]], -1) if len(taps) > 2 else values
    rows = wrapped.reshape(-1, 1, wrapped.shape[-1])
    return torch.nn.functional.conv1d(rows, taps[None, None], stride=2).reshape(*values.shape[:-1], -1)


def _synthesis(smooth: Tensor, detail: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The transpose of both analyses: their inverse."""
    rows = torch.stack([smooth, detail], -2).reshape(-1, 2, smooth.shape[-1])
    wide = torch.nn.functional.conv_transpose1d(rows, torch.stack([low, high])[:, None], stride=2)[:, 0]
    count = 2 * smooth.shape[-1]
    tail = torch.nn.functional.pad(wide[:, count:], (0, count - (wide.shape[1] - count)))
    return (wide[:, :count] + tail).reshape(*smooth.shape[:-1], count)


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
