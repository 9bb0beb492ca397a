"""Stripes told by a polynomial over the views, fitted to each column and smoothed along the columns; linear."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.preparation.stripes.smoothing import smooth_columns


def fit_stripes(sinograms: Tensor, *, order: int = 2, width: float = 10.0) -> Tensor:
    """Sinograms [n, views, columns] without what is rough along the columns of a polynomial over the views; linear.

    Vo, Atwood and Drakopoulos 2018, algorithm 1; line integrals are corrected by a difference, where the paper's
    transmitted fractions are by a ratio. For stripes of objects whose sinogram changes little from column to column.

    Args:
        order: of the polynomial.
        width: columns, standard deviation of the Gaussian with which the polynomial's coefficients are smoothed.
    """
    if not 0 <= order < sinograms.shape[1]:
        raise InputError(f"order: expected 0 to {sinograms.shape[1] - 1}, got {order}")
    place = torch.linspace(-1, 1, sinograms.shape[1], dtype=torch.float64, device=sinograms.device)
    basis = torch.linalg.qr(place[:, None] ** torch.arange(order + 1, device=place.device)).Q.to(sinograms)
    fitted = basis.T @ sinograms  # [n, order + 1, columns]
    return sinograms - basis @ (fitted - smooth_columns(fitted, width))
