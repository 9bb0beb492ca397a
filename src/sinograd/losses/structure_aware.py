"""The structure-aware loss of StructKPN: squared, absolute and similarity errors, weighted by the target's gradients.

StructKPN, `sinograd.networks.StructKPN`, equations 2 to 6: for each pixel, G is the matrix of the target's gradients in
the 11 x 11 pixels around it; l1 >= l2 are the eigenvalues of its G^T G, strength = l1, coherence
mu = (sqrt l1 - sqrt l2) / (sqrt l1 + sqrt l2), and

    (g1, g2, g3) = softmax(1.8 mu, 0.35, strength)
    loss = mean of (g1 (p - t)^2 + g2 |p - t| - g3 SSIM + |p - t|) / 2.

Where paper and public code differ: the code takes sqrt l1 for the strength, sums over 9 x 9 pixels, has other weights
of the absolute error, leaves out the factor 1/2, and multiplies one similarity of the whole batch. This is the paper's
equation, and `strength="sqrt"` the code's strength. The paper's similarity is one number for two patches; here it is
that of the Gaussian window of 11 x 11 pixels and sigma 1.5 around each pixel, with constants for the range 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.losses.unit_range import UnitRange, Window
from sinograd.metrics.structural_similarity import similarity_map

Strength = Literal["lambda", "sqrt"]

WIDTH = 11  # of the sums over gradients, and of the similarity's window
_COHERENCE, _FLAT = 1.8, 0.35
_TINY = 1e-12  # of gradients; they are differences of values in [0, 1]


class StructureAware(UnitRange):
    """StructKPN's loss of images [..., Y, X] in [0, 1]; see the module. It is negative for good predictions.

    Args:
        strength: "lambda", the largest eigenvalue, as in the paper; "sqrt", its root, as in the public code.
        window: (low, high) in the unit of the data, which become 0 and 1; None: values over the scale lie in [0, 1].
    """

    pointwise = False

    def __init__(self, strength: Strength = "lambda", window: Window = None) -> None:
        super().__init__(window)
        if strength not in ("lambda", "sqrt"):
            raise InputError(f"strength: expected lambda or sqrt, got {strength!r}")
        self.strength: Strength = strength

    def __call__(self, predicted: Tensor, target: Tensor, *, scale: float = 1.0) -> Tensor:
        """The loss, [], over the pixels whose 11 x 11 neighbours lie inside the image.

        Raises InputError for images below 11 x 11 pixels or of different shapes.
        """
        self.check(target.shape)
        p, t = self.in_unit_range(predicted.double(), target.double(), scale)
        squared, absolute, similar = self.weights(t).unbind(0)
        similarity = similarity_map(p, t, data_range=1.0)
        error = _inner(p - t)
        loss = squared * error.square() + (absolute + 1) * error.abs() - similar * similarity
        return (loss.mean() / 2).to(predicted.dtype)

    @torch.no_grad()
    def weights(self, target: Tensor) -> Tensor:
        """Those of squared, absolute and similarity error, [3, ..., Y - 10, X - 10], float64; of the target alone."""
        dy, dx = torch.gradient(target.double(), dim=(-2, -1))
        yy, xx, yx = (_sums(product) for product in (dy * dy, dx * dx, dy * dx))
        middle, half = (yy + xx) / 2, torch.sqrt(((yy - xx) / 2).square() + yx.square())
        largest = middle + half
        # the product of the eigenvalues over the larger one: their difference would round
        smallest = ((yy * xx - yx.square()) / largest.clamp_min(_TINY**2)).clamp_min(0)
        roots = largest.sqrt(), smallest.sqrt()
        coherence = (roots[0] - roots[1]) / (roots[0] + roots[1] + _TINY)
        strength = largest if self.strength == "lambda" else roots[0]
        flat = torch.full_like(strength, _FLAT)
        return torch.softmax(torch.stack([_COHERENCE * coherence, flat, strength]), 0)

    def check(self, shape: Sequence[int]) -> None:
        """InputError unless the window fits into images [..., Y, X]."""
        if len(shape) < 2 or min(shape[-2:]) < WIDTH:
            words = f"images of at least {WIDTH} pixels along each axis for structure-aware"
            raise InputError(f"expected {words}, got {list(shape)}")


def _inner(image: Tensor) -> Tensor:
    """The pixels whose windows fit."""
    margin = WIDTH // 2
    return image[..., margin:-margin, margin:-margin]


def _sums(values: Tensor) -> Tensor:
    """Sums over windows, where they fit."""
    return values.unfold(-2, WIDTH, 1).sum(-1).unfold(-1, WIDTH, 1).sum(-1)
