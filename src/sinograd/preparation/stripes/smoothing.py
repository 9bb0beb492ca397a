"""Smooth parts of sinograms, along views and columns; linear."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.preparation.stripes.columns import mirrored_index


def low_frequencies(sinograms: Tensor, deviation: float) -> Tensor:
    """Sinograms [n, views, columns] times a Gaussian of the frequency along the views, in periods over all of them.

    Views are continued by their mirror image, so that the first and the last need not agree.
    """
    if not deviation > 0:
        raise InputError(f"frequency: expected a positive number of periods, got {deviation}")
    views = sinograms.shape[1]
    both = torch.cat([sinograms, sinograms.flip(1)], 1)
    spectrum = torch.fft.rfft(both, dim=1)
    frequency = torch.arange(spectrum.shape[1], device=sinograms.device, dtype=sinograms.dtype) / 2
    weight = torch.exp(-frequency.square() / (2 * deviation**2))
    return torch.fft.irfft(spectrum * weight[:, None], n=2 * views, dim=1)[:, :views]


def smooth_columns(values: Tensor, width: float) -> Tensor:
    """Values [..., columns] convolved with a Gaussian of this standard deviation, columns; mirrored at the ends."""
    if not width > 0:
        raise InputError(f"width: expected a positive number of columns, got {width}")
    reach = math.ceil(4 * width)
    place = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-place.square() / (2 * width**2))
    rows = values.reshape(-1, 1, values.shape[-1])[..., mirrored_index(values.shape[-1], reach).to(values.device)]
    return torch.nn.functional.conv1d(rows, (kernel / kernel.sum())[None, None]).reshape(values.shape)
