"""Cylinders along z for checks of scanners: water for Hounsfield units and noise, rods for sharpness.

A cylinder is an ellipsoid that is `LENGTH` times as long as wide: as far from the plane z = 0 as its radius, it is
thinner by 1 / (2 LENGTH^2), 0.02 %.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.phantoms.ellipsoids import Ellipsoids

LENGTH = 50
ROD_DIAMETERS = (0.06, 0.04, 0.03, 0.02, 0.015, 0.01)
"""Of the rods of `rods`, group by group, as fractions of the cylinder's radius."""
_ROWS = 6


def water(radius: float = 100.0, value: float = 0.0193) -> Ellipsoids:
    """A cylinder of `radius` mm that attenuates evenly, about the z axis.

    The phantom of acceptance tests for the CT number of water, evenness and noise (IEC 61223-3-5). The default value,
    1/mm, is that of water at 70 keV (J. H. Hubbell, S. M. Seltzer, NISTIR 5632, 1995).
    """
    return _cylinders(value, _checked(radius), torch.zeros(1, 2, dtype=torch.float64))


def rods(radius: float = 100.0, value: float = 0.02, contrast: float = 0.02) -> Ellipsoids:
    """A cylinder of `radius` mm and `value` 1/mm with six groups of 21 rods that have `contrast` more.

    As in the phantoms of S. E. Derenzo (1977): equilateral triangles of rods, two diameters from centre to centre, a
    group in each sector of 60 degrees, from +x counter-clockwise. Where the rods of a diameter d are told apart, the
    image shows 1 / (2 d) line pairs per mm. `ROD_DIAMETERS` holds the diameters: at a radius of 100 mm 6, 4, 3, 2, 1.5
    and 1 mm, from 0.8 to 5 line pairs per cm.
    """
    body = _cylinders(value, _checked(radius), torch.zeros(1, 2, dtype=torch.float64))
    for group, fraction in enumerate(ROD_DIAMETERS):
        diameter = fraction * radius
        centers = _triangle(2 * diameter) + torch.tensor([radius / 2, 0.0], dtype=torch.float64)
        turn = math.radians(60 * group)
        along = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], dtype=torch.float64)
        body = body + _cylinders(contrast, diameter / 2, centers @ along)
    return body


def _cylinders(value: float, radius: float, centers: Tensor) -> Ellipsoids:
    """Cylinders of one radius and value at the centres (x, y), [n, 2]."""
    axes = torch.tensor([radius, radius, LENGTH * radius], dtype=torch.float64)
    return Ellipsoids(value, axes, torch.nn.functional.pad(centers, (0, 1)))


def _triangle(spacing: float) -> Tensor:
    """Centres (x, y) of 1 + 2 + ... + 6 points of a triangle about the origin, its tip towards -x; [21, 2]."""
    places = [(row * math.sqrt(3) / 2, column - row / 2) for row in range(_ROWS) for column in range(row + 1)]
    points = spacing * torch.tensor(places, dtype=torch.float64)
    return points - points.mean(0)


def _checked(radius: float) -> float:
    if not 0 < radius < math.inf:
        raise InputError(f"radius must be a positive number, got {radius}")
    return radius
