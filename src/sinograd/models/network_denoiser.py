"""A denoising network on volumes in the units of the data."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError, NonFiniteWarning

# Pixels that a network takes at a time without gradients; 96 channels of them are 100 MB.
_PIXELS = 512 * 512
_VOXELS = 16 * _PIXELS  # the same of networks of volumes, besides those that are computed for the others only


class NetworkDenoiser(nn.Module):
    """scale * network((volume - offset) / scale) + offset, slice by slice or, of networks of volumes, at once.

    Without gradients, the network takes as many slices at a time as have 512 x 512 pixels together, at least
    one; RED-CNN takes about 0.6 GB for that. Networks of volumes take slabs with what they depend on, and give
    the result of the whole. With gradients all go at once.

    Args:
        network: images [B, 1, Y, X] or volumes [B, 1, Z, Y, X] to the same shape, such as those of
            `sinograd.networks`.
        offset, scale: what becomes 0, and the distance from it that becomes 1, in the units of the data.

    Raises:
        ValueError: a scale that is not positive, or numbers that are not finite.
    """

    def __init__(self, network: nn.Module, offset: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        if not math.isfinite(offset):
            raise InputError(f"offset: expected a finite number, got {offset}")
        if not (math.isfinite(scale) and scale > 0):
            raise InputError(f"scale: expected a positive number, got {scale}")
        self.network = network
        self.offset, self.scale = float(offset), float(scale)

    @property
    def ndim(self) -> int:
        """2: a slice does not depend on its neighbours. 3: it does."""
        return 3 if getattr(self.network, "slices", 1) > 1 else getattr(self.network, "ndim", 2)

    @property
    def reach(self) -> int:
        """How many slices away those are that a slice depends on; any number where the network does not say."""
        if getattr(self.network, "ndim", 2) == 3:
            reach: Any = getattr(self.network, "reach", None)
            return sys.maxsize if reach is None else int(reach[0])
        return getattr(self.network, "slices", 1) // 2

    def forward(self, volume: Tensor) -> Tensor:
        """The denoised volume [..., (Z,) Y, X], of the same type; of networks with a margin, in training a smaller one.

        Raises:
            ValueError: no images, or no volumes; a network that makes other shapes of them. TypeError: numbers of
                another type than the network's weights.

        Warns:
            NonFiniteWarning: in evaluation, where finite values have become NaN or infinite.
        """
        self._check(volume)
        denoised = self._applied(volume)
        if not self.training and not torch.compiler.is_compiling():
            _warn_of_lost_values(volume.detach(), denoised.detach(), type(self.network).__name__)
        return denoised

    def _applied(self, volume: Tensor) -> Tensor:
        if self.ndim == 3:
            volumes = volume.reshape(-1, 1, *volume.shape[-3:])
            denoised = self._denoised(volumes) if torch.is_grad_enabled() else self._in_slabs(volumes)
            return denoised.reshape(*volume.shape[:-3], *denoised.shape[-3:])
        images = volume.reshape(-1, 1, *volume.shape[-2:])
        if torch.is_grad_enabled():
            return self._denoised(images).reshape(volume.shape)
        result = torch.empty_like(images)
        step = max(1, _PIXELS // math.prod(volume.shape[-2:]))
        for start in range(0, len(images), step):
            result[start : start + step] = self._denoised(images[start : start + step])
        return result.reshape(volume.shape)

    def with_stages(self, volume: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The denoised volume and what the network makes on its way, if it has `with_stages`, as JBFnet; else ().

        In the units of the data; raises as `forward` and as the network.
        """
        if not hasattr(self.network, "with_stages"):
            return self(volume), ()
        self._check(volume)
        images = volume.reshape(-1, 1, *volume.shape[-self.ndim :])
        denoised, stages = self.network.with_stages((images - self.offset) / self.scale)  # pyright: ignore

        def placed(image: Tensor) -> Tensor:
            values = image.to(volume.dtype) * self.scale + self.offset
            return values.reshape(*volume.shape[: -self.ndim], *values.shape[-self.ndim :])

        return placed(denoised), tuple(placed(stage) for stage in stages)

    def _in_slabs(self, volumes: Tensor) -> Tensor:
        """[B, 1, Z, Y, X], in parts along z with the slices that they depend on."""
        if self.training and any(getattr(self.network, "margin", ())):
            return self._denoised(volumes)
        slices, reach = volumes.shape[2], min(self.reach, volumes.shape[2])
        result = torch.empty_like(volumes)
        step = slices if reach == slices else max(1, _VOXELS // math.prod(volumes.shape[-2:]))
        for one, out in zip(volumes.split(1), result.split(1), strict=True):
            for start in range(0, slices, step):
                first, stop = max(0, start - reach), min(start + step, slices)
                part = self._denoised(one[:, :, first : stop + reach])
                out[:, :, start:stop] = part[:, :, start - first : stop - first]
        return result

    def _denoised(self, images: Tensor) -> Tensor:
        # mixed precision gives half of it: enough for the network, too coarse for HU
        apply = getattr(self.network, "volumes", self.network) if self.ndim == 3 else self.network
        made = apply((images - self.offset) / self.scale)
        if not isinstance(made, Tensor) or (made.shape != images.shape if self.ndim == 2 else made.ndim != 5):
            got = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise InputError(f"{type(self.network).__name__}: expected to make {list(images.shape)} of it, got {got}")
        return made.to(images.dtype) * self.scale + self.offset

    def _check(self, volume: Tensor) -> None:
        if volume.ndim < self.ndim or volume.numel() == 0:
            expected = "slices [..., Y, X]" if self.ndim == 2 else "volumes [..., Z, Y, X]"
            raise InputError(f"volume: expected {expected}, got {list(volume.shape)}")
        weights = next(self.network.parameters(), None)
        if weights is not None and weights.is_floating_point() and volume.dtype != weights.dtype:
            raise InputTypeError(f"volume: expected {weights.dtype} as the network's weights have, got {volume.dtype}")

    def extra_repr(self) -> str:
        """The normalisation."""
        return f"offset={self.offset:g}, scale={self.scale:g}"


def _warn_of_lost_values(volume: Tensor, denoised: Tensor, network: str) -> None:
    """A warning with the count of voxels that were finite and are not any more."""
    if bool(torch.isfinite(denoised).all()):
        return
    lost = ~torch.isfinite(denoised) & torch.isfinite(volume)
    if bool(lost.any()):
        most = float(volume[torch.isfinite(volume)].abs().max())
        warnings.warn(
            f"{network} made NaN or infinite values of {int(lost.sum()):,} of {lost.numel():,} finite ones: the input, "
            f"of up to {most:.4g}, is far outside what it was trained on (metal, another unit)",
            NonFiniteWarning,
            stacklevel=4,
        )
