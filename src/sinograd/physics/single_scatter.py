"""Compton scatter of first order of an object of ellipsoids: what a detector reads beside the primary beam.

Each small cube of the object sends the photons that reach it on to every element of the detector, by the cross-section
of O. Klein and Y. Nishina (Zeitschrift fuer Physik 52, 1929) for free electrons, attenuated on both ways at the
energies before and after. Coherent scatter, binding, and photons that scatter twice are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import ConeBeam
from sinograd.geometry.checks import positive
from sinograd.physics.attenuation import attenuation
from sinograd.physics.materials import Material, xraydb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

RADIUS2 = 7.9407877e-24  # classical radius of the electron, mm^2
REST_KEV = 510.99895
AVOGADRO = 6.02214076e23


def electrons_per_mm3(material: str | Material) -> float:
    """Of a material at its density."""
    found, package = Material.of(material), xraydb()
    moles = sum(share * package.atomic_number(s) / package.atomic_mass(s) for s, share in found.parts.items())
    return float(moles) * found.density / 1000 * AVOGADRO


def klein_nishina(energy: float, cosine: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-section of an electron per solid angle, mm^2, and the energy after, keV."""
    ratio = 1 / (1 + energy / REST_KEV * (1 - cosine))
    return RADIUS2 / 2 * ratio**2 * (ratio + 1 / ratio - (1 - cosine**2)), energy * ratio


def single_scatter(
    parts: Mapping[str | Material, Any],
    geometry: ConeBeam,
    energy: float,
    *,
    cube_mm: float = 15.0,
    step: tuple[int, int] = (4, 4),
    integrating: bool = True,
) -> Tensor:
    """Scattered signal over the signal of the open beam, [views, rows, columns], float64.

    Args:
        parts: ellipsoids by material, `MaterialPhantom.parts`.
        geometry: cone beam with a flat detector.
        energy: of the beam, keV.
        cube_mm: edge of the cubes that the object is cut into.
        step: rows and columns of the detector from one computed element to the next; interpolated between.
        integrating: whether a photon's signal is its energy.

    Raises:
        ValueError: no cone beam, or numbers that are not positive.
    """
    if not isinstance(geometry, ConeBeam):
        raise InputError(f"geometry: expected a ConeBeam, got {type(geometry).__name__}")
    kev, edge = positive(energy, "energy"), positive(cube_mm, "cube_mm")
    cubes, electrons = _cubes(parts, edge)
    row_at, column_at = (_places(n, s) for n, s in zip(geometry.detector.shape, step, strict=True))
    result = []
    for vectors in geometry.vectors.double():
        source, middle, along_row, along_column = _view(vectors)
        rows = (row_at - (geometry.rows - 1) / 2)[:, None, None] * along_column
        pixels = (middle + rows + (column_at - (geometry.columns - 1) / 2)[:, None] * along_row).reshape(-1, 3)
        normal = torch.linalg.cross(along_row, along_column)
        normal = normal / normal.norm()
        coarse = _of_view(parts, (cubes, electrons), (source, pixels, normal), kev, integrating)
        image = coarse.reshape(1, 1, len(row_at), len(column_at))
        size = (geometry.rows, geometry.columns)
        result.append(torch.nn.functional.interpolate(image, size, mode="bilinear", align_corners=True)[0, 0])
    return torch.stack(result)


def _view(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Source, middle of the detector, and the steps from column to column and from row to row."""
    return vectors[0], vectors[1], vectors[2], vectors[3]


def _places(count: int, step: int) -> Tensor:
    """Elements that are computed, from the first to the last."""
    return torch.linspace(0, count - 1, max(2, -(-(count - 1) // max(1, step)) + 1), dtype=torch.float64)


def _cubes(parts: Mapping[str | Material, Any], edge: float) -> tuple[Tensor, Tensor]:
    """Middles [n, 3] of cubes in the object, and the electrons of each."""
    reach = [0.0, 0.0, 0.0]
    for shape in parts.values():
        for center, axes in zip(shape.center, shape.semi_axes, strict=True):
            for k in range(3):
                reach[k] = max(
                    reach[k], float(center[k].abs() + axes.max()) if k < 2 else float(center[k].abs() + axes[2])
                )
    lines = [(torch.arange(-(n := int(np.ceil(r / edge))), n, dtype=torch.float64) + 0.5) * edge for r in reach]
    points = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)
    electrons = torch.zeros(len(points), dtype=torch.float64)
    for material, shape in parts.items():
        density = electrons_per_mm3(material)
        for k in range(len(shape.value)):
            local = (points - shape.center[k].double()) @ shape.rotation[k].double() / shape.semi_axes[k].double()
            electrons += density * float(shape.value[k]) * (local.square().sum(1) <= 1)
    inside = electrons > 0
    return points[inside], electrons[inside] * edge**3


def _of_view(
    parts: Mapping[str | Material, Any], object_: tuple[Tensor, Tensor], beam: tuple[Tensor, Tensor, Tensor], kev:
    float, integrating: bool,
) -> Tensor:  # fmt: skip
    """Scatter at pixels [p] over the open beam there; beam: source, pixels and the detector's normal."""
    (cubes, electrons), (source, pixels, normal) = object_, beam
    to_cube = cubes - source
    distance = to_cube.norm(dim=1)
    reaching = electrons / distance**2
    for material, shape in parts.items():
        reaching = reaching * torch.exp(-attenuation(material, kev) * segment_lengths(shape, source[None], cubes))
    direct = pixels - source
    open_beam = (direct @ normal).abs() / direct.norm(dim=1) ** 3
    result = torch.zeros(len(pixels), dtype=torch.float64)
    for k, pixel in enumerate(pixels):
        on = pixel - cubes
        length = on.norm(dim=1)
        cosine = (on * to_cube).sum(1) / (length * distance)
        section, after = klein_nishina(kev, cosine)
        passing = section * (after / kev if integrating else 1.0)
        for material, shape in parts.items():
            mu = _table(material, kev, after)
            passing = passing * torch.exp(-mu * segment_lengths(shape, cubes, pixel[None]))
        result[k] = (reaching * passing * (on @ normal).abs() / length**3).sum() / open_beam[k]
    return result


def _table(material: str | Material, kev: float, energies: Tensor) -> Tensor:
    """Attenuation at energies after scattering, linear between a hundred of them."""
    nodes = np.linspace(kev / (1 + 2 * kev / REST_KEV), kev, 100)
    return torch.from_numpy(np.interp(energies.numpy(), nodes, attenuation(material, nodes)))


def segment_lengths(shape: Any, start: Tensor, end: Tensor) -> Tensor:
    """Mm of ellipsoids times their values between points [n, 3] (or one for all); float64 [n]."""
    total = torch.zeros(max(len(start), len(end)), dtype=torch.float64)
    full = (end - start).norm(dim=1)
    for k in range(len(shape.value)):
        turn = shape.rotation[k].double() / shape.semi_axes[k].double()
        a, b = ((points - shape.center[k].double()) @ turn for points in (start, end))
        d = b - a
        dd, ad, aa = d.square().sum(1), (a * d).sum(1), a.square().sum(1)
        root = (ad**2 - dd * (aa - 1)).clamp(min=0).sqrt()
        first, last = ((-ad - root) / dd).clamp(0, 1), ((-ad + root) / dd).clamp(0, 1)
        total = total + float(shape.value[k]) * (last - first) * full
    return total
