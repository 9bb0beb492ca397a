"""Structural similarity as a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from sinograd.errors import InputError
from sinograd.metrics import ssim

Weights = Literal["gaussian", "uniform"]


class SSIM:
    """1 - mean structural similarity of all slices; 0 for equal images. See `sinograd.metrics.ssim`.

    Args:
        data_range: the difference of the largest and the smallest value that there can be, in units of the scale.
        weights: of the window: "gaussian" of `sigma` pixels (11 x 11 for 1.5), or "uniform" of `width` pixels.
        width: odd, for uniform weights.
        sigma: for Gaussian weights.
    """

    pointwise = False

    def __init__(
        self,
        data_range: float = 1.0,
        weights: Weights = "gaussian",
        width: int = 7,
        sigma: float = 1.5,
    ) -> None:
        if not 0 < data_range < math.inf:
            raise InputError(f"data_range: expected a positive number, got {data_range}")
        if weights not in ("gaussian", "uniform"):
            raise InputError(f"weights: expected gaussian or uniform, got {weights!r}")
        if width < 3 or width % 2 == 0:
            raise InputError(f"width: expected an odd number of at least 3, got {width}")
        if not 0 < sigma < math.inf:
            raise InputError(f"sigma: expected a positive number, got {sigma}")
        self.data_range, self.width, self.sigma = data_range, width, sigma
        self.weights: Weights = weights

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, []; errors as those of `sinograd.metrics.ssim`."""
        similarity = ssim(
            predicted,
            target,
            data_range=self.data_range * scale,
            weights=self.weights,
            width=self.width,
            sigma=self.sigma,
        )
        return (1 - similarity.mean()).to(predicted.dtype)

    def check(self, shape: Sequence[int]) -> None:
        """InputError unless the window fits into images [..., Y, X]."""
        least = self.width if self.weights == "uniform" else 2 * int(3.5 * self.sigma + 0.5) + 1
        if min(shape[-2:]) < least:
            raise InputError(f"expected images of at least {least} pixels along each axis for ssim, got {list(shape)}")
