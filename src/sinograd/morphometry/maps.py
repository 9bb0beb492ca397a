"""Local maps of BMD, BV/TV, TMD and the standard deviation: each voxel's value is that of a sphere about it.

Paper 001 (arXiv 2011.02382), equations 4 to 9. All maps are differentiable in the values, to any order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.morphometry.arguments import Spacing, Values, binary, densities, level, steps
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.neighbourhood_means import inner, neighbourhood_counts, neighbourhood_means
from sinograd.morphometry.soft_threshold import FLOOR, safe_root, soft_floor, soft_threshold


def bmd_map(
    values: Values, spacing: Spacing, diameter: float, *, mask: Values | None = None, valid: bool = False
) -> Tensor:
    """Mean density in the sphere about each voxel (equation 6).

    A voxel belongs to a sphere if its centre lies within diameter / 2; all have the same weight. At the border of the
    volume, and of the mask, those inside count.

    Args:
        values: [..., Z, Y, X] in mg/cm3, float32 or float64: a tensor, an array or a `Volume`.
        spacing: mm per voxel, one number or (z, y, x); None: what the `Volume` says.
        diameter: of the sphere, mm.
        mask: the region [Z, Y, X]; voxels outside count for no sphere and are NaN in the map. None: all.
        valid: leave out the border, where spheres are cut by the volume's faces.

    Returns:
        [..., Z, Y, X] in mg/cm3, of the dtype of the values; with `valid` less by the sphere's box but one voxel.

    Raises:
        UnitError: a `Volume` that is not in mg/cm3.
        InputTypeError, InputError: no floating-point numbers, NaN among them, a missing spacing, a sphere
            larger than the volume, a mask of another shape.
    """
    volume = densities(values)
    return Neighbourhoods.of(values, volume, spacing, diameter, mask, valid).bmd(volume)


def bvtv_map(
    values: Values,
    spacing: Spacing,
    diameter: float,
    threshold: float,
    softness: float = 10.0,
    *,
    mask: Values | None = None,
    valid: bool = False,
) -> Tensor:
    """Share of bone in the sphere about each voxel, 0 to 1, with a soft threshold (equations 5 and 7).

    Args:
        values, spacing, diameter, mask, valid: as for `bmd_map`.
        threshold: mg/cm3.
        softness: s of the sigmoid 1 / (1 + exp((threshold - value) / s)), mg/cm3.

    Returns, raises: as `bmd_map`; InputError where all values lie on one side of the threshold.
    """
    volume = densities(values)
    near = Neighbourhoods.of(values, volume, spacing, diameter, mask, valid)
    return near.bvtv(volume, level(threshold, volume), checks.positive(softness, "softness"))


def tmd_map(
    values: Values,
    spacing: Spacing,
    diameter: float,
    threshold: float,
    softness: float = 10.0,
    *,
    mask: Values | None = None,
    valid: bool = False,
) -> Tensor:
    """Mean density of the bone in the sphere about each voxel, with a soft threshold (equation 8, epsilon 1e-4).

    Args:
        values, spacing, diameter, threshold, softness, mask, valid: as for `bvtv_map`.

    Returns:
        As `bmd_map`; NaN, without a gradient, where the share of bone is below 1e-4: there the formula would return
        its own small number, not a density. The losses keep the formula.

    Raises:
        UnitError, InputTypeError, InputError: as `bvtv_map`.
    """
    volume = densities(values)
    near = Neighbourhoods.of(values, volume, spacing, diameter, mask, valid)
    density, share = near.tmd(volume, level(threshold, volume), checks.positive(softness, "softness"))
    return torch.where(share.detach() < FLOOR, math.nan, density)


def sd_map(
    values: Values, spacing: Spacing, diameter: float, *, mask: Values | None = None, valid: bool = False
) -> Tensor:
    """Sample standard deviation in the sphere about each voxel (equation 9).

    Arguments, result and errors as `bmd_map`; InputError for a sphere of a single voxel; NaN where the mask leaves one.
    Where it vanishes, its gradient is 0.
    """
    volume = densities(values)
    return Neighbourhoods.of(values, volume, spacing, diameter, mask, valid).sd(volume)


@dataclass(frozen=True)
class Neighbourhoods:
    """The spheres about the voxels of a volume, cut by its faces and the mask.

    ball: see `ball`. mask: [Z, Y, X] of the volume's dtype, 1 inside; None: all. share: what of each cut ball is in
    the mask.
    """

    ball: Tensor
    valid: bool = False
    mask: Tensor | None = None
    share: Tensor | None = None

    @classmethod
    def of(
        cls, values: Values, volume: Tensor, spacing: Spacing, diameter: float, mask: Values | None, valid: bool
    ) -> Neighbourhoods:
        """For checked values `volume`; raises as `bmd_map`."""
        ball = fitting_ball(steps(spacing, values), diameter, volume.shape)
        if mask is None:
            return cls(ball, valid)
        inside = binary(mask, shape=volume.shape[-3:]).to(device=volume.device, dtype=volume.dtype)
        return cls(ball, valid, inside, neighbourhood_means(inside, ball))

    def bmd(self, values: Tensor) -> Tensor:
        """Equation 6."""
        return self._shown(self._mean(values))

    def bvtv(self, values: Tensor, threshold: float, softness: float) -> Tensor:
        """Equation 7."""
        # Rounding of the transform may leave 0 to 1 by its last digits.
        return self._shown(self._mean(soft_threshold(values, threshold, softness)).clamp(0, 1))

    def tmd(self, values: Tensor, threshold: float, softness: float) -> tuple[Tensor, Tensor]:
        """Equation 8, and the share of bone."""
        bone = soft_threshold(values, threshold, softness)
        share = self._mean(bone).clamp(0, 1)
        return self._shown(self._mean(bone * values) / soft_floor(share)), self._shown(share)

    def sd(self, values: Tensor) -> Tensor:
        """Equation 9. The mean of all is taken off before squaring, which changes nothing but rounding."""
        if int(self.ball.sum()) < 2:
            raise InputError("diameter: a standard deviation needs a sphere of at least 2 voxels, it has 1")
        centred = values - values.detach().mean((-3, -2, -1), keepdim=True)
        variance = self._mean(centred.square()) - self._mean(centred).square()
        number = self._cut(neighbourhood_counts(values.shape, self.ball, values.device))
        if self.share is not None:
            number = (number * self._cut(self.share)).round()
        factor = torch.where(number > 1.5, number / (number - 1), math.nan).to(values.dtype)
        least = 16 * torch.finfo(values.dtype).eps * centred.detach().square().mean((-3, -2, -1), keepdim=True)
        return self._shown(safe_root(variance, least) * factor.sqrt())

    def _mean(self, values: Tensor) -> Tensor:
        """Over the spheres."""
        if self.mask is None or self.share is None:
            return neighbourhood_means(values, self.ball, valid=self.valid)
        means = neighbourhood_means(values * self.mask, self.ball, valid=self.valid)
        return means / torch.where(self._cut(self.mask) > 0, self._cut(self.share), 1.0)

    def _shown(self, means: Tensor) -> Tensor:
        """NaN outside the mask."""
        return means if self.mask is None else torch.where(self._cut(self.mask) > 0, means, math.nan)

    def _cut(self, values: Tensor) -> Tensor:
        """Without the border where only whole spheres are asked for."""
        return inner(values, self.ball) if self.valid else values
