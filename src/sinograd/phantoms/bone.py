"""A seeded bone-like phantom made of ellipsoids, so that its projections are exact."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.placement import apart, inside

_OUTER = (0.46, 0.42, 0.48)  # semi-axes of the bone, of its size
_ROUNDS = 200
_BATCH = 1000


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
    long axis of canals and lacunae runs along z within a few degrees, the flat side of lacunae faces
    outwards; rods and plates have random directions, rods mostly along z. No two of the small parts overlap
    and none crosses a surface of the shell, so each point has exactly one of the four attenuations or 0
    outside. (So trabeculae do not join, as real ones do: touching ellipsoids would add up at the joints.)
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
    lengths = {
        "size": size,
        "cortical_thickness": 0.08 * size if cortical_thickness is None else cortical_thickness,
        "trabecular_thickness": 0.024 * size if trabecular_thickness is None else trabecular_thickness,
        "canal_radius": 0.006 * size if canal_radius is None else canal_radius,
    }
    lacuna = (0.0014 * size, 0.0022 * size, 0.004 * size) if lacuna_semi_axes is None else lacuna_semi_axes
    _check(lengths, lacuna, {"plates": plates, "rods": rods, "canals": canals, "lacunae": lacunae})
    draw = _Draw(seed if isinstance(seed, torch.Generator) else torch.Generator("cpu").manual_seed(seed))
    wall, thickness = lengths["cortical_thickness"], lengths["trabecular_thickness"]

    turn = draw.uniform(1, 0.0, torch.pi)
    semi_axes = size * torch.tensor([_OUTER], dtype=torch.float64, device="cpu")
    shift = 0.1 * wall * draw.uniform((1, 3), -1.0, 1.0)
    outer = Ellipsoids(cortical, semi_axes, rotation=turn)
    cavity = Ellipsoids(marrow - cortical, semi_axes - wall, shift, turn)

    def plate(n: int) -> Ellipsoids:
        half = torch.cat(
            [draw.around((n, 1), thickness / 2, 0.3), draw.uniform((n, 2), 0.03 * size, 0.08 * size)], dim=1
        )
        frames = _frames(draw.normal((n, 3)), draw.normal((n, 3)))
        return Ellipsoids(trabecular - marrow, half, draw.point_in(cavity, n), frames)

    def rod(n: int) -> Ellipsoids:
        radius = draw.around((n, 1), thickness / 2, 0.3)
        half = torch.cat([radius, radius, draw.uniform((n, 1), 0.05 * size, 0.14 * size)], dim=1)
        direction = draw.normal((n, 3)) * torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64, device="cpu")
        frames = _frames(direction, draw.normal((n, 3)))
        return Ellipsoids(trabecular - marrow, half, draw.point_in(cavity, n), frames)

    def canal(n: int) -> Ellipsoids:
        radius = draw.around((n, 1), lengths["canal_radius"], 0.3)
        half = torch.cat([radius, radius, draw.uniform((n, 1), 0.04 * size, 0.12 * size)], dim=1)
        center = draw.point_in(outer, n)
        return Ellipsoids(fluid - cortical, half, center, _frames(draw.near_z(n, 0.1), center))

    def lacuna_(n: int) -> Ellipsoids:
        half = torch.tensor(lacuna, dtype=torch.float64, device="cpu") * draw.around((n, 3), 1.0, 0.2)
        center = draw.point_in(outer, n)
        return Ellipsoids(fluid - cortical, half, center, _frames(draw.near_z(n, 0.2), center))

    def in_marrow(parts: Ellipsoids) -> Tensor:
        return inside(parts, cavity)

    def in_cortex(parts: Ellipsoids) -> Tensor:
        return inside(parts, outer) & apart(parts, cavity)

    none = outer[:0]
    all_plates = _place("plates", plates, plate, in_marrow, none)
    all_rods = _place("rods", rods, rod, in_marrow, all_plates)
    all_canals = _place("canals", canals, canal, in_cortex, none)
    all_lacunae = _place("lacunae", lacunae, lacuna_, in_cortex, all_canals)
    return outer + cavity + all_plates + all_rods + all_canals + all_lacunae


class _Draw:
    """Random numbers of one generator, float64."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, shape: int | tuple[int, ...], low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(
            shape, generator=self.generator, dtype=torch.float64, device="cpu"
        )

    def around(self, shape: tuple[int, ...], mean: float, spread: float) -> Tensor:
        return self.uniform(shape, mean * (1 - spread), mean * (1 + spread))

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64, device="cpu")

    def near_z(self, n: int, spread: float) -> Tensor:
        """Directions [n, 3] about z, tilted by `spread` radians or so."""
        return spread * self.normal((n, 3)) + torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64, device="cpu")

    def point_in(self, ellipsoid: Ellipsoids, n: int) -> Tensor:
        """Points [n, 3] spread evenly over one ellipsoid."""
        direction = self.normal((n, 3))
        radius = self.uniform((n, 1), 0.0, 1.0) ** (1 / 3)
        in_ball = radius * direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
        return ellipsoid.center + (in_ball * ellipsoid.semi_axes) @ ellipsoid.rotation[0].T


def _check(lengths: dict[str, float], lacuna: tuple[float, float, float], counts: dict[str, int]) -> None:
    for name, length in lengths.items():
        if not 0 < length < float("inf"):
            raise ValueError(f"{name} must be positive, got {length}")
    if len(lacuna) != 3 or min(lacuna) <= 0:
        raise ValueError(f"lacuna_semi_axes must be three positive lengths, got {lacuna}")
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{name} must not be negative, got {count}")
    widest = min(_OUTER) * lengths["size"] / 2
    if lengths["cortical_thickness"] > widest:
        raise ValueError(
            f"cortical_thickness must be at most {widest:g} mm (a bone of size {lengths['size']:g} mm), "
            f"got {lengths['cortical_thickness']:g}"
        )


def _frames(third: Tensor, first: Tensor) -> Tensor:
    """Rotations [n, 3, 3]: the last column along `third`, the first as near to `first` as that allows."""
    z = third / torch.linalg.vector_norm(third, dim=-1, keepdim=True)
    x = first - (first * z).sum(-1, keepdim=True) * z
    x = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def _place(
    name: str,
    count: int,
    draw: Callable[[int], Ellipsoids],
    allowed: Callable[[Ellipsoids], Tensor],
    obstacles: Ellipsoids,
) -> Ellipsoids:
    """`count` allowed ellipsoids that overlap neither each other nor the obstacles, by rejection."""
    placed = obstacles
    for _ in range(_ROUNDS):
        missing = count + len(obstacles) - len(placed)
        if missing == 0:
            return placed[len(obstacles) :]
        batch = draw(min(2 * missing + 16, _BATCH))
        batch = batch[allowed(batch)]
        placed = placed + batch[_fitting(batch, placed)][:missing]
    raise ValueError(
        f"only {len(placed) - len(obstacles)} of {count} {name} fit without overlap: "
        "ask for fewer or smaller ones"
    )


def _fitting(batch: Ellipsoids, placed: Ellipsoids) -> Tensor:
    """Indices of those in `batch` that overlap none of `placed` and no earlier fitting one."""
    others = placed + batch
    reach = batch.semi_axes.amax(dim=1)[:, None] + others.semi_axes.amax(dim=1)
    near = torch.linalg.vector_norm(batch.center[:, None] - others.center, dim=-1) <= reach
    near &= (
        torch.arange(len(others), device="cpu")
        < len(placed) + torch.arange(len(batch), device="cpu")[:, None]
    )
    i, j = near.nonzero(as_tuple=True)
    clash = torch.zeros_like(near)
    clash[i, j] = ~apart(batch[i], others[j])
    free = torch.ones(len(others), dtype=torch.bool, device="cpu")
    for k in range(len(batch)):
        free[len(placed) + k] = not bool((clash[k] & free).any())
    return free[len(placed) :].nonzero()[:, 0]
