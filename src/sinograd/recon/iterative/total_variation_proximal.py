"""The proximal map of total variation, and denoising by it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError, UnsupportedError
from sinograd.ops.derivatives import transformed
from sinograd.recon.iterative.total_variation import TotalVariation


class TotalVariationProximal:
    """The proximal map of weight * TV within bounds: argmin of 1/2 |x - b|^2 + weight TV(x).

    A. Beck, M. Teboulle, "Fast gradient-based algorithms for constrained total variation image denoising and deblurring
    problems", IEEE Transactions on Image Processing 18(11), 2009, algorithm FGP: accelerated projected gradients on
    the dual. The dual of one call starts the next one, so that in an outer loop few iterations a call are enough.

    Memory: 2 images for each dimension.

    Args:
        shape: of the images with their batch.
        variation: the TotalVariation.
        bounds: the least and the largest value: numbers, tensors that broadcast, or None.
        like: tensor of the dtype and on the device of the images.
    """

    def __init__(
        self,
        shape: Sequence[int],
        variation: TotalVariation,
        bounds: tuple[float | Tensor | None, float | Tensor | None],
        like: Tensor,
    ) -> None:
        self.variation, self.bounds = variation, bounds
        self.dual = like.new_zeros((variation.ndim, *shape))
        self.ahead = like.new_zeros((variation.ndim, *shape))

    def __call__(self, b: Tensor, weight: float, iterations: int, out: Tensor) -> Tensor:
        """The map of b, written to `out` (which is not b)."""
        if weight == 0 or iterations == 0:
            return self._bounded_(out.copy_(b))
        self.ahead.copy_(self.dual)
        momentum, step = 1.0, 1 / (weight * self.variation.bound)
        for _ in range(iterations):
            self._primal(b, weight, self.ahead, out)
            before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            self.variation.ascend_(self.dual, out, step, 1.0, self.ahead, (before - 1) / momentum)
        return self._primal(b, weight, self.dual, out)

    def _primal(self, b: Tensor, weight: float, dual: Tensor, out: Tensor) -> Tensor:
        """The image that belongs to a dual: b + weight * divergence, within bounds."""
        lower, upper = self.bounds
        if isinstance(lower, Tensor) or isinstance(upper, Tensor):
            return self._bounded_(self.variation.descend(b, dual, weight, out))
        numbers = -math.inf if lower is None else lower, math.inf if upper is None else upper
        return self.variation.descend(b, dual, weight, out, numbers)

    def _bounded_(self, image: Tensor) -> Tensor:
        lower, upper = self.bounds
        return image if lower is None and upper is None else image.clamp_(lower, upper)  # type: ignore[arg-type]


def tv_denoise(
    image: Tensor,
    weight: float,
    *,
    ndim: int | None = None,
    spacing: Sequence[float] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    iterations: int = 50,
) -> Tensor:
    """Denoises: argmin of 1/2 |x - image|^2 + weight TV(x) within bounds; see `TotalVariationProximal`.

    Args:
        image: [..., (Z,) Y, X], float32 or float64.
        weight: in the units of the image.
        ndim: how many of the last dimensions are an image's; all if not given.
        spacing: of the voxels along these; all the same if not given.
        lower, upper: bounds.
        iterations: of the dual.

    Raises:
        ValueError: a weight below 0, or a spacing that does not fit ndim.
    """
    if not 0 <= weight < math.inf:
        raise InputError(f"weight: expected a number from 0, got {weight}")
    if transformed(image):
        raise UnsupportedError("image: tv_denoise has no derivatives for torch.func: expected a plain tensor")
    ndim = (image.ndim if spacing is None else len(spacing)) if ndim is None else ndim
    if not 1 <= ndim <= image.ndim or (spacing is not None and len(spacing) != ndim):
        raise InputError(f"ndim: expected from 1 to {image.ndim} and one spacing for each, got {ndim} and {spacing}")
    variation = TotalVariation([1.0] * ndim if spacing is None else spacing)
    with torch.no_grad():
        proximal = TotalVariationProximal(image.shape, variation, (lower, upper), image)
        return proximal(image.detach(), weight, iterations, torch.empty_like(image))
