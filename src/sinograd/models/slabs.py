"""Filters over large volumes in bounded memory: slab by slab, in place, with the result of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sinograd.errors import InputTypeError
from sinograd.models.bilateral import BILATERAL
from sinograd.models.network_denoiser import NetworkDenoiser

Progress = Callable[[int, int], None]

# Bytes of the input that are filtered at a time; a filter takes about four times as much for a moment.
SLAB_BYTES = 128 << 20
_NETWORK_SLAB_BYTES = 4 << 20  # of what networks filter: they take a hundred times as much, and long


@dataclass(frozen=True)
class FilterSlab:
    """Slices `first` to `end` - 1 of a volume, which depend on slices `before` to `after` - 1."""

    first: int
    end: int
    before: int
    after: int


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
    if volume.ndim == 2:
        volume.copy_(module(volume.to(_device(module, volume))))
        return volume
    halo, before = reach(module), volume[:0]  # the slices below the slab as they were
    for slab in filter_slabs(module, volume, slab_bytes):
        block = torch.cat([before, volume[slab.first : slab.after]])
        volume[slab.first : slab.end] = filtered_slab(module, block, slab)
        end = slab.end - slab.before
        before = block[max(0, end - halo) : end].clone()
        if progress is not None:
            progress(slab.end, len(volume))
    return volume


def filter_slabs(
    module: nn.Sequential | NetworkDenoiser, volume: Tensor, slab_bytes: int | None = None
) -> list[FilterSlab]:
    """The slabs that a volume [Z, Y, X] is filtered in; `slab_bytes` as in `filter_in_place`."""
    if slab_bytes is None:
        by_slices = isinstance(module, NetworkDenoiser) and module.ndim == 2
        slab_bytes = _NETWORK_SLAB_BYTES if by_slices else SLAB_BYTES
    slices, halo = len(volume), reach(module)
    per_slice = max(1, volume[0].numel() * volume.element_size())
    length = slices if halo >= slices else max(1, slab_bytes // per_slice - 2 * halo)
    ends = ((first, min(first + length, slices)) for first in range(0, slices, length))
    return [FilterSlab(first, end, max(0, first - halo), min(end + halo, slices)) for first, end in ends]


@torch.no_grad()
def filtered_slab(module: nn.Module, block: Tensor, slab: FilterSlab) -> Tensor:
    """What becomes of a slab, on the device of the module. block: the slices `before` to `after` - 1 of the volume."""
    skip = slab.first - slab.before
    found: Tensor = module(block.to(_device(module, block)))[skip : skip + slab.end - slab.first]
    return found


def _device(module: nn.Module, volume: Tensor) -> torch.device:
    return next((parameter.device for parameter in module.parameters()), volume.device)
