"""Invertible blocks of a conditional flow.

Each maps (z [B, C], condition [B, E]) to (v [B, C], log |det dv/dz| [B]), and back with `inverse`.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.errors import MissingPackageError
from sinograd.invariance.act_norm import ActNorm

_SLOPE = 0.01  # of the LeakyReLU in the networks of the couplings


class LeakyUnit(nn.Module):
    """Negative values times `slope`. Its log-determinant is log(slope) times their number.

    The public code of E. Eulig et al. returns 0 for it, so that its likelihood lacks this term.
    """

    def __init__(self, slope: float = 0.9) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C] to [B, C] and [B]."""
        negative = z < 0
        return torch.where(negative, self.slope * z, z), math.log(self.slope) * negative.sum(dim=1).to(z.dtype)

    def inverse(self, v: Tensor) -> Tensor:
        """[B, C] to [B, C]."""
        return torch.where(v < 0, v / self.slope, v)


class FlowBlock(nn.Module):
    """ActNorm, leaky unit, two conditional affine couplings with the halves swapped between, a fixed permutation.

    The couplings are FrEIA's `RNVPCouplingBlock` with clamp 1 and tanh: the logarithm of each scale lies in [-1, 1],
    and scale and shift have networks of their own.

    Args:
        latent: C, even.
        embedding: E.
        hidden: width of the three hidden layers of each network.
        order: the permutation [C].

    Raises:
        MissingPackageError: FrEIA is not installed.
    """

    order: Tensor

    def __init__(self, latent: int, embedding: int, hidden: int, order: Tensor) -> None:
        super().__init__()
        self.normalise = ActNorm(latent)
        self.activate = LeakyUnit()
        self.couple = _freia().RNVPCouplingBlock(
            [(latent,)],
            dims_c=[(embedding,)],
            subnet_constructor=lambda inputs, outputs: _perceptron(inputs, hidden, outputs),
            clamp=1.0,
            clamp_activation="TANH",
        )
        self.register_buffer("order", order)

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """As the module says."""
        z, of_unit = self.activate(self.normalise(z))
        (z,), of_coupling = self.couple([z], c=[condition])
        return z[:, self.order], self.normalise.log_determinant() + of_unit + of_coupling

    def inverse(self, v: Tensor, condition: Tensor) -> Tensor:
        """As the module says."""
        (v,), _ = self.couple([v[:, self.order.argsort()]], c=[condition], rev=True)
        return self.normalise.inverse(self.activate.inverse(v))


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    widths = (inputs, hidden, hidden, hidden)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))


def _freia() -> Any:
    if importlib.util.find_spec("FrEIA") is None:
        raise MissingPackageError("ConditionalFlow needs FrEIA: pip install 'sinograd[invariance]'", name="FrEIA")
    return importlib.import_module("FrEIA.modules")
