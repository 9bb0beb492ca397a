"""Whether a denoiser does anything: what it changes, against the noise of its input."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sinograd.datasets import PairedVolume
from sinograd.errors import NoEffectWarning
from sinograd.models import DualDomainBilateral
from sinograd.training.data import ScanStack, Stack
from sinograd.training.samples import noise_level

# A filter that denoises changes its input by about the noise; training that fails leaves 1e-6 of it, or nothing.
LEAST_SHARE = 1e-4
_VALUES = 1 << 22  # at most so many are compared, in whole slices
_SLAB = 8  # slices that a trained model is tried on


class Effect:
    """Some slices of a volume (or views of a scan) before a filter, to compare with those after it."""

    def __init__(self, values: Tensor) -> None:
        if values.ndim < 3:
            values = values[None]
        count = max(1, min(len(values), _VALUES // max(1, values[0].numel())))
        self._places = torch.linspace(0, len(values) - 1, count).round().long()
        self._before = values[self._places].clone()

    def share(self, values: Tensor) -> float:
        """`share_of_change` from those slices to the same ones of `values`."""
        return share_of_change(self._before, (values if values.ndim > 2 else values[None])[self._places])


def share_of_change(before: Tensor, after: Tensor) -> float:
    """RMS change over the noise of `before` (over its standard deviation without noise); infinite for constants."""
    change = (after.double() - before.double()).square().mean().sqrt().item()
    size = noise_level([before]) or before.double().std(correction=0).item()
    return change / size if size > 0 else math.inf


def warn_without_effect(shares: Sequence[float], subject: str, advice: str) -> None:
    """NoEffectWarning where all shares are below 0.0001; the texts stand before and after what is said of them."""
    if shares and max(shares) < LEAST_SHARE:
        words = f"{subject} by {max(shares):.1g} of the noise, that is not at all: {advice}"
        warnings.warn(words, NoEffectWarning, stacklevel=3)


@torch.no_grad()
def shares_of_training(model: nn.Module, item: Stack | ScanStack | PairedVolume) -> list[float]:
    """What a trained model, on the CPU, changes in the middle of an item that it was trained on."""
    if isinstance(item, ScanStack):
        if not isinstance(model, DualDomainBilateral):
            return []
        parts = ((model.projection_filters, item.projections), (model.image_filters, item.target))
        return [_share(filters, values) for filters, values in parts if len(filters)]
    if isinstance(item, PairedVolume):
        # A network of volumes needs some slices.
        taken = min(_SLAB if getattr(model, "ndim", 2) == 3 else 1, item.shape[0])
        first = (item.shape[0] - taken + 1) // 2
        return [_share(model, item.inputs[0].read(first, first + taken))]
    return [_share(model, item.input)]


def _share(model: nn.Module, values: Tensor) -> float:
    if values.ndim > 2:
        values = values.reshape(-1, *values.shape[-3:]) if values.ndim > 3 else values[None]
        values = values[0]
        first = max(0, (len(values) - _SLAB) // 2)
        values = values[first : first + _SLAB]
    training = model.training
    try:
        # In training some networks return less than they are given.
        return share_of_change(values, model.eval()(values))
    finally:
        model.train(training)
