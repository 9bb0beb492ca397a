"""Denoisers whose invariances are known, and conditions that belong to other images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, pad

from sinograd.errors import InputError
from sinograd.invariance.sampling import Denoiser


def identity(x: Tensor) -> Tensor:
    """Ignores nothing."""
    return x


class Constant:
    """Ignores everything: every pixel becomes `hu`."""

    def __init__(self, hu: float = 0.0) -> None:
        if not math.isfinite(hu):
            raise InputError(f"hu: expected a finite number, got {hu}")
        self.hu = hu

    def __call__(self, x: Tensor) -> Tensor:
        """Images of the shape of `x`."""
        return torch.full_like(x, self.hu)


class LesionEraser:
    """Ignores small bright structures: a Gaussian filter, then a grey opening, which removes what is narrower than it.

    An analysis that finds what denoisers ignore must expose it.

    Args:
        diameter: rows and columns of the opening's square in pixels, odd: bright structures that it does not fit into
            vanish.
        sigma: of the Gaussian in pixels.
    """

    def __init__(self, diameter: int = 9, sigma: float = 1.0) -> None:
        if diameter < 3 or diameter % 2 == 0:
            raise InputError(f"diameter: expected an odd number of pixels, at least 3, got {diameter}")
        if not 0 < sigma < math.inf:
            raise InputError(f"sigma: expected a positive number of pixels, got {sigma}")
        self.diameter, self.sigma = diameter, sigma

    def __call__(self, x: Tensor) -> Tensor:
        """[B, 1, Y, X] to the same shape."""
        return self._dilated(-self._dilated(-self._smooth(x)))

    def _smooth(self, x: Tensor) -> Tensor:
        reach = math.ceil(3 * self.sigma)
        steps = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
        weights = torch.exp(-((steps / self.sigma) ** 2) / 2)
        weights = (weights / weights.sum()).view(1, 1, -1, 1)
        wide = pad(x, (reach,) * 4, mode="replicate")
        return conv2d(conv2d(wide, weights), weights.transpose(2, 3))

    def _dilated(self, x: Tensor) -> Tensor:
        return max_pool2d(x, self.diameter, stride=1, padding=self.diameter // 2)


class Shuffled:
    """The outputs of a denoiser, each given to another image of the batch: conditions that say nothing of `x`.

    Args:
        denoiser: from [B, 1, Y, X] to the same shape, B at least 2.
        generator: of the order. The images are shifted by a random number of places, so that none keeps its own.
    """

    def __init__(self, denoiser: Denoiser, generator: torch.Generator) -> None:
        self.denoiser, self.generator = denoiser, generator

    def __call__(self, x: Tensor) -> Tensor:
        """As the denoiser; InputError for a batch of one."""
        if len(x) < 2:
            raise InputError("x: expected at least 2 images to shuffle their conditions, got 1")
        places = int(torch.randint(1, len(x), (), generator=self.generator))
        return self.denoiser(x).roll(places, dims=0)
