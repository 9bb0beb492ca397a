"""Rows that are filtered and, in the same step, sampled twice as finely.

Backprojection interpolates linearly, which blurs: at half of the columns' Nyquist frequency by 19 %. Between columns
half as far apart, with the frequencies that the row had, by 5 %.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.recon.analytic.ramp import circular_kernel


def filter_finely(rows: Tensor, taps: Tensor) -> Tensor:
    """[..., 2 columns - 1]: the convolution of [..., columns] with taps, at columns and half-way between them."""
    kernel = circular_kernel(taps, rows.shape[-1])
    size = len(kernel)
    spectrum = torch.fft.rfft(rows, n=size) * torch.fft.rfft(kernel)
    if size % 2 == 0:  # the Nyquist frequency counts once for both signs
        spectrum = torch.cat([spectrum[..., :-1], spectrum[..., -1:] / 2], dim=-1)
    return 2 * torch.fft.irfft(spectrum, n=2 * size)[..., : 2 * rows.shape[-1] - 1]


def between(rays: Tensor) -> Tensor:
    """[views, 2 distances - 1, n] of [views, distances, n]: means of neighbours between them."""
    fine = rays.new_empty(rays.shape[0], 2 * rays.shape[1] - 1, rays.shape[2])
    fine[:, ::2] = rays
    fine[:, 1::2] = (rays[:, 1:] + rays[:, :-1]) / 2
    return fine
