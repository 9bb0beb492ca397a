"""What denoisers are trained on and scored with: a noisy volume, and what it should become."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from sinograd.errors import InputError, InputIndexError, InputTypeError
from sinograd.geometry import Grid

Unit = Literal["HU", "1/mm", "none"]
UNITS = ("HU", "1/mm", "none")
AIR = {"HU": -1000.0, "1/mm": 0.0}  # of each unit that has one

_SPACING = 1e-3  # relative difference of voxel sizes that headers round away
_LEAST_HU, _MOST_PER_MM = 5.0, 500.0  # see `check_unit`


@runtime_checkable
class VolumeSource(Protocol):
    """A volume of which slices are read when they are asked for.

    It may have an attribute `block`: how many slices it is best read by (those of a packed file, of a simulation).
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        ...

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Mm along z, y, x; None where it is not known."""
        ...

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1: float32 [end - first, Y, X]."""
        ...


class TensorSource:
    """A volume [Z, Y, X], or a slice [Y, X], that is in memory; of float32 ones no copy is made.

    Raises:
        TypeError: no tensor of real numbers.
        ValueError: another number of dimensions, no voxels, or NaN or infinite values.
    """

    def __init__(self, volume: Tensor, spacing: Sequence[float] | float | None = None) -> None:
        if not isinstance(volume, Tensor) or volume.dtype == torch.bool or volume.is_complex():
            found = volume.dtype if isinstance(volume, Tensor) else type(volume).__name__
            raise InputTypeError(f"volume must be a tensor of real numbers, got {str(found).removeprefix('torch.')}")
        if volume.ndim not in (2, 3) or volume.numel() == 0:
            raise InputError(f"volume must be [Z, Y, X] or [Y, X] and not empty, got {list(volume.shape)}")
        bad = int((~torch.isfinite(volume)).sum()) if volume.is_floating_point() else 0
        if bad:
            raise InputError(f"volume: expected finite values, got {bad} NaN or infinite ones among {volume.numel()}")
        self.volume = volume.detach() if volume.ndim == 3 else volume.detach()[None]
        self.shape: tuple[int, int, int] = (self.volume.shape[0], self.volume.shape[1], self.volume.shape[2])
        self.spacing = None if spacing is None else _three(spacing)

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1, float32; a view where the volume is float32."""
        check_range(first, end, self.shape[0])
        return self.volume[first:end].float()

    def __repr__(self) -> str:
        return f"TensorSource({list(self.shape)}, spacing={self.spacing})"


@dataclass(frozen=True, eq=False)
class PairedVolume:
    """A noisy volume and its target, slice by slice on the same voxels.

    Attributes:
        name: for messages and tables. patient: whose it is; several volumes may be one patient's.
        inputs: one low-dose volume, or N realisations of the noise (Noise2Noise).
        target: normal dose; None where there is none.
        unit: of the values, "HU", "1/mm" or "none".
        group: body part or exam, "chest", "abdomen", "neuro"; evaluation protocols look at it.

    Raises:
        ValueError: no input, an unknown unit, or sizes or voxel sizes (beyond 0.1 %) that differ.
    """

    name: str
    patient: str
    inputs: tuple[VolumeSource, ...]
    target: VolumeSource | None
    unit: Unit
    group: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, tuple) or not self.inputs:
            raise InputError(f"{self.name}: inputs must be a tuple of at least one volume, got {self.inputs!r}")
        if self.unit not in UNITS:
            raise InputError(f"{self.name}: unit must be one of {', '.join(UNITS)}, got {self.unit!r}")
        first = self.inputs[0]
        others = [(f"input {i}", source) for i, source in enumerate(self.inputs) if i]
        others += [] if self.target is None else [("target", self.target)]
        for what, source in others:
            if tuple(source.shape) != tuple(first.shape):
                raise InputError(
                    f"{self.name}: {what} has {_size(source.shape)} voxels, the input {_size(first.shape)}: "
                    "a pair needs the same slices"
                )
            if not _same_spacing(source.spacing, first.spacing):
                raise InputError(
                    f"{self.name}: {what} has voxels of {_size(source.spacing)} mm, the input of "
                    f"{_size(first.spacing)} mm: a pair needs the same spacing"
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        return self.inputs[0].shape

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Mm along z, y, x; None where no volume tells."""
        known = [s.spacing for s in (*self.inputs, *([] if self.target is None else [self.target]))]
        return next((spacing for spacing in known if spacing is not None), None)


def check_unit(pair: PairedVolume) -> PairedVolume:
    """The pair itself, if the middle slices of its volumes can be in its unit.

    A slice in HU has values beyond 5 (noise alone has), one in 1/mm none beyond 500 (gold at 8 keV: 400, air in HU:
    -1000). Slices of one value tell nothing.

    Raises:
        ValueError: values in another unit (attenuation against HU), or not finite ones; names the volume.
    """
    volumes = [(f"input {i}" if len(pair.inputs) > 1 else "input", v) for i, v in enumerate(pair.inputs)]
    volumes += [] if pair.target is None else [("target", pair.target)]
    for what, source in volumes:
        middle = source.shape[0] // 2
        values = source.read(middle, middle + 1)
        check_finite(values, f"{pair.name}: {what}", middle)
        low, high = float(values.min()), float(values.max())
        most = max(-low, high)
        other = None
        if pair.unit == "HU" and most < _LEAST_HU and low != high:
            other = "attenuation in 1/mm"
        elif pair.unit == "1/mm" and most > _MOST_PER_MM:
            other = "HU or another unit"
        if other is not None:
            raise InputError(
                f"{pair.name}: the unit is {pair.unit}, but the {what}'s values in slice {middle} lie between "
                f"{low:.4g} and {high:.4g}: {other}?"
            )
    return pair


def check_place(pair: PairedVolume) -> PairedVolume:
    """The pair itself, if its volumes lie in the same place, to half a voxel, as far as their files tell (`grid`).

    Raises:
        ValueError: naming the volume and how far it lies from the input.
    """
    grids = [getattr(source, "grid", None) for source in (*pair.inputs, pair.target)]
    first = next((grid for grid in grids if isinstance(grid, Grid)), None)
    for index, grid in enumerate(grids):
        if first is None or not isinstance(grid, Grid):
            continue
        apart = [b - a for a, b in zip(first.center, grid.center, strict=True)]
        if any(abs(d) > s / 2 for d, s in zip(apart, reversed(first.spacing), strict=True)):
            what = "target" if index == len(pair.inputs) else f"input {index}"
            raise InputError(
                f"{pair.name}: the {what} lies {', '.join(f'{d:.4g}' for d in apart)} mm (x, y, z) from the input: "
                "a pair needs the same slices"
            )
    return pair


def check_finite(slices: Tensor, name: str, first: int) -> None:
    """ValueError naming volume and slice where values are NaN or infinite; `first` is the number of slices[0]."""
    finite = torch.isfinite(slices)
    if not bool(finite.all()):
        index = first + int((~finite).flatten(1).any(1).nonzero()[0])
        raise InputError(f"{name}: expected finite values, got {int((~finite).sum())} NaN or infinite (slice {index})")


def check_range(first: int, end: int, slices: int) -> None:
    """IndexError unless 0 <= first <= end <= slices."""
    if not 0 <= first <= end <= slices:
        raise InputIndexError(f"slices {first} to {end} asked for, the volume has {slices}")


def _three(spacing: Sequence[float] | float) -> tuple[float, float, float]:
    values = [spacing] * 3 if isinstance(spacing, int | float) else list(spacing)
    if len(values) != 3 or not all(0 < s < math.inf for s in values):
        raise InputError(f"spacing must be a positive number of mm or three, for z, y, x, got {spacing}")
    return (float(values[0]), float(values[1]), float(values[2]))


def _same_spacing(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    if one is None or other is None:
        return True
    return all(math.isclose(a, b, rel_tol=_SPACING) for a, b in zip(one, other, strict=True))


def _size(values: Sequence[float] | None) -> str:
    return " x ".join(f"{value:.6g}" for value in values or ())
