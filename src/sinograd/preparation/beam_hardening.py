"""Beam hardening: a polynomial that makes measured line integrals proportional to length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import parameter

if TYPE_CHECKING:
    from sinograd.physics import DetectorResponse, Material, Spectrum


def correct_beam_hardening(
    line_integrals: Tensor,
    coefficients: Sequence[float] | Tensor | None = None,
    *,
    spectrum: Spectrum | None = None,
    material: str | Material = "water",
    detector: str | DetectorResponse = "integrating",
    energy: float | None = None,
) -> Tensor:
    """c1 p + c2 p^2 + ... of line integrals p, any shape; differentiable in both.

    G. T. Herman, "Correction for beam hardening in computed tomography", Physics in Medicine and Biology 24(1), 1979.
    There is no constant term: no object stays no object.

    Args:
        line_integrals: as measured.
        coefficients: (c1, c2, ...), from a step wedge (`beam_hardening_polynomial`) or from the scan itself
            (`flat_polynomial`, `segmented_polynomial`, `consistent_polynomial`).
        spectrum, material, detector, energy: instead of coefficients: those of `spectral_polynomial`, up to the largest
            of the line integrals. For bone or metal in water see `correct_two_materials`.

    Raises:
        ValueError: no coefficients, or coefficients that are not finite; coefficients and a spectrum.
    """
    if (coefficients is None) == (spectrum is None):
        raise InputError("correct_beam_hardening: expected either coefficients (c1, c2, ...) or a spectrum")
    if spectrum is not None:
        from sinograd.preparation.spectral_hardening import spectral_polynomial

        if not isinstance(line_integrals, Tensor) or not line_integrals.numel():
            raise InputTypeError("line_integrals must be a tensor that is not empty")
        most = float(line_integrals.detach().max())
        coefficients = spectral_polynomial(spectrum, material, detector=detector, energy=energy, largest=most)
    assert coefficients is not None
    numbers = _checked(coefficients)
    result = torch.zeros_like(line_integrals)
    for coefficient in reversed(numbers):
        result = (result + coefficient) * line_integrals
    return result


def correct_beam_hardening_(line_integrals: Tensor, coefficients: Sequence[float]) -> Tensor:
    """The same in place, with one copy of the line integrals."""
    *rest, last = [float(c) for c in _checked(coefficients)]
    measured = line_integrals.clone()
    line_integrals.mul_(last)
    for coefficient in reversed(rest):
        line_integrals.add_(coefficient).mul_(measured)
    return line_integrals


def beam_hardening_polynomial(
    lengths: Sequence[float] | np.ndarray,
    line_integrals: Sequence[float] | np.ndarray,
    attenuation: float | None = None,
    degree: int = 3,
) -> tuple[float, ...]:
    """Coefficients (c1, ..., c_degree) from what was measured behind known lengths of one material (a step wedge).

    Least squares of attenuation x length = c1 p + c2 p^2 + ...

    Args:
        lengths: mm. line_integrals: measured, as many.
        attenuation: 1/mm, what the corrected line integrals are to mean; None: keeps the slope at p = 0, so c1 = 1.
        degree: of the polynomial.

    Raises:
        ValueError: lengths and line integrals that differ in number, too few for the degree, or not finite.
    """
    length, p = (np.asarray(v, dtype=np.float64).ravel() for v in (lengths, line_integrals))
    if degree < 1 or len(length) != len(p) or len(p) < degree:
        raise InputError(
            f"lengths, line_integrals: expected as many of each and at least degree = {degree} of them, "
            f"got {len(length)} and {len(p)}"
        )
    if not (np.isfinite(length).all() and np.isfinite(p).all() and (p > 0).any()):
        raise InputError("lengths, line_integrals: expected finite numbers, and line integrals above zero")
    powers = p[:, None] ** np.arange(1, degree + 1)
    found = np.linalg.lstsq(powers, length, rcond=None)[0]
    scaled = found / found[0] if attenuation is None else found * attenuation
    return tuple(float(c) for c in scaled)


def _checked(coefficients: Sequence[float] | Tensor) -> Sequence[float] | Tensor:
    """The coefficients as a tensor, or as numbers and tensors that may require gradients."""
    if not isinstance(coefficients, Tensor):
        coefficients = [parameter(c, "coefficients") for c in coefficients]  # pyright: ignore[reportAssignmentType]
    values = (
        coefficients if isinstance(coefficients, Tensor) else [float(torch.as_tensor(c).detach()) for c in coefficients]
    )
    numbers = torch.as_tensor(values, dtype=torch.float64)
    if numbers.ndim != 1 or len(numbers) == 0 or not bool(torch.isfinite(numbers.detach()).all()):
        raise InputError(f"coefficients: expected finite numbers (c1, c2, ...), got {coefficients}")
    return coefficients
