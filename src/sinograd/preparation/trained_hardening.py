"""A polynomial for beam hardening that is trained end to end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sinograd.preparation.beam_hardening import correct_beam_hardening


class BeamHardening(nn.Module):
    """c1 p + c2 p^2 + ... of line integrals p, with coefficients that are trained; any shape.

    Args:
        coefficients: to start from; (1, 0, 0, 0) changes nothing.
    """

    def __init__(self, coefficients: Sequence[float] = (1.0, 0.0, 0.0, 0.0)) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.tensor([float(c) for c in coefficients]))

    def forward(self, line_integrals: Tensor) -> Tensor:
        """The corrected line integrals."""
        return correct_beam_hardening(line_integrals, self.coefficients.to(line_integrals))
