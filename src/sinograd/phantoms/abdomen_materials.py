"""The abdomen of materials: soft tissue is water of another density, bone is bone in water, implants are metal."""

from __future__ import annotations

from typing import Literal

import torch

from sinograd.phantoms.abdomen import METALS, WATER, abdomen
from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.materials import MaterialPhantom
from sinograd.physics.attenuation import attenuation
from sinograd.physics.materials import Material

ENERGY = 70.0  # keV, of the attenuations of `abdomen`
_BEFORE_BONES, _BONES, _BEFORE_DETAILS, _HOLLOWS, _MARROWS, _IMPLANTS = 12, 6, 18, 4, 6, 4
_OF_IMPLANTS = {"titanium": "titanium", "steel": "iron"}


def abdomen_of_materials(
    seed: int = 0, *, lesions: int = 12, vessels: int = 10, implant: Literal["titanium", "steel"] | None = None
) -> MaterialPhantom:
    """The same shapes as `abdomen` of this seed; at 70 keV each has its attenuation, over that of water.

    Fat and soft tissue are water of 0.9 to 1.16 times its density. Bones are mixtures of cortical bone and water, with
    the marrow's holes likewise. Implants are titanium, or iron for steel, in place of muscle.
    """
    whole = abdomen(seed, lesions=lesions, vessels=vessels, implant=implant)
    count = len(whole.value)
    bony = torch.zeros(count, dtype=torch.bool)
    bony[_BEFORE_BONES : _BEFORE_BONES + _BONES] = True
    first = _BEFORE_DETAILS + lesions + vessels + _HOLLOWS
    bony[first : first + _MARROWS] = True
    metal = torch.zeros(count, dtype=torch.bool)
    if implant is not None:
        metal[-_IMPLANTS:] = True
    water, bone = (attenuation(name, ENERGY) for name in ("water", "bone"))
    share = whole.value / WATER  # of water's attenuation
    of_bone = torch.where(bony, share * water / (bone - water), 0.0)
    muscle = 0.0 if implant is None else METALS[implant] / WATER - share[-1]
    of_water = torch.where(bony, -of_bone, torch.where(metal, -muscle, share))
    parts: dict[str | Material, Ellipsoids] = {"water": _with(whole, of_water), "bone": _with(whole, of_bone)}
    if implant is not None:
        parts[_OF_IMPLANTS[implant]] = _with(whole, metal.to(share))
    return MaterialPhantom(parts)


def _with(shape: Ellipsoids, shares: torch.Tensor) -> Ellipsoids:
    """The ellipsoids whose shares are not zero."""
    chosen = shares.nonzero()[:, 0]
    part = shape[chosen]
    return Ellipsoids(shares[chosen], part.semi_axes, part.center, part.rotation)
