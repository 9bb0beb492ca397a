"""A seeded bone-like phantom made of ellipsoids, so that its projections are exact."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.checks import positive
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.packing import between, frames, normal, pack, seeded, uniform
from sinograd.phantoms.placement import apart, inside

_OUTER = (0.46, 0.42, 0.48)  # semi-axes of the bone, of its size


def bone(
    seed: int | torch.Generator = 0,
    *,
    size: float = 5.0,
    plates: int = 60,
    rods: int = 400,
    canals: int = 40,
    lacunae: int = 800,
    cortical_thickness: float | None = None,
    trabecular_thickness: float | None = None,
    canal_radius: float | None = None,
    lacuna_semi_axes: tuple[float, float, float] | None = None,
    cortical: float = 0.128,
    trabecular: float = 0.120,
    marrow: float = 0.023,
    fluid: float = 0.027,
) -> Ellipsoids:
    """A closed piece of long bone: cortical shell with canals and lacunae around marrow with trabeculae.

    Everything lies in the cylinder about z of diameter `size` and height `size`, centred on the origin. The
    long axis of canals and lacunae runs nearly along z, rods have random directions that favour z, and the
    flat sides of plates and lacunae tend to face outwards. No two of these parts overlap and none crosses a
    surface of the shell, so each point has exactly one of the four attenuations, or 0 outside. (So trabeculae
    do not join as real ones do: overlapping ellipsoids would add up at the joints.)
    The same seed gives the same bone, and with the default lengths, which are fractions of `size`, the same
    shape at any size.

    Args:
        seed: a number, or a CPU generator to draw from.
        size: diameter and height, mm.
        plates, rods, canals, lacunae: how many.
        cortical_thickness: of the shell, mm. Default 0.08 size.
        trabecular_thickness: mean thickness of rods and plates, mm; single ones vary by 30 %. Default 0.024
            size.
        canal_radius: of the vascular canals, mm. Default 0.006 size.
        lacuna_semi_axes: mean half thickness, width and length of the osteocyte lacunae, mm; single ones
            vary by 20 %. Default (0.0014, 0.0022, 0.004) size, at 5 mm 7, 11 and 20 micrometres.
        cortical, trabecular, marrow, fluid: attenuation of the shell, of rods and plates, of the space
            between them, and in canals and lacunae, 1/mm. The defaults are typical of 40 keV: cortical bone
            (ICRU-44, 0.6655 cm^2/g x 1.92 g/cm^3), a little less mineral, adipose tissue, water (NIST
            tables of x-ray mass attenuation coefficients).

    Raises:
        ValueError: for lengths or values that are not positive, negative counts, or more parts than fit.
    """
    size = positive(size, "size")
    wall = 0.08 * size if cortical_thickness is None else cortical_thickness
    strut = 0.024 * size if trabecular_thickness is None else trabecular_thickness
    bore = 0.006 * size if canal_radius is None else canal_radius
    lacuna = (0.0014 * size, 0.0022 * size, 0.004 * size) if lacuna_semi_axes is None else lacuna_semi_axes
    _check_lengths(
        size=(size,),
        cortical_thickness=(wall,),
        trabecular_thickness=(strut,),
        canal_radius=(bore,),
        lacuna_semi_axes=lacuna,
    )
    if wall > min(_OUTER) * size / 2:
        raise InputError(f"cortical_thickness must be at most {min(_OUTER) / 2:g} size, got {wall} of {size} mm")
    generator = seeded(seed)

    turn = uniform(1, 0.0, torch.pi, generator)
    semi_axes = size * torch.tensor([_OUTER], dtype=torch.float64, device="cpu")
    outer = Ellipsoids(cortical, semi_axes, rotation=turn)
    shift = 0.1 * wall * uniform((1, 3), -1.0, 1.0, generator)
    cavity = Ellipsoids(marrow - cortical, semi_axes - wall, shift, turn)

    thin, thick = 0.35 * strut, 0.65 * strut
    trabeculae = (
        _Part("plates", plates, (thin, 0.03 * size, 0.03 * size), (thick, 0.08 * size, 0.08 * size), 0.0),
        _Part("rods", rods, (thin, thin, 0.05 * size), (thick, thick, 0.14 * size), 1.0),
    )
    pores = (
        _Part(
            "canals",
            canals,
            (0.7 * bore, 0.7 * bore, 0.04 * size),
            (1.3 * bore, 1.3 * bore, 0.12 * size),
            10.0,
        ),
        _Part("lacunae", lacunae, tuple(0.8 * a for a in lacuna), tuple(1.2 * a for a in lacuna), 5.0),
    )
    in_marrow = _fill(trabeculae, trabecular - marrow, cavity, lambda part: inside(part, cavity), generator)
    in_cortex = _fill(
        pores,
        fluid - cortical,
        outer,
        lambda part: inside(part, outer) & apart(part, cavity),
        generator,
    )
    return outer + cavity + in_marrow + in_cortex


@dataclass(frozen=True)
class _Part:
    """`count` ellipsoids, their semi-axes drawn between two triples, the last one along axial z + noise."""

    name: str
    count: int
    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    axial: float

    def draw(self, n: int, value: float, region: Ellipsoids, generator: torch.Generator) -> Ellipsoids:
        """A number n of them anywhere in the one ellipsoid `region`."""
        half = between(self.smallest, self.largest, n, generator)

        spot = normal((n, 3), generator)
        spot = spot / torch.linalg.vector_norm(spot, dim=1, keepdim=True)
        spot = spot * uniform((n, 1), 0.0, 1.0, generator) ** (1 / 3)
        center = region.center + (spot * region.semi_axes) @ region.rotation[0].T

        direction = normal((n, 3), generator)
        direction[:, 2] += self.axial
        return Ellipsoids(value, half, center, frames(direction, center))


def _check_lengths(**lengths: tuple[float, ...]) -> None:
    for name, values in lengths.items():
        if len(values) != (3 if name == "lacuna_semi_axes" else 1):
            raise InputError(f"{name} must be three lengths, got {values}")
        if not all(0 < value < float("inf") for value in values):
            raise InputError(f"{name} must be positive and finite, got {', '.join(map(str, values))}")


def _fill(
    parts: tuple[_Part, ...],
    value: float,
    region: Ellipsoids,
    allowed: Callable[[Ellipsoids], Tensor],
    generator: torch.Generator,
) -> Ellipsoids:
    """All parts: each is allowed where it is and overlaps no other."""
    placed = region[:0]
    for part in parts:
        draw = functools.partial(part.draw, value=value, region=region, generator=generator)
        placed = pack(part.name, part.count, draw, allowed, placed)
    return placed
