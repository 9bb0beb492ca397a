"""A seeded abdomen-like phantom with low-contrast lesions and, if wanted, metal in the spine."""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.organs import Organ, all_of, floats, jitter_of, within
from sinograd.phantoms.packing import frames, normal, pack, seeded, uniform
from sinograd.phantoms.placement import apart, inside

# Attenuation at 70 keV in 1/mm, from NIST's tables of x-ray mass attenuation coefficients (log-log between 60 and
# 80 keV): titanium 0.545 cm^2/g x 4.506 g/cm^3, iron 0.826 cm^2/g x 7.874 g/cm^3, water 0.193 cm^2/g.
WATER = 0.0193
METALS = {"titanium": 0.245, "steel": 0.650}

_FAT, _MUSCLE, _CORTICAL, _CANCELLOUS = -100.0, 50.0, 700.0, 200.0  # Hounsfield units, as all below


# Supine, +y is the back and -x the patient's right, so that a picture with +y down is the usual view from the feet.
_BODY = Organ("body", _FAT, (0, 0, 0), (170, 126, 3000))
_WALL = Organ("abdominal wall", _MUSCLE, (0, 3, 0), (149, 109, 2400))
_CAVITY = Organ("peritoneal cavity", _FAT, (0, -20, 0), (131, 68, 1800))
_IN_CAVITY = (
    Organ("liver", 110, (-60, -27, 0), (56, 38, 85), -8),
    Organ("stomach", 35, (42, -46, 5), (34, 24, 45), 12),
    Organ("spleen", 115, (100, -12, 5), (15, 28, 48), -12),
    Organ("aorta", 160, (13, 27, 0), (10, 10, 1000)),
    Organ("vena cava", 125, (-16, 28, 0), (11, 9, 1000)),
    Organ("right kidney", 150, (-52, 25, -10), (17, 11, 50), 20),
    Organ("left kidney", 150, (50, 25, 5), (17, 11, 50), -20),
    Organ("upper bowel", 30, (24, -3, -5), (17, 13, 40), 10),
    Organ("lower bowel", 40, (64, -6, -15), (12, 14, 40)),
)
_IN_WALL = (
    Organ("vertebral body", _CORTICAL, (0, 68, 0), (22, 15, 500)),
    Organ("vertebral arch", _CORTICAL, (0, 95, 0), (15, 8, 500)),
    Organ("right rib", _CORTICAL, (-136, 12, 0), (5, 10, 28), -4),
    Organ("left rib", _CORTICAL, (136, 14, 4), (5, 10, 28), 4),
    Organ("right back rib", _CORTICAL, (-93, 70, 3), (11, 5, 28), -32),
    Organ("left back rib", _CORTICAL, (93, 70, -5), (11, 5, 28), 32),
)


def abdomen(
    seed: int | torch.Generator = 0,
    *,
    lesions: int = 12,
    vessels: int = 10,
    implant: Literal["titanium", "steel"] | None = None,
    water: float = WATER,
) -> Ellipsoids:
    """A slice-like piece of an adult's abdomen about z = 0, 340 mm wide and 252 mm deep, at 70 keV.

    Fat, abdominal wall, liver with hypodense lesions (20 to 50 HU below it, 4 to 16 mm across) and vessels
    (30 to 50 HU above), stomach and bowel with gas, spleen, kidneys, aorta and vena cava, spine and ribs with
    cancellous bone inside. Body, spine and great vessels go on along z, organs end within 30 to 85 mm. Each
    seed changes sizes by up to 5 %, positions by up to 3 mm and soft tissue by up to 5 HU, and draws lesions
    and vessels anew. Parts lie apart from each other or wholly one in the other, so each point has the
    attenuation of one tissue (metal replaces muscle's, whatever it lies in).

    Args:
        seed: a number, or a CPU generator to draw from.
        lesions, vessels: how many in the liver.
        implant: metal of two rods along the spine and two screws in the vertebral body; None for none. Without
            it the phantom of the same seed is otherwise the same.
        water: attenuation of water, 1/mm; soft tissue and bone scale with it, metals do not.

    Raises:
        ValueError: for an unknown metal, water that is not positive, or more lesions or vessels than fit.
    """
    if implant is not None and implant not in METALS:
        raise InputError(f"implant must be None or one of {', '.join(METALS)}, got {implant!r}")
    if not 0 < water < float("inf"):
        raise InputError(f"water must be a positive attenuation in 1/mm, got {water}")
    generator = seeded(seed)
    jitter = functools.partial(jitter_of, generator=generator, unit=water / 1000)
    body = jitter(_BODY, -1000.0, 1)
    wall = pack(_WALL.name, 1, lambda n: jitter(_WALL, _FAT, n), lambda part: inside(part, body), body[:0])
    cavity = pack(_CAVITY.name, 1, lambda n: jitter(_CAVITY, _MUSCLE, n), lambda part: inside(part, wall), body[:0])
    organs = all_of(_IN_CAVITY, _FAT, jitter, lambda part: inside(part, cavity))
    bones = all_of(_IN_WALL, _MUSCLE, jitter, lambda part: inside(part, wall) & apart(part, cavity))

    parts = [body, wall, cavity, organs, bones]
    liver, stomach, bowel = organs[0], organs[1], organs[7]
    kidneys, vertebra, arch = organs[5:7], bones[0], bones[1]
    parts.append(_details(liver, lesions, vessels, water / 1000, generator))
    parts += [within(hollow, (0, -0.4, 0), 0.5, -1.02 * water) for hollow in (stomach, bowel)]  # gas
    parts += [within(kidney, (0, 0, 0), 0.45, -0.14 * water) for kidney in (kidneys[0], kidneys[1])]  # renal pelvis
    marrow = (_CANCELLOUS - _CORTICAL) * water / 1000
    parts += [within(bone, (0, 0, 0), 0.8, marrow) for bone in (vertebra, *(bones[i] for i in range(2, 6)))]
    parts.append(within(arch, (0, 0, 0), 0.6, (30 - _CORTICAL) * water / 1000))  # spinal canal
    if implant is not None:
        parts.append(_implant(METALS[implant] - water * (1 + _MUSCLE / 1000), vertebra))
    return functools.reduce(Ellipsoids.__add__, parts)


def _details(liver: Ellipsoids, lesions: int, vessels: int, unit: float, generator: torch.Generator) -> Ellipsoids:
    """Lesions and vessels that lie in the liver and apart from each other."""

    def anywhere(n: int) -> Tensor:
        spot = normal((n, 3), generator)
        spot = spot / torch.linalg.vector_norm(spot, dim=1, keepdim=True)
        spot = spot * uniform((n, 1), 0.0, 1.0, generator) ** (1 / 3)
        spot[:, 2] *= 0.25  # near the slices that are scanned
        return liver.center + (spot * liver.semi_axes) @ liver.rotation[0].T

    def lesion(n: int) -> Ellipsoids:
        radius = uniform((n, 1), 2.0, 8.0, generator) * uniform((n, 3), 0.8, 1.0, generator)
        return Ellipsoids(-unit * uniform(n, 20.0, 50.0, generator), radius, anywhere(n))

    def vessel(n: int) -> Ellipsoids:
        radius = uniform((n, 1), 1.5, 3.5, generator)
        long = uniform((n, 1), 10.0, 25.0, generator)
        center, direction = anywhere(n), normal((n, 3), generator)
        turn = frames(direction, normal((n, 3), generator))
        return Ellipsoids(
            unit * uniform(n, 30.0, 50.0, generator), torch.cat([radius, radius, long], dim=1), center, turn
        )

    found = pack("lesions", lesions, lesion, lambda part: inside(part, liver), liver[:0])
    return pack("vessels", vessels, vessel, lambda part: inside(part, liver), found)


def _implant(value: float, vertebra: Ellipsoids) -> Ellipsoids:
    """Two screws from behind into the vertebral body and two rods that end in their heads."""
    x, y, _ = vertebra.center[0].tolist()
    tips = floats([[x - 13, y + 2, 0.0], [x + 13, y + 2, 0.0]])
    direction = floats([[-0.3, 1.0, 0.0], [0.3, 1.0, 0.0]])
    direction = direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    up = floats([[0.0, 0.0, 1.0]]).expand(2, 3)
    screws = Ellipsoids(value, (3.0, 3.0, 21.0), tips + 10 * direction, frames(direction, up))
    rods = Ellipsoids(value, (3.0, 3.0, 60.0), tips + 35 * direction)
    return screws + rods
