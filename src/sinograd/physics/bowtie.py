"""The bowtie filter of clinical scanners: fewer photons where the patient is thin."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import Geometry
from sinograd.geometry.checks import real


def bowtie_transmission(geometry: Geometry, radius: float, attenuation: float = 0.02) -> Tensor:
    """Fraction of the photons that an ideal bowtie filter lets through to each detector element.

    Ideal is the filter that, together with a cylinder of `radius` mm and `attenuation` 1/mm about the rotation
    axis, absorbs the same everywhere: exp(-attenuation (2 radius - chord)), with chord the length of the ray
    in the cylinder, seen along z. It is 1 on the ray through the axis and exp(-2 radius attenuation) beside
    the cylinder. Multiply by the photons of the axis' ray, `add_photon_noise(p, photons * fraction)`.

    Args:
        geometry: of the scan. The filter turns with the source, so the first view stands for all.
        radius: mm; half the width of a typical patient (about 160 for an adult body, 100 for a head).
        attenuation: of the cylinder, 1/mm; 0.02 is water at about 65 keV.

    Returns:
        float64 [rows, columns], [columns] for a 2-D geometry.

    Raises:
        ValueError: for a radius or attenuation that is not positive and finite.
    """
    radius, attenuation = real(radius, "radius"), real(attenuation, "attenuation")
    for name, value in (("radius", radius), ("attenuation", attenuation)):
        if not 0 < value < float("inf"):
            raise InputError(f"{name} must be positive and finite, got {value}")
    origin, direction = (part[0] for part in geometry.rays([0]))
    across = (origin[..., 0] * direction[..., 1] - origin[..., 1] * direction[..., 0]).abs()
    distance = across / torch.linalg.vector_norm(direction[..., :2], dim=-1)
    chord = 2 * (radius**2 - distance.square()).clamp(min=0).sqrt()
    return (-attenuation * (2 * radius - chord)).exp()
