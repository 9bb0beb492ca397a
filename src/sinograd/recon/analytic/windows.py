"""Windows of the ramp filter: functions of the frequency as a fraction of the cut-off, 0 to 1; tensor in, tensor out.

`sinograd.choices.WINDOWS` lists them. To add one, write it here and enter it there; beyond the cut-off the filter is
zero whatever the function says.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ram_lak(x: Tensor) -> Tensor:
    """1: the ramp itself (G. N. Ramachandran, A. V. Lakshminarayanan, PNAS 68(9), 1971)."""
    return torch.ones_like(x)


def shepp_logan(x: Tensor) -> Tensor:
    """Sin(pi x / 2) / (pi x / 2) (L. A. Shepp, B. F. Logan, IEEE Transactions on Nuclear Science 21(3), 1974)."""
    return torch.sinc(x / 2)


def cosine(x: Tensor) -> Tensor:
    """Half a cosine, 0 at the cut-off."""
    return torch.cos(math.pi * x / 2)


def lanczos(x: Tensor) -> Tensor:
    """Sin(pi x) / (pi x), 0 at the cut-off: the factors with which C. Lanczos lessens Gibbs' oscillations.

    C. Lanczos, "Applied Analysis", Prentice Hall, 1956; among the filters of the ASTRA toolbox.
    """
    return torch.sinc(x)


def hamming(x: Tensor) -> Tensor:
    """0.54 + 0.46 cos(pi x): 0.08 at the cut-off."""
    return 0.54 + 0.46 * torch.cos(math.pi * x)


def hann(x: Tensor) -> Tensor:
    """0.5 + 0.5 cos(pi x), 0 at the cut-off."""
    return 0.5 + 0.5 * torch.cos(math.pi * x)


def blackman(x: Tensor) -> Tensor:
    """0.42 + 0.5 cos(pi x) + 0.08 cos(2 pi x), 0 at the cut-off: the smoothest here.

    R. B. Blackman, J. W. Tukey, "The Measurement of Power Spectra", Dover, 1958, with the rounded coefficients that
    are in use; F. J. Harris, Proceedings of the IEEE 66(1), 1978.
    """
    return 0.42 + 0.5 * torch.cos(math.pi * x) + 0.08 * torch.cos(2 * math.pi * x)
