"""A denoising network on volumes in the units of the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError

# Pixels that a network takes at a time without gradients; 96 channels of them are 100 MB.
_PIXELS = 512 * 512


class NetworkDenoiser(nn.Module):
    """scale * network((volume - offset) / scale) + offset, slice by slice.

    Without gradients, the network takes as many slices at a time as have 512 x 512 pixels together, at least
    one; RED-CNN takes about 0.6 GB for that. With gradients all go at once.

    Args:
        network: images [B, 1, Y, X] to the same shape, such as those of `sinograd.networks`.
        offset, scale: what becomes 0, and the distance from it that becomes 1, in the units of the data.

    Raises:
        ValueError: a scale that is not positive, or numbers that are not finite.
    """

    ndim = 2  # a slice does not depend on its neighbours

    def __init__(self, network: nn.Module, offset: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        if not math.isfinite(offset):
            raise InputError(f"offset: expected a finite number, got {offset}")
        if not (math.isfinite(scale) and scale > 0):
            raise InputError(f"scale: expected a positive number, got {scale}")
        self.network = network
        self.offset, self.scale = float(offset), float(scale)

    def forward(self, volume: Tensor) -> Tensor:
        """The denoised volume [..., Y, X], of the same type.

        Raises:
            ValueError: no images. TypeError: numbers of another type than the network's weights.
        """
        self._check(volume)
        images = volume.reshape(-1, 1, *volume.shape[-2:])
        if torch.is_grad_enabled():
            return self._denoised(images).reshape(volume.shape)
        result = torch.empty_like(images)
        step = max(1, _PIXELS // math.prod(volume.shape[-2:]))
        for start in range(0, len(images), step):
            result[start : start + step] = self._denoised(images[start : start + step])
        return result.reshape(volume.shape)

    def _denoised(self, images: Tensor) -> Tensor:
        # mixed precision gives half of it: enough for the network, too coarse for HU
        normalised = self.network((images - self.offset) / self.scale).to(images.dtype)
        return normalised * self.scale + self.offset

    def _check(self, volume: Tensor) -> None:
        if volume.ndim < 2 or volume.numel() == 0:
            raise InputError(f"volume: expected slices [..., Y, X], got {list(volume.shape)}")
        weights = next(self.network.parameters(), None)
        if weights is not None and volume.dtype != weights.dtype:
            raise InputTypeError(f"volume: expected {weights.dtype} as the network's weights have, got {volume.dtype}")

    def extra_repr(self) -> str:
        """The normalisation."""
        return f"offset={self.offset:g}, scale={self.scale:g}"
