"""The ramp filter: band-limited taps, windows, and their application along detector rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sinograd.choices import WINDOWS
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import number
from sinograd.ops.device_cache import on_device

# Samples of a transformed row, at least: the bits of shorter transforms depend on threads and on the rows beside them.
SHORTEST = 128


def ramp_taps(
    columns: int,
    spacing: float | Tensor,
    window: str = "ram-lak",
    cutoff: float = 1.0,
    radius: float | Tensor | None = None,
) -> Tensor:
    """Taps of the ramp filter for rows of `columns` samples, [2 columns - 1], float64, in 1/mm.

    The band-limited spatial kernel h of Kak & Slaney (1988), eq. 3.61, times the spacing: rows that are convolved with
    it keep their exact mean, which a sampled |f| does not give. With `radius`, the kernel of equiangular detectors,
    (gamma / sin gamma)^2 h(gamma) of their eq. 3.103, with gamma = arc / radius; then in 1/rad.

    Args:
        columns: samples a row.
        spacing: mm between samples (along the arc with `radius`).
        window: a name of `recon.WINDOWS`; "ram-lak" is none.
        cutoff: the frequency at which the window ends, as a fraction (0, 1] of the Nyquist frequency.
        radius: mm, curved detectors only; a tensor keeps gradients.

    Raises:
        ValueError: an unknown window, or a cutoff outside (0, 1].
    """
    check_window(window)
    try:
        fraction = number(cutoff, "cutoff")
    except (InputError, InputTypeError):
        fraction = math.nan
    if not 0 < fraction <= 1:
        raise InputError(f"cutoff: expected a fraction of the Nyquist frequency in (0, 1], got {cutoff!r}")
    n = torch.arange(-(columns - 1), columns, dtype=torch.float64)
    step = spacing if radius is None else spacing / radius
    taps = torch.where(n % 2 == 0, 0.0, -1 / (math.pi * n) ** 2)
    taps[columns - 1] = 0.25
    if window != "ram-lak" or fraction < 1:
        taps = _windowed(taps, window, fraction)
    taps = taps / step
    if radius is None:
        return taps
    gamma = n * step
    apart = torch.where(n == 0, 1.0, gamma)  # where the middle one is 0 / 0, gradients would be NaN
    return taps * torch.where(n == 0, 1.0, apart / torch.sin(apart)) ** 2


def _windowed(taps: Tensor, window: str, cutoff: float) -> Tensor:
    """The taps after a window on their spectrum, truncated to their length."""
    half = len(taps) // 2
    size = 1 << (8 * len(taps)).bit_length()
    # the spectrum of the untruncated kernel is the ramp itself, up to the Nyquist frequency 1/2
    frequency = torch.arange(size // 2 + 1, dtype=torch.float64) / size
    # by NumPy, as torch's bits depend on the number of threads
    spectrum = (frequency * window_response(frequency, window, cutoff)).numpy()
    long = torch.from_numpy(np.fft.irfft(spectrum, n=size))
    return torch.cat([long[-half:], long[: half + 1]]) if half else long[:1]


def window_response(frequency: Tensor, window: str, cutoff: float = 1.0) -> Tensor:
    """The window at frequencies in cycles a sample (Nyquist 0.5); zero above `cutoff` times the Nyquist frequency."""
    function: Callable[[Tensor], Tensor] = WINDOWS.load(window)
    x = frequency / (0.5 * cutoff)
    return torch.where(x <= 1 + 1e-12, function(x), 0.0)


def check_window(window: str) -> None:
    """Raise InputError for a window that is not registered."""
    if window not in WINDOWS:
        raise InputError(f"window: expected one of {', '.join(WINDOWS)}, got {window!r}")


def filter_rows(rows: Tensor, taps: Tensor, keep: tuple[int, int] | None = None) -> Tensor:
    """Convolution of [..., columns] with [2 k + 1] taps, the middle one at offset zero; rows are zero outside.

    Linear (not circular): padded with zeros to at least twice the width. Differentiable in both arguments. With
    `keep`, only columns keep[0] to keep[1] - 1 of the result.

    Raises:
        ValueError: an even number of taps.
    """
    kernel = circular_kernel(on_device(taps, rows), rows.shape[-1], keep)
    size = len(kernel)
    first, end = (0, rows.shape[-1]) if keep is None else keep
    return torch.fft.irfft(torch.fft.rfft(rows, n=size) * torch.fft.rfft(kernel), n=size)[..., first:end]


def circular_kernel(taps: Tensor, columns: int, keep: tuple[int, int] | None = None) -> Tensor:
    """The taps on a circle, the middle one first, so long that convolution on it is linear: see `filter_rows`."""
    if taps.ndim != 1 or len(taps) % 2 == 0:
        raise InputError(f"taps: expected an odd number of taps in one dimension, got shape {list(taps.shape)}")
    half = len(taps) // 2
    first, end = (0, columns) if keep is None else keep
    # offsets from a kept column to any other: they must not meet on the circle
    before, after = min(half, end - 1), min(half, columns - 1 - first)
    return on_circle(taps, before, after, fast_length(max(columns + end - first, SHORTEST)))


def on_circle(taps: Tensor, before: int, after: int, length: int) -> Tensor:
    """The middle tap, `before` behind it, zeros, and the `after` taps ahead of it: `length` numbers."""
    half = len(taps) // 2
    zeros = taps.new_zeros(length - before - after - 1)
    return torch.cat([taps[half : half + before + 1], zeros, taps[half - after : half]])


def fast_length(n: int) -> int:
    """The smallest length >= n of the form 2^a, 3 2^a, 5 2^a or 18 4^a; 36 4^a is no faster than the next 5 2^a."""
    doubled = (base << max(0, (-(-n // base) - 1).bit_length()) for base in (1, 3, 5))
    quadrupled = next(18 << power for power in range(0, n.bit_length() + 2, 2) if 18 << power >= n)
    return min(quadrupled, *doubled)
