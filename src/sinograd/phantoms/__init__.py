"""Analytic objects with exact projections."""

from typing import TYPE_CHECKING

from sinograd.lazy import attach

if TYPE_CHECKING:
    from sinograd.phantoms.abdomen import abdomen
    from sinograd.phantoms.balls import ball, balls
    from sinograd.phantoms.bone import bone
    from sinograd.phantoms.chest import chest
    from sinograd.phantoms.ellipsoids import Ellipsoids
    from sinograd.phantoms.materials import MaterialPhantom
    from sinograd.phantoms.shepp_logan import shepp_logan_2d, shepp_logan_3d
    from sinograd.phantoms.tibia import tibia
    from sinograd.phantoms.trabecular import Trabecular, trabecular

__all__ = [
    "Ellipsoids",
    "MaterialPhantom",
    "Trabecular",
    "abdomen",
    "ball",
    "balls",
    "bone",
    "chest",
    "shepp_logan_2d",
    "shepp_logan_3d",
    "tibia",
    "trabecular",
]

attach(__name__)
