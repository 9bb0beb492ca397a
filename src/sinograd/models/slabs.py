"""Filters over large volumes in bounded memory: slab by slab, in place, with the result of the whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sinograd.errors import InputTypeError
from sinograd.models.bilateral import BILATERAL
from sinograd.models.network_denoiser import NetworkDenoiser

Progress = Callable[[int, int], None]

# Bytes of the input that are filtered at a time; a filter takes about four times as much for a moment.
SLAB_BYTES = 128 << 20
_NETWORK_SLAB_BYTES = 4 << 20  # of what networks filter: they take a hundred times as much, and long


def reach(module: nn.Module) -> int:
    """How many slices along the first axis of three lie between a voxel and the farthest one that it depends on.

    Raises:
        TypeError: a layer that is neither a bilateral filter nor a `NetworkDenoiser`, for which this is not known.
    """
    if isinstance(module, NetworkDenoiser):
        return module.reach
    if isinstance(module, nn.Sequential):
        return sum(reach(layer) for layer in module)
    if not isinstance(module, BILATERAL):
        raise InputTypeError(f"module: expected bilateral filters, got {type(module).__name__}")
    window: tuple[int, ...] = module.current_window()
    return window[0] // 2 if len(window) == 3 else 0


@torch.no_grad()
def filter_in_place(
    module: nn.Sequential | NetworkDenoiser,
    volume: Tensor,
    *,
    slab_bytes: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Replace a volume by what a sequence of local filters, or a network slice by slice, makes of it.

    Beside the volume there is only a slab at a time: its slices, those within `reach` of it, and what the filters
    need for them. The result is that of the whole volume at once.

    Args:
        module: bilateral filters, one after the other, or a network. It may be on another device than the volume.
        volume: [Z, Y, X] or projections [views, rows, columns]; also [Y, X] and [views, columns] for 2-D filters,
            which are filtered at once.
        slab_bytes: about how many bytes of the volume are filtered at a time; None: 128 MiB, for networks 4 MiB.
        progress: called with (slices done, slices).

    Returns:
        `volume`, overwritten.
    """
    device = next((parameter.device for parameter in module.parameters()), volume.device)
    if volume.ndim == 2:
        volume.copy_(module(volume.to(device)))
        return volume
    if slab_bytes is None:
        by_slices = isinstance(module, NetworkDenoiser) and module.ndim == 2
        slab_bytes = _NETWORK_SLAB_BYTES if by_slices else SLAB_BYTES
    slices, halo = len(volume), reach(module)
    per_slice = max(1, volume[0].numel() * volume.element_size())
    length = slices if halo >= slices else max(1, slab_bytes // per_slice - 2 * halo)
    before = volume[:0]  # the slices below the slab as they were
    for start in range(0, slices, length):
        stop = min(start + length, slices)
        block = torch.cat([before, volume[start : min(stop + halo, slices)]])
        skip = len(before)
        kept = block[max(0, skip + stop - start - halo) : skip + stop - start]
        volume[start:stop] = module(block.to(device))[skip : skip + stop - start]
        before = kept.clone()
        if progress is not None:
            progress(stop, slices)
    return volume
