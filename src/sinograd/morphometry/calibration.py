"""Calibration: from attenuation or Hounsfield units to densities in mg/cm3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sinograd.data import Volume
from sinograd.data.units import unit_text
from sinograd.errors import InputError, InputTypeError, UnitError
from sinograd.geometry import checks
from sinograd.morphometry.arguments import DENSITY, Values, binary
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.neighbourhood_means import inner, neighbourhood_means

LOW_PASS = 5.0  # mm, paper 001


@dataclass(frozen=True)
class DensityCalibration:
    """A straight line: density in mg/cm3 = slope * value + intercept.

    Attributes:
        slope, intercept: of the line.
        unit: of the values that it takes, "1/mm", "HU" or "mg/cm3" (a correction).
        points: how many rods or voxels it was fitted to.
        residual: root of the mean squared difference of these to the line, mg/cm3.
        correlation: Pearson's of values and densities.
    """

    slope: float
    intercept: float
    unit: str | None
    points: int
    residual: float
    correlation: float

    def __call__(self, volume: Volume) -> Volume:
        """The calibrated volume in mg/cm3, lazily if it is lazy; the line is added to its provenance.

        Raises UnitError for a volume in another unit than that of the calibration.
        """
        if not isinstance(volume, Volume):
            raise InputTypeError(f"volume: expected a Volume, got {type(volume).__name__}")
        if volume.unit != self.unit:
            raise UnitError(
                f"{volume.name}: the calibration is of values in {unit_text(self.unit)}, and the volume is in "
                f"{unit_text(volume.unit)}"
            )
        if self.unit == DENSITY:  # a correction: of equal units `to` would convert nothing
            converted = volume.with_unit("HU").to(DENSITY, density=(self.slope, self.intercept))
        else:
            converted = volume.to(DENSITY, density=(self.slope, self.intercept))
        line = {"slope": self.slope, "intercept": self.intercept, "from": self.unit, "residual": self.residual}
        return converted.with_provenance({**volume.provenance, "density_calibration": line})


def calibrate_by_rods(
    volume: Volume,
    centers_mm: Sequence[Sequence[float]],
    densities: Sequence[float],
    *,
    radius_mm: float,
    slices: tuple[int, int] | None = None,
) -> DensityCalibration:
    """The line through the mean values of the rods of a calibration phantom, which are parallel to z.

    Args:
        volume: attenuation in 1/mm or HU, with the rods.
        centers_mm: world (x, y) of each rod's axis.
        densities: of each rod, mg/cm3; at least two different ones.
        radius_mm: of the cylinder about each axis that is averaged; smaller than the rods, so that their blurred edges
            stay out.
        slices: first and end slice to average; None: all.

    Raises:
        UnitError: a volume that is neither in 1/mm nor in HU.
        InputError, InputTypeError: fewer than two rods or densities that are all alike, a rod outside the volume,
            values that are not finite or do not differ.
    """
    if not isinstance(volume, Volume):
        raise InputTypeError(f"volume: expected a Volume, got {type(volume).__name__}")
    if volume.unit not in ("1/mm", "HU"):
        raise UnitError(f"{volume.name}: calibration needs 1/mm or HU, and the volume has {unit_text(volume.unit)}")
    radius = checks.positive(radius_mm, "radius_mm")
    known = [
        checks.number(value, f"densities[{i}]")
        for i, value in enumerate(checks.entries(densities, "densities", "numbers"))
    ]
    centers = checks.values(centers_mm, "centers_mm", (len(known), 2))
    volume = volume.as_slices()
    first, end = (0, volume.slices) if slices is None else slices
    _, y, x = volume.grid.axes()
    cross = [(y[:, None] - b) ** 2 + (x - a) ** 2 <= radius**2 for a, b in centers.tolist()]
    for i, (disc, (a, b)) in enumerate(zip(cross, centers.tolist(), strict=True)):
        fits = float(x[0]) <= a - radius and a + radius <= float(x[-1])
        fits &= float(y[0]) <= b - radius and b + radius <= float(y[-1])
        if not fits or not disc.any():
            raise InputError(f"centers_mm[{i}]: the rod at x = {a:g}, y = {b:g} mm is not inside the volume")
    sums = torch.zeros(len(known), dtype=torch.float64)
    if not 0 <= first < end <= volume.slices:
        raise InputError(f"slices: expected first and end slice of 0 to {volume.slices}, got {slices}")
    for index in range(first, end):
        plane = volume.read(index, index + 1, torch.float64)[0].cpu()
        sums += torch.stack([plane[disc].mean() for disc in cross])
    return _fitted(sums / (end - first), torch.tensor(known, dtype=torch.float64), volume.unit, "densities")


def calibrate_by_low_pass(
    volume: Volume, reference: Volume, *, diameter: float = LOW_PASS, mask: Values | None = None
) -> DensityCalibration:
    """The line that takes the low-pass map of a volume to that of a calibrated one of the same object.

    Paper 001 (arXiv 2011.02382), section 2.1: the voxels of both maps (means over spheres, equation 6, d = 5 mm) are
    correlated; noise and sharpness of the two scans, which differ, average out. The volumes are registered before.

    Args:
        volume: in 1/mm, HU, or mg/cm3 that are to be corrected, [Z, Y, X].
        reference: in mg/cm3, on the same grid.
        diameter: of the spheres, mm.
        mask: the voxels to compare [Z, Y, X]; None: those whose spheres are inside the volume.

    Raises:
        UnitError: a reference that is not in mg/cm3, a volume without a unit.
        InputError, InputTypeError: no volumes on one grid, a sphere larger than they are, values that are not finite
            or do not differ.
    """
    for name, given in (("volume", volume), ("reference", reference)):
        if not isinstance(given, Volume):
            raise InputTypeError(f"{name}: expected a Volume, got {type(given).__name__}")
    if volume.unit not in ("1/mm", "HU", DENSITY):
        raise UnitError(
            f"{volume.name}: calibration needs 1/mm, HU or mg/cm3, got a volume with {unit_text(volume.unit)}"
        )
    reference.require(DENSITY, "calibration by a reference")
    if not volume.grid.equals(reference.grid):
        raise InputError(f"reference is on another grid than the volume: {reference.grid!r}, {volume.grid!r}")
    volume, reference = volume.as_slices(), reference.as_slices()
    ball = fitting_ball(volume.spacing, diameter, volume.shape)
    maps = [neighbourhood_means(_floating(part.validate().values), ball) for part in (volume, reference)]
    if mask is None:
        x, y = (inner(part, ball).flatten() for part in maps)
    else:
        inside = binary(mask, shape=volume.shape)
        x, y = (part[inside] for part in maps)
    return _fitted(x.double(), y.double(), volume.unit, "volume")


def _floating(values: Tensor) -> Tensor:
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def _fitted(values: Tensor, densities: Tensor, unit: str | None, name: str) -> DensityCalibration:
    """Least squares of the densities."""
    if len(values) < 2:
        raise InputError(f"{name}: expected at least 2 points to fit a line to, got {len(values)}")
    bad: Any = int((~torch.isfinite(values) | ~torch.isfinite(densities)).sum())
    if bad:
        raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite ones")
    x, y = values - values.mean(), densities - densities.mean()
    xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
    # Rounding of equal values is not a difference.
    least = (1e-6 * max(1e-300, float(values.abs().max()))) ** 2 * len(values)
    if xx <= least or yy == 0 or xy == 0:
        raise InputError(f"{name}: expected different values, got {float(values.mean()):g} everywhere")
    slope = xy / xx
    left = max(yy - slope * xy, 0.0)
    return DensityCalibration(
        slope=slope,
        intercept=float(densities.mean()) - slope * float(values.mean()),
        unit=unit,
        points=len(values),
        residual=math.sqrt(left / len(values)),
        correlation=xy / math.sqrt(xx * yy),
    )
