"""How well projections of an image agree with what was measured: least squares, or photons counted."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import without_gradients
from sinograd.recon.iterative.inner_products import dot
from sinograd.recon.iterative.problem import check_values

FLOOR = 0.5  # photons that a ray without any counts as, where a logarithm is needed


class Fidelity(Protocol):
    """A convex function of line integrals l = A x.

    Attributes:
        projections: the line integrals that were measured, for residuals.
        weights: curvature of the function at these, broadcast to them; None for 1 everywhere.
        quadratic: whether the curvature is the same everywhere.
    """

    projections: Tensor
    weights: Tensor | None
    quadratic: bool

    def value(self, projected: Tensor, ndim: int) -> Tensor:
        """The function of line integrals whose last `ndim` dimensions are one problem, [...] float64."""
        ...

    def gradient_(self, projected: Tensor) -> Tensor:
        """Its gradient in the line integrals, written over them."""
        ...


class LeastSquares:
    """1/2 sum(weights (l - p)^2).

    Args:
        projections: p, line integrals.
        weights: from 0 up, broadcast to p; 1 if not given.
    """

    quadratic = True

    def __init__(self, projections: Tensor, weights: Tensor | None = None) -> None:
        self.projections, self.weights = projections, weights

    def value(self, projected: Tensor, ndim: int) -> Tensor:
        """See `Fidelity`."""
        difference = projected - self.projections
        weights = None if self.weights is None else self.weights.to(difference)
        return 0.5 * dot(difference, difference, ndim, weights)

    def gradient_(self, projected: Tensor) -> Tensor:
        """See `Fidelity`."""
        projected.sub_(self.projections)
        return projected if self.weights is None else projected.mul_(self.weights.to(projected))


class PoissonLikelihood:
    """Negative log-likelihood of photon counts: sum(b exp(-l) - n + n (l + ln(n / b))), 0 where l explains them.

    K. Lange, R. Carson, Journal of Computer Assisted Tomography 8(2), 1984; K. Sauer, C. Bouman, IEEE Transactions on
    Signal Processing 41(2), 1993. Give lower=0 to the algorithm: a photon count grows without limit where attenuation
    is negative.

    Memory: two copies of the projections, three with photons that differ from ray to ray.

    Args:
        counts: n, photons that each ray brought, [..., *range_shape], from 0 up.
        photons: b, photons without an object; a number or a tensor that broadcasts to the counts.

    Raises:
        ValueError: counts below 0 (subtract the detector's offset, or set what is below to 0), photons that are not
            above 0.
    """

    quadratic = False

    def __init__(self, counts: Tensor, photons: float | Tensor) -> None:
        counts = check_values("counts", counts)
        negative = int((counts < 0).sum())
        if negative:
            raise InputError(
                f"counts: expected photons from 0 up, got {negative} below 0, down to {float(counts.min()):g}: a "
                "Poisson likelihood is not defined there"
            )
        self.counts, self.photons = counts, check_photons(photons, counts)
        self.weights = counts
        self.projections = (counts.clamp(min=FLOOR) / self.photons).log_().neg_()

    @classmethod
    def from_line_integrals(cls, projections: Tensor, photons: float | Tensor) -> PoissonLikelihood:
        """Of line integrals p, which stand for photons exp(-p) counts."""
        projections = check_values("projections", projections)
        return cls(projections.neg().exp_().mul_(check_photons(photons, projections)), photons)

    def value(self, projected: Tensor, ndim: int) -> Tensor:
        """See `Fidelity`."""
        terms = projected.neg().exp_().mul_(self.photons).sub_(self.counts)
        terms.addcmul_(self.counts, projected).addcmul_(self.counts, self.projections, value=-1)
        # summed in float64 as an inner product with ones
        return dot(terms, torch.ones((), dtype=terms.dtype, device=terms.device).expand_as(terms), ndim)

    def gradient_(self, projected: Tensor) -> Tensor:
        """See `Fidelity`."""
        return projected.neg_().exp_().mul_(self.photons).neg_().add_(self.counts)


def photon_weights(projections: Tensor, photons: float | Tensor, electronic_noise: float | Tensor = 0.0) -> Tensor:
    """One over the variance of line integrals p: n^2 / (n + electronic_noise^2), with n = photons exp(-p).

    Weighted least squares with these is the Poisson likelihood to second order (K. Sauer, C. Bouman, IEEE Transactions
    on Signal Processing 41(2), 1993, eq. 12).

    Args:
        projections: p, any shape, float32 or float64.
        photons: in each ray without an object; a number or a tensor that broadcasts to p.
        electronic_noise: standard deviation, in photons, likewise.

    Raises:
        ValueError: photons that are not above 0, noise below 0, shapes that do not broadcast.
    """
    projections = check_values("projections", projections)
    without_gradients(electronic_noise, "electronic_noise")
    noise = torch.as_tensor(electronic_noise, dtype=projections.dtype, device=projections.device)
    if not bool(((noise >= 0) & torch.isfinite(noise)).all()):
        raise InputError("electronic_noise: expected finite numbers of photons from 0, got others")
    counts = projections.neg().exp_().mul_(check_photons(photons, projections))
    return counts.square().div_(counts.add_(noise.square()).clamp_(min=torch.finfo(counts.dtype).tiny))


def as_fidelity(projections: Tensor | Fidelity, weights: Tensor | None) -> Fidelity:
    """Least squares for projections; a fidelity is what it is and takes no weights."""
    if isinstance(projections, Tensor):
        return LeastSquares(projections, weights)
    if not all(hasattr(projections, name) for name in ("projections", "weights", "quadratic", "value", "gradient_")):
        raise InputTypeError(f"projections: expected a torch.Tensor or a Fidelity, got {type(projections).__name__}")
    if weights is not None:
        raise InputError(f"weights: {type(projections).__name__} has its own, expected none besides")
    return projections


def check_photons(photons: float | Tensor, like: Tensor) -> Tensor:
    """Photons as a tensor, checked to be positive and to broadcast."""
    without_gradients(photons, "photons")
    tensor = torch.as_tensor(photons, dtype=like.dtype, device=like.device)
    if not bool(((tensor > 0) & torch.isfinite(tensor)).all()):
        smallest = math.nan if bool(tensor.isnan().any()) else float(tensor.min())
        raise InputError(f"photons: expected finite numbers above 0, got {smallest:g}")
    try:
        fits = torch.broadcast_shapes(tensor.shape, like.shape) == like.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise InputError(f"photons: {list(tensor.shape)} does not broadcast to {list(like.shape)}")
    return tensor
