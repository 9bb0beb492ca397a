"""A seeded section of a mouse's shin bone at the scale of its cells, made of ellipsoids."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.packing import between, frames, normal, pack, seeded, uniform
from sinograd.phantoms.placement import inside

Lengths = tuple[float, float, float]

_LONG = 20.0  # half length of the tube, of its larger radius: within the height it is a cylinder to 4e-4


def tibia(
    seed: int | torch.Generator = 0,
    *,
    outer: tuple[float, float] = (0.65, 0.5),
    wall: float = 0.2,
    height: float = 0.1,
    lacunae: int | None = None,
    canals: int | None = None,
    lacuna_semi_axes: tuple[Lengths, Lengths] = ((0.0015, 0.003, 0.006), (0.003, 0.005, 0.010)),
    canal_radius: tuple[float, float] = (0.003, 0.006),
    cortical: float = 0.128,
    marrow: float = 0.023,
    fluid: float = 0.027,
) -> Ellipsoids:
    """Mid-shaft of a mouse tibia: an elliptic tube of cortical bone with canals and lacunae, filled with marrow.

    The tube stands along z, is much longer than `height` and turned about z by a random angle; the cavity
    lies a little off its middle. Canals and lacunae have their centres within `height` of it, |z| <= height /
    2. Lacunae have their long axis nearly along z and their flat side towards the surfaces; canals run along z
    or, a third of them, obliquely. Nothing overlaps and nothing crosses a surface of the tube, so each point
    has exactly one of three attenuations, or 0 outside. The same seed gives the same bone.

    Args:
        seed: a number, or a CPU generator to draw from.
        outer: semi-axes of the outer surface, mm.
        wall: mean thickness of the tube, mm; it varies by 10 % around the tube.
        height: of the part that has canals and lacunae, mm; larger than what a scan sees.
        lacunae: how many. Default 60,000 per mm^3 of bone (40,000 to 90,000 are found in mice).
        canals: how many. Default 40 per mm^2 of the bone's cross section.
        lacuna_semi_axes: smallest and largest half thickness, half width and half length, mm. The default is
            diameters of 3 to 20 micrometres, as in Wagner et al. (2022), Ultra low-parameter denoising.
        canal_radius: smallest and largest, mm.
        cortical, marrow, fluid: attenuation of bone, of the space inside the tube, and in canals and
            lacunae, 1/mm. The defaults are typical of 40 keV, as for `bone`.

    Raises:
        ValueError: for lengths that are not positive, a wall too thick for a cavity, negative counts, or
            more canals or lacunae than fit.
    """
    _check(outer, wall, height, lacuna_semi_axes, canal_radius)
    generator = seeded(seed)
    turn = uniform(1, 0.0, torch.pi, generator)
    shell = torch.tensor([[*outer, _LONG * max(outer)]], dtype=torch.float64, device="cpu")
    shift = uniform((1, 3), -1.0, 1.0, generator) * shell.new_tensor([1.0, 1.0, 0.0]) * (0.1 * wall / math.sqrt(2))
    surface = Ellipsoids(cortical, shell, rotation=turn)
    cavity = Ellipsoids(marrow - cortical, shell - wall, shift, turn)

    area = math.pi * (outer[0] * outer[1] - (outer[0] - wall) * (outer[1] - wall))
    canals = round(40 * area) if canals is None else canals
    lacunae = round(60_000 * area * height) if lacunae is None else lacunae
    where = (surface, height, generator)
    draw_canals = functools.partial(_canals, fluid - cortical, canal_radius, wall, where)
    draw_lacunae = functools.partial(_lacunae, fluid - cortical, lacuna_semi_axes, where)

    def in_bone(pores: Ellipsoids) -> Tensor:
        return inside(pores, surface) & _beside(pores, cavity)

    pores = pack("canals", canals, draw_canals, in_bone, surface[:0])
    pores = pack("lacunae", lacunae, draw_lacunae, in_bone, pores)
    return surface + cavity + pores


def _centers(n: int, where: tuple[Ellipsoids, float, torch.Generator]) -> Tensor:
    """Anywhere in the tube's outer surface within the height: [n, 3]."""
    surface, height, generator = where
    radius, angle = uniform((2, n), 0.0, 1.0, generator)
    angle = 2 * torch.pi * angle
    flat = radius.sqrt()[:, None] * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
    center = (flat * surface.semi_axes) @ surface.rotation[0].T
    center[:, 2] = uniform(n, -height / 2, height / 2, generator)
    return center


def _outwards(center: Tensor, surface: Ellipsoids) -> Tensor:
    """Normals of the surface of the tube through each centre."""
    to_ball = surface.rotation[0].T / surface.semi_axes[0][:, None]
    return center @ (to_ball.T @ to_ball)


def _lacunae(
    value: float, semi_axes: tuple[Lengths, Lengths], where: tuple[Ellipsoids, float, torch.Generator], n: int
) -> Ellipsoids:
    half = between(*semi_axes, n, where[2])
    center = _centers(n, where)
    direction = 0.2 * normal((n, 3), where[2])
    direction[:, 2] += 1
    outwards = _outwards(center, where[0])
    outwards = outwards / torch.linalg.vector_norm(outwards, dim=1, keepdim=True)
    return Ellipsoids(value, half, center, frames(direction, outwards + 0.3 * normal((n, 3), where[2])))


def _canals(
    value: float,
    radius: tuple[float, float],
    wall: float,
    where: tuple[Ellipsoids, float, torch.Generator],
    n: int,
) -> Ellipsoids:
    half = between((radius[0], 0.0, 0.3 * wall), (radius[1], 0.0, 0.8 * wall), n, where[2])
    half[:, 1] = half[:, 0]
    half[:, 2] = half[:, 2].maximum(3 * half[:, 0])
    center = _centers(n, where)
    oblique = uniform(n, 0.0, 1.0, where[2]) < 1 / 3
    direction = torch.where(oblique[:, None], 1.0, 0.1) * normal((n, 3), where[2])
    direction[:, 2] += 1
    return Ellipsoids(value, half, center, frames(direction, center))


def _beside(parts: Ellipsoids, tube: Ellipsoids) -> Tensor:
    """True where a plane that touches the one ellipsoid `tube` has it and part i on different sides: a proof.

    The plane is taken across the line between the centres in the coordinates in which `tube` is the unit ball,
    flat in z as the tube is.
    """
    to_ball = tube.rotation[0].T / tube.semi_axes[0][:, None]
    c = (parts.center - tube.center) @ to_ball.T
    c[:, 2] = 0
    distance = torch.linalg.vector_norm(c, dim=1)
    axes = to_ball @ (parts.rotation * parts.semi_axes[:, None, :])
    reach = torch.linalg.vector_norm((axes.mT @ c[:, :, None])[..., 0], dim=1) / distance
    return distance - reach > 1


def _check(
    outer: tuple[float, float],
    wall: float,
    height: float,
    lacuna_semi_axes: tuple[Lengths, Lengths],
    canal_radius: tuple[float, float],
) -> None:
    smallest, largest = lacuna_semi_axes
    lengths = {
        "outer": (outer, 2),
        "wall": ((wall,), 1),
        "height": ((height,), 1),
        "lacuna_semi_axes[0]": (smallest, 3),
        "lacuna_semi_axes[1]": (largest, 3),
        "canal_radius": (canal_radius, 2),
    }
    for name, (values, count) in lengths.items():
        if len(values) != count:
            raise InputError(f"{name} must be {count} lengths in mm, got {values}")
        if not all(0 < value < float("inf") for value in values):
            raise InputError(f"{name} must be positive and finite, got {', '.join(map(str, values))}")
    if any(small > large for small, large in zip(smallest, largest, strict=True)):
        raise InputError(f"lacuna_semi_axes must be (smallest, largest), got {lacuna_semi_axes}")
    if canal_radius[0] > canal_radius[1]:
        raise InputError(f"canal_radius must be (smallest, largest), got {canal_radius}")
    if wall >= 0.9 * min(outer):
        raise InputError(f"wall must be less than 0.9 of the smaller semi-axis {min(outer)} mm, got {wall} mm")
    if height > min(outer):
        raise InputError(f"height must be at most the smaller semi-axis {min(outer)} mm, got {height} mm")
