"""A seeded chest-like phantom with nodules and vessels in the lungs."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.organs import Organ, all_of, jitter_of, within
from sinograd.phantoms.packing import drawn_until_it_fits, frames, normal, pack, seeded, uniform
from sinograd.phantoms.placement import inside

_WATER = 0.0193  # 1/mm at 70 keV
_FAT, _MUSCLE, _LUNG, _CORTICAL, _CANCELLOUS = -100.0, 50.0, -850.0, 700.0, 200.0  # HU, as all below
_DEPTH = 0.3  # of the lungs' height: how far from z = 0 nodules and vessels lie

# Supine, +y is the back and -x the patient's right.
_BODY = Organ("body", _FAT, (0, 0, 0), (170, 120, 3000))
_WALL = Organ("chest wall", _MUSCLE, (0, 0, 0), (152, 103, 2400))
_LUNGS = (
    Organ("right lung", _LUNG, (-76, -4, 0), (50, 68, 120)),
    Organ("left lung", _LUNG, (76, -4, 0), (50, 68, 120)),
)
_REST = (
    Organ("heart", 45, (2, -38, -10), (20, 26, 60)),
    Organ("aorta", 150, (12, 34, 0), (9, 9, 1000)),
    Organ("vertebral body", _CORTICAL, (0, 68, 0), (17, 12, 500)),
    Organ("right rib", _CORTICAL, (-141, 0, 0), (4, 11, 28)),
    Organ("left rib", _CORTICAL, (141, 0, 3), (4, 11, 28)),
)


def chest(
    seed: int | torch.Generator = 0, *, nodules: int = 10, vessels: int = 24, water: float = _WATER
) -> Ellipsoids:
    """A slice-like piece of an adult's chest about z = 0, 340 mm wide and 240 mm deep, at 70 keV.

    Fat, chest wall, two lungs of -850 HU with solid nodules (8 to 18 mm across, 0 to 60 HU) and vessels (3 to 6 mm
    across), heart, aorta, spine and ribs. Body, spine and aorta go on along z, nodules and vessels lie within 36 mm of
    z = 0. Each seed changes sizes by up to 5 %, positions by up to 3 mm and soft tissue by up to 5 HU, and draws
    nodules and vessels anew. Parts lie apart from each other or wholly one in the other. The nodules are the last
    ellipsoids: `chest(seed, nodules=n)[-n:]`.

    Args:
        seed: a number, or a CPU generator to draw from.
        nodules, vessels: how many, half of them in each lung.
        water: attenuation of water, 1/mm; everything scales with it.

    Raises:
        ValueError: for water that is not positive, or more nodules or vessels than fit.
    """
    if not 0 < water < float("inf"):
        raise InputError(f"water must be a positive attenuation in 1/mm, got {water}")
    generator = seeded(seed)
    jitter = functools.partial(jitter_of, generator=generator, unit=water / 1000)
    body = jitter(_BODY, -1000.0, 1)

    def wall_and_parts() -> tuple[Ellipsoids, Ellipsoids]:
        wall = pack(_WALL.name, 1, lambda n: jitter(_WALL, _FAT, n), lambda part: inside(part, body), body[:0])
        return wall, all_of((*_LUNGS, *_REST), _MUSCLE, jitter, lambda part: inside(part, wall))

    wall, parts = drawn_until_it_fits(wall_and_parts)
    lungs, bones = [parts[i] for i in (0, 1)], [parts[i] for i in (4, 5, 6)]
    marrow = [within(bone, (0, 0, 0), 0.75, (_CANCELLOUS - _CORTICAL) * water / 1000) for bone in bones]
    small: list[Ellipsoids] = []
    big: list[Ellipsoids] = []
    for side, lung in enumerate(lungs):
        counts = ((nodules + side) // 2, (vessels + side) // 2) if min(nodules, vessels) >= 0 else (nodules, vessels)
        found = _details(lung, counts, water / 1000, generator)
        big.append(found[: counts[0]])
        small.append(found[counts[0] :])
    return functools.reduce(Ellipsoids.__add__, [body, wall, parts, *marrow, *small, *big])


def _details(lung: Ellipsoids, counts: tuple[int, int], unit: float, generator: torch.Generator) -> Ellipsoids:
    """Nodules, then vessels, that lie in the lung and apart from each other."""

    def anywhere(n: int) -> Tensor:
        spot = normal((n, 3), generator)
        spot = spot / torch.linalg.vector_norm(spot, dim=1, keepdim=True)
        spot = spot * uniform((n, 1), 0.0, 1.0, generator) ** (1 / 3)
        spot[:, 2] *= _DEPTH
        return lung.center + (spot * lung.semi_axes) @ lung.rotation[0].T

    def nodule(n: int) -> Ellipsoids:
        radius = uniform((n, 1), 4.5, 9.0, generator) * uniform((n, 3), 0.9, 1.0, generator)
        return Ellipsoids(unit * (uniform(n, 0.0, 60.0, generator) - _LUNG), radius, anywhere(n))

    def vessel(n: int) -> Ellipsoids:
        radius, long = uniform((n, 1), 1.5, 3.0, generator), uniform((n, 1), 8.0, 20.0, generator)
        place, direction = anywhere(n), normal((n, 3), generator)
        turn = frames(direction, normal((n, 3), generator))
        return Ellipsoids(unit * (40.0 - _LUNG), torch.cat([radius, radius, long], dim=1), place, turn)

    def allowed(part: Ellipsoids) -> Tensor:
        return inside(part, lung)

    found = pack("nodules", counts[0], nodule, allowed, lung[:0])
    return pack("vessels", counts[1], vessel, allowed, found)
