"""Connected trabecular bone: perforated plates and rods about a surface of a random field."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.phantoms.packing import normal, seeded, uniform
from sinograd.phantoms.random_field import RandomField

_SHEET_WAVES, _HOLE_WAVES, _THICKNESS_WAVES = 256, 128, 64
_POINTS = 100_000  # that the amount of bone is measured at
_VOXELS = 2**24  # worked on at a time
_HOLES = 1.3  # their wavelength, of the sheet's
_SLOW = 8.0  # wavelength of the thickness, of the sheet's


def trabecular(
    seed: int | torch.Generator = 0,
    *,
    diameter: float = 20.0,
    height: float = 20.0,
    bone_fraction: float = 0.17,
    thickness: float = 0.15,
    plates: float = 0.7,
    elongation: float = 1.0,
    variation: float = 0.15,
    bone: float = 0.120,
    marrow: float = 0.023,
) -> Trabecular:
    """A cylinder of connected trabecular bone in marrow, without a cortex, about the z axis.

    Bone lies where a sheet, the zero of a Gaussian random field, is nearer than half the thickness, except in holes of
    the sheet, where a second field is low. Sheets of such fields are connected and so is what holes leave of them:
    plates where holes are few, rods where they meet. The length of the waves follows from the amount of bone and the
    thickness: a sheet has the area 2 / pi sqrt(<(df/dx)^2>) per volume (Rice's formula; R. J. Adler, The Geometry of
    Random Fields, 1981, chapter 5); the holes are set so that the sheet at hand gives the amount. Level sets of waves
    as a model of bone: C. Soyarslan et al., Acta Materialia 149 (2018) 326; of two-phase media: P. Levitz,
    Adv. Colloid Interface Sci. 76-77 (1998) 71.

    The same seed gives the same object at any voxel size.

    Args:
        seed: a number, or a CPU generator to draw from.
        diameter, height: of the cylinder, mm.
        bone_fraction: BV/TV, mean of the cylinder, 0.02 to 0.5.
        thickness: mean thickness of plates and rods, mm.
        plates: share of the sheet that holes leave, 0.5 to 1. One that is nearly 1 cannot be met exactly by every seed.
        elongation: how many times as long as wide spaces are along z, 1 to 5: the cause of anisotropy.
        variation: standard deviation of the thickness over space, of itself, 0 to 0.3; it changes over some 8 spaces.
        bone, marrow: attenuation, 1/mm; the defaults are typical of 40 keV, as for `bone`.

    Raises:
        InputError: numbers outside these ranges.
    """
    _check(
        diameter=(diameter, 0.0, math.inf),
        height=(height, 0.0, math.inf),
        bone_fraction=(bone_fraction, 0.02, 0.5),
        thickness=(thickness, 0.0, math.inf),
        plates=(plates, 0.5, 1.0),
        elongation=(elongation, 1.0, 5.0),
        variation=(variation, 0.0, 0.3),
    )
    for name, value in (("bone", bone), ("marrow", marrow)):
        if not math.isfinite(value):
            raise InputError(f"{name}: expected an attenuation in 1/mm, got {value}")
    if min(bone_fraction, thickness, diameter, height) <= 0:
        raise InputError("diameter, height, bone_fraction and thickness: expected numbers above 0")
    generator = seeded(seed)
    sheet = RandomField.drawn(_SHEET_WAVES, 1.0, elongation, generator)
    sheet = sheet.scaled(_wavelength(sheet, bone_fraction / plates, thickness))
    wavelength = 2 * math.pi / torch.linalg.vector_norm(sheet.wave_vectors[:, :2], dim=1).max().item()
    holes = RandomField.drawn(_HOLE_WAVES, _HOLES * wavelength, elongation, generator)
    slow = RandomField.drawn(_THICKNESS_WAVES, _SLOW * wavelength, 1.0, generator)
    made = Trabecular(sheet, holes, slow, -math.inf, thickness, variation, (diameter, height), bone, marrow)
    return dataclasses.replace(made, level=_level(made, bone_fraction, generator))


@dataclass(frozen=True, eq=False, repr=False)
class Trabecular:
    """What `trabecular` makes: an object that is known at every point and is drawn on grids as fine as needed.

    Attributes:
        sheet, holes, slow: the random fields of the surface, of its holes and of the thickness.
        level: bone is where `holes` is above it.
        thickness: mean, mm.
        variation: standard deviation of the thickness, of itself.
        size: diameter and height of the cylinder, mm.
        bone, marrow: attenuation, 1/mm.
    """

    sheet: RandomField
    holes: RandomField
    slow: RandomField
    level: float
    thickness: float
    variation: float
    size: tuple[float, float]
    bone: float
    marrow: float

    def __repr__(self) -> str:
        diameter, height = self.size
        return f"<Trabecular: {diameter:g} mm wide, {height:g} mm high, plates {self.thickness:g} mm thick>"

    def scaled(self, factor: float) -> Trabecular:
        """The object made `factor` times larger about the origin; attenuation as it is."""
        if not 0 < factor < math.inf:
            raise InputError(f"factor: expected a positive number, got {factor}")
        diameter, height = self.size
        return dataclasses.replace(
            self,
            sheet=self.sheet.scaled(factor),
            holes=self.holes.scaled(factor),
            slow=self.slow.scaled(factor),
            thickness=self.thickness * factor,
            size=(diameter * factor, height * factor),
        )

    def in_bone(self, points: Tensor) -> Tensor:
        """Whether points [m, 3] (x, y, z) in mm lie in bone: bool [m]. The ends of the cylinder are not looked at."""
        value, gradient = self.sheet.at(points)
        slow, _ = self.slow.at(points)
        reach = torch.linalg.vector_norm(gradient, dim=1) * self._half(slow)
        return (value.abs() < reach) & (self.holes.at(points)[0] > self.level)

    def voxelize(self, grid: Grid, *, supersampling: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
        """Mean attenuation of each voxel over supersampling^ndim evenly spread points.

        Voxels must be finer than the thickness, or more points be taken.

        Returns:
            [Z, Y, X], or [Y, X] of a two-dimensional grid (the plane z = 0); 1/mm.
        """
        if supersampling < 1:
            raise InputError(f"supersampling must be at least 1, got {supersampling}")
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise InputTypeError(f"dtype must be a floating-point type, got {dtype}")
        n = supersampling
        if grid.ndim == 2:
            places = (1.0, *(s / n for s in grid.spacing))
            fine = Grid((1, *(n * k for k in grid.shape)), places, (*grid.center, 0.0))
            slices, deep = 1, 1
        else:
            fine = Grid(tuple(n * k for k in grid.shape), tuple(s / n for s in grid.spacing), grid.center)
            slices, deep = grid.shape[0], n
        result = torch.empty(slices, *grid.shape[-2:], dtype=dtype, device="cpu")
        step = max(1, _VOXELS // (deep * fine.shape[1] * fine.shape[2]))
        for first in range(0, slices, step):
            last = min(first + step, slices)
            values = self._values(fine, slice(first * deep, last * deep))
            blocks = values.unflatten(2, (-1, n)).unflatten(1, (-1, n)).unflatten(0, (-1, deep))
            result[first:last] = blocks.mean(dim=(1, 3, 5))
        return result.reshape(grid.shape)

    def project(
        self, geometry: Geometry, *, voxel: float | None = None, rays: int = 2, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Line integrals of the object on a fine grid, each pixel the mean over rays^2 rays across it.

        Values are interpolated linearly along the rays, without any operator that reconstructs; some 300 MB are taken
        beside the result.

        Args:
            geometry: any scan; two-dimensional ones see the plane z = 0.
            voxel: of the fine grid, mm; by default a third of the thickness.
            rays: across a pixel, in each direction.
            dtype: of the result.

        Returns:
            [views, rows, columns], or [views, columns] for a two-dimensional geometry; no unit.

        Raises:
            InputError: rays below 1, a voxel that is not positive, rays that run along z.
        """
        from sinograd.phantoms.fine_projection import project_finely

        voxel = self.thickness / 3 if voxel is None else voxel
        return project_finely(self, self.size, geometry, voxel, rays, dtype)

    def _values(self, grid: Grid, part: slice) -> Tensor:
        """Attenuation at the voxel centres of slices `part`, [z, y, x] float32."""
        value, length = self.sheet.slices(grid, part, gradient=True)
        slow, _ = self.slow.slices(grid, part, gradient=False)
        holes, _ = self.holes.slices(grid, part, gradient=False)
        assert length is not None
        inside = (value.abs_() < length.mul_(self._half(slow))) & (holes > self.level)
        diameter, height = self.size
        z, y, x = grid.axes()
        disc = y.square()[:, None] + x.square() <= (diameter / 2) ** 2
        tall = z[part].abs() <= height / 2
        values = torch.where(inside, self.bone, self.marrow)
        return values * (tall[:, None, None] & disc)

    def _half(self, slow: Tensor) -> Tensor:
        """Half of the thickness, mm, where the slow field has this value."""
        return 0.5 * self.thickness * (1 + self.variation * slow.clamp(-2.5, 2.5))


def _wavelength(unit: RandomField, fraction: float, thickness: float) -> float:
    """How long the waves of a field of wavelength 1 must be made, so that the sheet |f| < thickness / 2 |grad f| takes
    this fraction of space: f and its gradient are independent and normal."""
    spread = unit.wave_vectors.square().mean(0)  # the variances of the gradient's components
    draws = normal((4096, 3), torch.Generator("cpu").manual_seed(0))
    lengths = torch.linalg.vector_norm(draws * spread.sqrt(), dim=1)
    low, high = 1e-3 * thickness, 1e4 * thickness
    for _ in range(80):
        middle = math.sqrt(low * high)
        taken = torch.erf(thickness / (2 * math.sqrt(2) * middle) * lengths).mean().item()
        low, high = (middle, high) if taken > fraction else (low, middle)
    return math.sqrt(low * high)


def _level(made: Trabecular, fraction: float, generator: torch.Generator) -> float:
    """Of the holes: with it, bone takes this fraction of the cylinder, measured at random points."""
    diameter, height = made.size
    radius = 0.5 * diameter * uniform(_POINTS, 0.0, 1.0, generator).sqrt()
    angle = uniform(_POINTS, 0.0, 2 * math.pi, generator)
    z = uniform(_POINTS, -height / 2, height / 2, generator)
    points = torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=1)
    sheet = torch.cat([made.in_bone(some) for some in points.split(10_000)])
    share = fraction * _POINTS / max(1, int(sheet.sum()))
    if share >= 1:
        return -math.inf
    return torch.quantile(made.holes.at(points[sheet])[0], 1 - share).item()


def _check(**ranges: tuple[float, float, float]) -> None:
    for name, (value, low, high) in ranges.items():
        if not (low <= value <= high and math.isfinite(value)):
            expected = "a positive number" if math.isinf(high) else f"a number from {low:g} to {high:g}"
            raise InputError(f"{name}: expected {expected}, got {value}")
