"""What a detector makes of a photon: counting, or integrating its energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sinograd.choices import DETECTOR_RESPONSES
from sinograd.errors import InputError
from sinograd.geometry.checks import number
from sinograd.physics.attenuation import attenuation, checked_energies
from sinograd.physics.materials import Material


@dataclass(frozen=True)
class DetectorResponse:
    """Signal of a photon by its energy: photons are absorbed or not, and each absorbed one adds its weight.

    Args:
        kind: "integrating": a photon's weight is its energy in keV; "counting": it is 1.
        absorber: what the detector is made of, as "caesium iodide"; None absorbs every photon.
        absorber_mm: how thick it is.
        threshold_kev: least energy that is counted; of counting detectors.

    Raises:
        ValueError: another kind, an absorber without thickness or a thickness without absorber, an unknown material, a
            negative threshold, or one of an integrating detector.
    """

    kind: Literal["integrating", "counting"] = "integrating"
    absorber: str | Material | None = None
    absorber_mm: float | None = None
    threshold_kev: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in DETECTOR_RESPONSES:
            raise InputError(f"detector must be {' or '.join(map(repr, DETECTOR_RESPONSES))}, got {self.kind!r}")
        if (self.absorber is None) != (self.absorber_mm is None):
            raise InputError("absorber and absorber_mm belong together: a material and its thickness in mm")
        if self.absorber is not None and self.absorber_mm is not None:
            Material.of(self.absorber)
            if number(self.absorber_mm, "absorber_mm") <= 0:
                raise InputError(f"absorber_mm must be positive, got {self.absorber_mm:g}")
        if number(self.threshold_kev, "threshold_kev") < 0:
            raise InputError(f"threshold_kev must not be negative, got {self.threshold_kev:g}")
        if self.threshold_kev and self.kind == "integrating":
            raise InputError("threshold_kev is of counting detectors, this one integrates")

    @classmethod
    def of(cls, detector: str | DetectorResponse) -> DetectorResponse:
        """A response by its kind; a response stays as it is."""
        return detector if isinstance(detector, DetectorResponse) else cls(detector)  # pyright: ignore[reportArgumentType]

    def absorbed(self, energies: np.ndarray) -> np.ndarray:
        """Share of the photons that are absorbed and counted; [bins]."""
        kev = checked_energies(energies)
        share = np.ones_like(kev)
        if self.absorber is not None and self.absorber_mm is not None:
            share = -np.expm1(-self.absorber_mm * attenuation(self.absorber, kev))
        return share * (kev >= self.threshold_kev)

    def weight(self, energies: np.ndarray) -> np.ndarray:
        """Signal of an absorbed photon: keV, or 1; [bins]."""
        kev = checked_energies(energies)
        return kev if self.kind == "integrating" else np.ones_like(kev)
