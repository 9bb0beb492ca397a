"""All measures of a calibrated volume, and its maps one after the other, in the memory of a few volumes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sinograd.data import Volume
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.morphometry.anisotropy import degree_of_anisotropy
from sinograd.morphometry.arguments import DENSITY, binary
from sinograd.morphometry.arguments import level as checked_level
from sinograd.morphometry.ball import fitting_ball
from sinograd.morphometry.connectivity import connectivity_density
from sinograd.morphometry.maps import Neighbourhoods
from sinograd.morphometry.neighbourhood_means import neighbourhood_means
from sinograd.morphometry.soft_threshold import FLOOR
from sinograd.morphometry.surface import surface_area
from sinograd.morphometry.thickness import thickness

LARGEST = 4.0  # mm; wider marrow spaces are counted as this
_SLAB_VOXELS = 6_000_000

Receive = Callable[["BoneMap"], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Measure:
    """One number: its symbol as bone people write it, what it is, value (NaN: not defined) and unit."""

    symbol: str
    name: str
    value: float
    unit: str


@dataclass(frozen=True, eq=False)
class BoneMap:
    """A map [Z, Y, X] float32, NaN where it is not defined, its unit, and how many of its voxels are `empty` (NaN)."""

    name: str
    title: str
    values: Tensor
    unit: str
    empty: int
    of: int


@dataclass(frozen=True)
class BoneAnalysis:
    """What `analyse` measured.

    Attributes:
        measures: in the order of the report.
        threshold, softness: mg/cm3. diameter: mm, of the spheres of the maps; None: no maps.
        empty: of each map, how many voxels of the region have no value.
        capped: how many voxels of marrow are wider than `largest_mm`.
    """

    measures: tuple[Measure, ...]
    threshold: float
    softness: float
    diameter: float | None
    largest_mm: float
    empty: dict[str, int] = field(default_factory=dict)
    capped: int = 0

    def __getitem__(self, symbol: str) -> float:
        """The value of a measure by its symbol, such as "BV/TV"."""
        return next(m.value for m in self.measures if m.symbol == symbol)


def analyse(
    volume: Volume,
    threshold: float,
    *,
    diameter: float | None = None,
    mask: Volume | Tensor | None = None,
    softness: float = 10.0,
    largest_mm: float = LARGEST,
    receive: Receive | None = None,
    progress: Progress | None = None,
) -> BoneAnalysis:
    """Measure bone: BMD, BV/TV, TMD, Tb.Th, Tb.Sp, BS/BV, Conn.D and the degree of anisotropy, and make its maps.

    Bone is what is at least at the threshold. With a mask only its voxels are measured; thickness, surface and
    separation look at the bone about it, too, so that nothing ends at its border. Beside the volume about 1.5 GB are
    held for 512 x 512 x 200 voxels.

    Args:
        volume: [Z, Y, X] in mg/cm3.
        threshold: mg/cm3.
        diameter: of the spheres of the local maps, mm; None: none of BMD, BV/TV, TMD and SD.
        mask: the region, 1 or true inside, on the grid of the volume; None: all.
        softness: of the threshold of the maps, mg/cm3.
        largest_mm: structures thicker than this count as this thick.
        receive: called with each map when it is made; it is dropped afterwards.
        progress: called with (steps done, steps).

    Raises:
        UnitError: the volume is not in mg/cm3.
        InputError, InputTypeError: a threshold outside the data, a mask of another grid or without any voxel, spheres
            larger than the volume, values that are not finite.
    """
    if not isinstance(volume, Volume):
        raise InputTypeError(f"volume: expected a Volume, got {type(volume).__name__}")
    volume = volume.require(DENSITY, "bone morphometry").as_slices().validate()
    largest = checks.positive(largest_mm, "largest_mm")
    soft = checks.positive(softness, "softness")
    if diameter is not None:
        fitting_ball(volume.spacing, diameter, volume.shape)
    region = _region(mask, volume)
    values = volume.values
    values = values if values.dtype in (torch.float32, torch.float64) else values.float()
    at = checked_level(threshold, values)
    bone = values >= at
    work = _Work(receive or (lambda made: None), progress or (lambda done, total: None), 4 if diameter is None else 8)
    measures = _densities(values, bone, region)
    work.step()
    structure, capped = _structure(bone, region, _spacing(volume), largest, work)
    if diameter is not None:
        _maps(values, region, _spacing(volume), (at, soft, float(diameter)), work)
    return BoneAnalysis((*measures, *structure), at, soft, diameter, largest, work.empty, capped)


@dataclass
class _Work:
    """Where maps go, and how far the work is."""

    receive: Receive
    progress: Progress
    steps: int
    done: int = 0
    empty: dict[str, int] = field(default_factory=dict)

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        self.progress(self.done, self.steps)

    def give(self, name: str, title: str, values: Tensor, unit: str, inside: Tensor | None) -> None:
        """Pass a map on, with what is missing of it in the region `inside`."""
        missing = torch.isnan(values)
        if inside is not None:
            missing &= inside
        self.empty[name] = int(missing.sum())
        of = values.numel() if inside is None else int(inside.sum())
        self.receive(BoneMap(name, title, values, unit, self.empty[name], of))
        self.step()


def _region(mask: Volume | Tensor | None, volume: Volume) -> Tensor | None:
    if mask is None:
        return None
    if isinstance(mask, Volume):
        _check_grid(mask.as_slices(), volume)
    inside = binary(mask, "mask", volume.shape)
    if not bool(inside.any()):
        raise InputError("mask: expected some voxels inside, got none")
    return inside


def _check_grid(mask: Volume, volume: Volume) -> None:
    """Files hold spacing and position with different precision: a hundredth of a voxel is the same place."""
    one, other = mask.grid, volume.grid
    same = tuple(one.shape) == tuple(other.shape)
    same &= all(abs(a - b) <= 1e-4 * b for a, b in zip(one.spacing, other.spacing, strict=True))
    moved = [abs(a - b) / s for a, b, s in zip(one.center, other.center, reversed(other.spacing), strict=True)]
    if not same or max(moved) > 0.01:
        raise InputError(f"mask is on another grid than the volume: {one!r}, {other!r}")


def _spacing(volume: Volume) -> tuple[float, float, float]:
    z, y, x = volume.spacing
    return z, y, x


def _densities(values: Tensor, bone: Tensor, region: Tensor | None) -> list[Measure]:
    """Slice by slice, so that no second copy is made."""
    sums, counts = [0.0, 0.0], [0, 0]
    for index in range(values.shape[0]):
        inside = torch.ones_like(bone[index]) if region is None else region[index]
        for kind, chosen in enumerate((inside, inside & bone[index])):
            sums[kind] += float(values[index][chosen].double().sum())
            counts[kind] += int(chosen.sum())
    mean, tissue = (total / count if count else math.nan for total, count in zip(sums, counts, strict=True))
    return [
        Measure("BMD", "bone mineral density", mean, "mg/cm3"),
        Measure("BV/TV", "bone volume fraction", counts[1] / counts[0], "1"),
        Measure("TMD", "tissue mineral density", tissue, "mg/cm3"),
    ]


def _structure(
    bone: Tensor, region: Tensor | None, spacing: tuple[float, float, float], largest: float, work: _Work
) -> tuple[list[Measure], int]:
    inside = bone if region is None else bone & region
    voxel = math.prod(spacing)
    tv = (bone.numel() if region is None else int(region.sum())) * voxel
    bv = int(inside.sum()) * voxel
    found, capped = [], 0
    for symbol, name, phase in (("Tb.Th", "trabecular thickness", bone), ("Tb.Sp", "trabecular separation", ~bone)):
        among = phase if region is None else phase & region
        local = _thickness(phase, region, spacing, largest)
        mean, spread = _mean_and_deviation(local, among)
        capped = int(((local >= largest * (1 - 1e-6)) & among).sum())
        found += [Measure(symbol, name, mean, "mm"), Measure(f"{symbol}.SD", f"{name}, deviation", spread, "mm")]
        local[~among] = math.nan
        work.give(name.split()[1], name.capitalize(), local, "mm", among)
    area = surface_area(bone, spacing, region=region)
    found += [
        Measure("TV", "volume of the region", tv, "mm3"),
        Measure("BV", "bone volume", bv, "mm3"),
        Measure("BS", "bone surface", area, "mm2"),
        Measure("BS/BV", "specific bone surface", area / bv if bv else math.nan, "1/mm"),
        Measure("Conn.D", "connectivity density", connectivity_density(bone, spacing, region=region), "1/mm3"),
        Measure("DA", "degree of anisotropy", degree_of_anisotropy(bone, spacing, region=region), "1"),
    ]
    work.step()
    return found, capped


def _mean_and_deviation(values: Tensor, among: Tensor) -> tuple[float, float]:
    """Of the values in a mask, slice by slice; NaN without two of them."""
    count = int(among.sum())
    if count < 2:
        return math.nan, math.nan
    slices = range(values.shape[0])
    mean = math.fsum(float(values[i][among[i]].double().sum()) for i in slices) / count
    squares = math.fsum(float((values[i][among[i]].double() - mean).square().sum()) for i in slices)
    return mean, math.sqrt(squares / (count - 1))


def _thickness(phase: Tensor, region: Tensor | None, spacing: tuple[float, float, float], largest: float) -> Tensor:
    """Of the phase near the region: spheres about voxels that are farther away do not reach it."""
    if region is None:
        return thickness(phase, spacing, largest=largest)
    box = tuple(
        slice(max(int(places.min()) - n, 0), int(places.max()) + 1 + n)
        for places, n in zip(region.nonzero(as_tuple=True), (math.ceil(largest / s) for s in spacing), strict=True)
    )
    result = torch.full(phase.shape, math.nan, dtype=torch.float32)
    result[box] = thickness(phase[box].contiguous(), spacing, largest=largest)
    return result


_MAPS = (
    ("bmd", "Bone mineral density", "mg/cm3"),
    ("bvtv", "Bone volume fraction", "1"),
    ("tmd", "Tissue mineral density", "mg/cm3"),
    ("sd", "Standard deviation", "mg/cm3"),
)


def _maps(
    values: Tensor,
    region: Tensor | None,
    spacing: tuple[float, float, float],
    settings: tuple[float, float, float],
    work: _Work,
) -> None:
    """settings: threshold, softness, diameter."""
    ball = fitting_ball(spacing, settings[2], values.shape)
    for name, title, unit in _MAPS:
        result = torch.empty(values.shape, dtype=torch.float32)
        for first, end, low, high in _slabs(values.shape, ball):
            inside = None if region is None else region[low:high].to(values.dtype)
            share = None if inside is None else neighbourhood_means(inside, ball)
            near = Neighbourhoods(ball, False, inside, share)
            result[first:end] = _of_slab(name, near, values[low:high], settings)[first - low : end - low]
        work.give(name, title, result, unit, region)


def _of_slab(name: str, near: Neighbourhoods, values: Tensor, settings: tuple[float, float, float]) -> Tensor:
    threshold, softness, _ = settings
    if name in ("bmd", "sd"):
        return near.bmd(values) if name == "bmd" else near.sd(values)
    if name == "bvtv":
        return near.bvtv(values, threshold, softness)
    density, share = near.tmd(values, threshold, softness)
    return torch.where(share < FLOOR, math.nan, density)


def _slabs(shape: Any, ball: Tensor) -> list[tuple[int, int, int, int]]:
    """First and end slice of each slab, and of what its spheres need, which is at least one sphere deep."""
    depth, reach = shape[0], (ball.shape[0] - 1) // 2
    step = max(1, _SLAB_VOXELS // (shape[1] * shape[2]) - 2 * reach, reach + 1)
    slabs = []
    for first in range(0, depth, step):
        end = min(first + step, depth)
        low, high = max(first - reach, 0), min(end + reach, depth)
        low = max(0, min(low, high - ball.shape[0]))
        slabs.append((first, end, low, min(max(high, low + ball.shape[0]), depth)))
    return slabs
