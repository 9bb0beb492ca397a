"""The phantoms of the catalogue that have materials: what their parts are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sinograd.phantoms.ellipsoids import Ellipsoids
from sinograd.phantoms.materials import MaterialPhantom

Shares = Mapping[str, Mapping[str, float]]


def of_arguments(make: Callable[..., Ellipsoids], materials: Shares, *seeds: Any, **options: Any) -> MaterialPhantom:
    """A phantom whose attenuations are arguments of its function, made once for each material.

    Args:
        make: the function; the same seed makes the same shapes whatever the attenuations are.
        materials: by material, the share of its density in the parts that each argument stands for; 0 for the others.
        seeds: numbers, not generators, which would go on from material to material.
        options: other arguments of the function.
    """
    arguments = {name for shares in materials.values() for name in shares}
    parts = {}
    for material, shares in materials.items():
        whole = make(*seeds, **options, **{name: shares.get(name, 0.0) for name in arguments})
        parts[material] = whole[(whole.value != 0).nonzero()[:, 0]]
    return MaterialPhantom(parts)
