"""The loss of JBFnet: squared error and edges of the output, of the prior and of the blocks before the last.

M. Patwari, R. Gutjahr, R. Raupach, A. Maier, "JBFnet - low dose CT denoising by trainable joint bilateral filtering",
MICCAI 2020, and the authors' code: MSE + 0.1 edges of the output, + 0.1 MSE of the prior, + 0.1 (MSE + 0.1 edges) of
each of the first three blocks. Edges are absolute differences of Sobel's gradients, whose masks are not divided there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from sinograd.errors import InputError
from sinograd.losses.errors import mse
from sinograd.losses.sobel import Sobel

_MASKS = 4.0  # the authors' masks over those of `sobel`


class JBFNetLoss:
    """JBFnet's loss, in units of the scale (4096 HU in the paper); see the module.

    `stages` of a call are the prior and the outputs of the blocks before the last. Without them, as for networks that
    have none, it is the loss of the output alone.

    Args:
        edges: weight of the gradients.
        prior: weight of the squared error of the prior.
        blocks: weight of the loss of each block before the last.
    """

    pointwise = False
    takes_stages = True

    def __init__(self, edges: float = 0.1, prior: float = 0.1, blocks: float = 0.1) -> None:
        for name, value in (("edges", edges), ("prior", prior), ("blocks", blocks)):
            if not 0 <= value < math.inf:
                raise InputError(f"{name}: expected a number that is not negative, got {value}")
        self.edges, self.prior, self.blocks = edges, prior, blocks
        self._sobel = Sobel("components")

    def __call__(
        self, predicted: Tensor, target: Tensor, *, scale: float = 1.0, stages: Sequence[Tensor] = ()
    ) -> Tensor:
        """The loss, []; stages: the prior and the blocks before the last, each of the shape of the target."""
        loss = self._one(predicted, target, scale)
        if stages:
            prior, *blocks = stages
            loss = loss + self.prior * mse(prior, target, scale=scale)
            for block in blocks:
                loss = loss + self.blocks * self._one(block, target, scale)
        return loss

    def _one(self, predicted: Tensor, target: Tensor, scale: float) -> Tensor:
        edges = _MASKS * self._sobel(predicted, target, scale=scale)
        return mse(predicted, target, scale=scale) + self.edges * edges

    def check(self, shape: Sequence[int]) -> None:
        """InputError unless the masks fit into images [..., Y, X]."""
        self._sobel.check(shape)
