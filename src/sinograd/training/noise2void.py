"""Noise2Void: learn to denoise from noisy data alone.

A. Krull, T.-O. Buchholz, F. Jug, "Noise2Void - learning denoising from single noisy images", CVPR 2019; for volumes
as in F. Wagner et al., Medical Physics 49(8), 2022, section II.B: 1 % of the voxels are replaced by values from their
5^3 neighbourhoods, and the loss looks at these voxels only. It works as far as the noise of neighbours is uncorrelated.
Unlike there, no voxel takes the value of one that is replaced as well: the model would see what it is compared with.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError

_DRAWS = 60  # of a neighbour that is not chosen; with half of them chosen, 1e-18 of the voxels find none by chance


def blind_spots(
    volume: Tensor, fraction: float = 0.01, neighborhood: int = 5, *, dimensions: int = 3, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replaces some voxels by others from their neighbourhoods.

    Args:
        volume: [..., Z, Y, X], or [..., Y, X] with `dimensions` 2.
        fraction: share of voxels to replace, all different; at least one is.
        neighborhood: width of the box, odd; a voxel takes any other one of its box that is not replaced itself with
            equal chance, of those inside the volume near its edges. So what the loss compares with, the values that
            were replaced, stands nowhere in the result.
        generator: where the random numbers come from.

    Returns:
        The volume with these voxels replaced, and their flat indices, int64 [n], sorted. Of high fractions some voxels
        have replaced ones alone in their boxes; these stay as they are and are not among the indices.

    Raises:
        ValueError: a fraction outside (0, 0.5], an even neighbourhood, a volume of one voxel.
    """
    if not 0 < fraction <= 0.5:
        raise InputError(f"fraction: expected a number in (0, 0.5], got {fraction}")
    if neighborhood < 3 or neighborhood % 2 == 0:
        raise InputError(f"neighborhood: expected an odd width of at least 3, got {neighborhood}")
    shape = volume.shape[-dimensions:]
    if math.prod(shape) < 2:
        raise InputError(f"volume {list(volume.shape)}: expected at least two voxels")
    count = max(1, round(fraction * volume.numel()))
    chosen = _different(volume.numel(), count, generator)
    chosen, sources = _untouched_neighbours(chosen, volume.numel(), shape, neighborhood // 2, generator)
    perturbed = volume.reshape(-1).clone()
    perturbed[chosen.to(volume.device)] = volume.reshape(-1)[sources.to(volume.device)]
    return perturbed.reshape(volume.shape), chosen.to(volume.device)


def _untouched_neighbours(
    chosen: Tensor, total: int, shape: torch.Size, half: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The chosen indices that have a neighbour that is not chosen, and one such for each, with equal chance."""
    is_chosen = torch.zeros(total, dtype=torch.bool)
    is_chosen[chosen] = True
    sources = _neighbours(chosen, shape, half, generator)
    for _ in range(_DRAWS):
        bad = is_chosen[sources].nonzero()[:, 0]
        if not len(bad):
            return chosen, sources
        sources[bad] = _neighbours(chosen[bad], shape, half, generator)
    good = ~is_chosen[sources]
    return chosen[good], sources[good]


def _different(total: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` different indices below `total`, sorted."""
    if 2 * count >= total:
        return torch.randperm(total, generator=generator)[:count].sort().values
    chosen = torch.empty(0, dtype=torch.int64)
    while len(chosen) < count:
        more = torch.randint(total, (count - len(chosen),), generator=generator)
        chosen = torch.cat([chosen, more]).unique()
    return chosen


def _neighbours(chosen: Tensor, shape: torch.Size, half: int, generator: torch.Generator) -> Tensor:
    """A flat index from the box around each flat index, not the index itself, each with equal chance."""
    places, widths, lows = [], [], []
    rest = chosen
    for n in reversed(shape):
        place = rest % n
        rest = rest // n
        low = (place - half).clamp_min(0)
        places.insert(0, place)
        lows.insert(0, low)
        widths.insert(0, (place + half).clamp_max(n - 1) - low + 1)
    size = math.prod(widths, start=torch.ones_like(chosen))
    own = torch.zeros_like(chosen)
    for place, low, width in zip(places, lows, widths, strict=True):
        own = own * width + (place - low)
    uniform = torch.rand(len(chosen), generator=generator, dtype=torch.float64)
    drawn = (uniform * (size - 1)).long().clamp_max(size - 2)
    drawn = drawn + (drawn >= own)  # all but the voxel itself
    index, stride = rest * math.prod(shape), 1
    for low, width, n in zip(reversed(lows), reversed(widths), reversed(shape), strict=True):
        index = index + (low + drawn % width) * stride
        drawn = drawn // width
        stride *= n
    return index
