"""What a calibration gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sinograd.geometry import Geometry

ANGLES = ("tilt", "yaw", "in_plane_rotation")


@dataclass(frozen=True, eq=False, repr=False)
class Calibrated:
    """A geometry found from projections.

    Attributes:
        geometry: with the values that were found.
        values: what was learnt, in mm and radians, as the geometry has it; what is held has the value it had.
        standard_errors: of those that were learnt: noise, and an estimate of what pixels and voxels err by.
        held: what the scan cannot determine and why; empty where everything was learnt.
        criterion: name of what was minimised.
        before, after: the criterion at the finest level with the geometry as given and as found.
        converged: whether the last steps were small against the standard errors or a hundredth of a pixel.
    """

    geometry: Geometry
    values: Mapping[str, float]
    standard_errors: Mapping[str, float]
    held: Mapping[str, str]
    criterion: str
    before: float
    after: float
    converged: bool

    def lines(self) -> list[tuple[str, str]]:
        """Each value in words, with its name, and the criterion."""
        result = []
        for name, value in self.values.items():
            factor, unit = (180 / math.pi, "degrees") if name in ANGLES else (1.0, "mm")
            if name in self.held:
                text = f"{factor * value:.6g} {unit}, held: {self.held[name]}"
            else:
                text = f"{factor * value:.6g} {unit}, standard error {factor * self.standard_errors[name]:.2g}"
            result.append((name, text))
        state = "" if self.converged else ", not converged"
        return [*result, (self.criterion, f"{self.before:.6g} before, {self.after:.6g} after{state}")]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, in mm and radians; the geometry as in YAML files."""
        plain: dict[str, Any] = {name: dict(getattr(self, name)) for name in ("values", "standard_errors", "held")}
        numbers = {name: getattr(self, name) for name in ("criterion", "before", "after", "converged")}
        return plain | numbers | {"geometry": self.geometry.to_dict()}

    def __str__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self.lines())

    __repr__ = __str__
