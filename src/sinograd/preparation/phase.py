"""Phase contrast: the thickness of an object of one material from one image at a distance (Paganin)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry.checks import number, positive
from sinograd.ops.derivatives import constant, transformed

if TYPE_CHECKING:
    from sinograd.physics import Material

KEV_MM = 1.239841984e-6  # Planck's constant x velocity of light: wavelength in mm times energy in keV


def paganin(
    transmission: Tensor,
    *,
    pixel_mm: float | tuple[float, float],
    distance_mm: float,
    energy: float,
    delta_beta: float | None = None,
    material: str | Material | None = None,
    source_mm: float | None = None,
) -> Tensor:
    """Line integrals of the attenuation of an object of one material, from images with edge enhancement.

    D. Paganin, S. C. Mayo, T. E. Gureyev, P. R. Miller, S. W. Wilkins, "Simultaneous phase and amplitude extraction
    from a single defocused image of a homogeneous object", Journal of Microscopy 206(1), 2002: the transmission is
    divided by 1 + z lambda delta / (4 pi beta) k^2 in Fourier space, k in radians a length, and its logarithm taken.
    Divided by the attenuation the result is the thickness. Linear before the logarithm, and differentiable.

    Args:
        transmission: images over the open beam [..., rows, columns].
        pixel_mm: of the detector, one number or (row, column).
        distance_mm: from the object to the detector.
        energy: keV.
        delta_beta: decrement of the refractive index over absorption index, delta / beta.
        material: instead, what the object is made of.
        source_mm: from the source to the object, for cone beams: pixels are those at the object, and the distance is
            z1 z2 / (z1 + z2). None: parallel beams.

    Raises:
        TypeError, ValueError: no tensor of positive fractions, a wrong number, both or none of the two ratios.
    """
    if not isinstance(transmission, Tensor) or not transmission.is_floating_point() or transmission.ndim < 2:
        raise InputTypeError("transmission must be a tensor of floating-point numbers [..., rows, columns]")
    if transformed(transmission):
        constant(transmission)  # an error in a batch of torch.vmap
    if not bool((transmission.detach() > 0).all()):
        low = float(transmission.detach().min())
        raise InputError(f"transmission: expected positive fractions of the open beam, got {low:g}")
    if (delta_beta is None) == (material is None):
        raise InputError("paganin: expected either delta_beta or a material")
    kev, z = positive(energy, "energy"), positive(distance_mm, "distance_mm")
    ratio = _ratio(material, kev) if material is not None else positive(delta_beta, "delta_beta")
    pixel = pixel_mm if isinstance(pixel_mm, tuple | list) else (pixel_mm, pixel_mm)
    rows, columns = (positive(value, "pixel_mm") for value in pixel)
    if source_mm is not None:
        z1 = positive(source_mm, "source_mm")
        magnification = (z1 + z) / z1
        z, rows, columns = z / magnification, rows / magnification, columns / magnification
    strength = z * KEV_MM / kev * ratio / (4 * math.pi)
    return -_low_pass(transmission, strength, (rows, columns)).log()


def _low_pass(images: Tensor, strength: float, pixel: tuple[float, float]) -> Tensor:
    """Images over 1 + strength k^2; continued by their mirror images, so that opposite edges do not mix."""
    rows, columns = images.shape[-2:]
    wide = torch.cat([images, images.flip(-1)], -1)
    both = torch.cat([wide, wide.flip(-2)], -2)
    ky = 2 * math.pi * torch.fft.fftfreq(2 * rows, pixel[0], dtype=torch.float64)
    kx = 2 * math.pi * torch.fft.rfftfreq(2 * columns, pixel[1], dtype=torch.float64)
    weight = (1 / (1 + strength * (ky[:, None] ** 2 + kx**2))).to(images)
    return torch.fft.irfft2(torch.fft.rfft2(both) * weight, s=both.shape[-2:])[..., :rows, :columns]


def _ratio(material: str | Material, kev: float) -> float:
    """Delta over beta, from xraydb's scattering factors."""
    from sinograd.physics import Material, attenuation
    from sinograd.physics.materials import xraydb

    found = Material.of(material)
    package = xraydb()
    electrons = 0.0  # mol/cm^3, with the anomalous part
    for symbol, share in found.parts.items():
        number_of = package.atomic_number(symbol) + float(package.f1_chantler(symbol, kev * 1000))
        electrons += share * found.density * number_of / package.atomic_mass(symbol)
    wavelength = KEV_MM / kev
    delta = 2.8179403e-12 * wavelength**2 / (2 * math.pi) * electrons * 6.02214076e23 / 1000  # classical radius, mm
    beta = number(attenuation(found, kev), "attenuation") * wavelength / (4 * math.pi)
    return delta / beta
