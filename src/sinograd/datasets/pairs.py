"""What denoisers are trained on and scored with: a noisy volume, and what it should become."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from sinograd.data.sources import VolumeSource
from sinograd.data.units import UNITS, unit_name
from sinograd.data.volume import Volume
from sinograd.errors import InputError, InputIndexError, InputTypeError
from sinograd.geometry import Grid

Unit = Literal["HU", "1/mm", "mg/cm3", "1", "none"]  # "none" is "1", as sinograd 0.1 called it

T = TypeVar("T")
_SPACING = 1e-3  # relative difference of voxel sizes that headers round away
_LEAST_HU, _MOST_PER_MM = 5.0, 500.0  # see `check_unit`


@dataclass(frozen=True, eq=False)
class UnplacedSlices:
    """Slices [Z, Y, X] of a tensor or a source whose voxels have no known size."""

    held: Tensor | VolumeSource

    @property
    def shape(self) -> tuple[int, ...]:
        """Z, Y, X."""
        return tuple(self.held.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""
        return self.held.dtype

    @property
    def block(self) -> int:
        """Slices that are best read together."""
        return int(getattr(self.held, "block", 1))

    def read(self, first: int, end: int) -> Tensor:
        """Slices first to end - 1; of a tensor a view."""
        return self.held[first:end] if isinstance(self.held, Tensor) else self.held.read(first, end)


@dataclass(frozen=True, eq=False)
class PairedVolume:
    """A noisy volume and its target, slice by slice on the same voxels.

    Attributes:
        name: for messages and tables. patient: whose it is; several volumes may be one patient's.
        inputs: one low-dose volume, or N realisations of the noise (Noise2Noise): `Volume`s, in memory or lazy, or
            tensors [Z, Y, X] and sources of slices whose voxel size is not known. Images are volumes of one slice.
        target: normal dose; None where there is none.
        unit: of the values, "HU", "1/mm", "mg/cm3" or "1"; volumes whose own is not known get it.
        group: body part or exam, "chest", "abdomen", "neuro"; evaluation protocols look at it.

    Raises:
        InputError: no input, an unknown unit, no voxels, NaN or infinite values in memory, or sizes or voxel sizes
            (beyond 0.1 %) that differ.
        UnitError: a volume in another unit.
        InputTypeError: something else than volumes and tensors of real numbers.
    """

    name: str
    patient: str
    inputs: tuple[Volume, ...]
    target: Volume | None
    unit: str
    group: str = ""

    def __init__(
        self,
        name: str,
        patient: str,
        inputs: tuple[Volume | Tensor | VolumeSource, ...],
        target: Volume | Tensor | VolumeSource | None,
        unit: str,
        group: str = "",
    ) -> None:
        if not isinstance(inputs, tuple) or not inputs:
            raise InputError(f"{name}: inputs must be a tuple of at least one volume, got {inputs!r}")
        if unit not in (*UNITS, "none"):
            raise InputError(f"{name}: unit must be one of {', '.join(UNITS)}, got {unit!r}")
        unit = str(unit_name(unit))
        volumes = tuple(_slices(volume, unit) for volume in inputs)
        values = {
            "name": name,
            "patient": patient,
            "inputs": volumes,
            "target": None if target is None else _slices(target, unit),
            "unit": unit,
            "group": group,
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)
        self._check_shapes()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""
        return _three(self.inputs[0].shape)

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Mm along z, y, x; None where it is not known of any volume."""
        volumes = (*self.inputs, *([] if self.target is None else [self.target]))
        return next((spacing for spacing in map(spacing_of, volumes) if spacing is not None), None)

    def _check_shapes(self) -> None:
        first = self.inputs[0]
        others = [(f"input {i}", volume) for i, volume in enumerate(self.inputs) if i]
        others += [] if self.target is None else [("target", self.target)]
        for what, volume in others:
            if volume.shape != first.shape:
                raise InputError(
                    f"{self.name}: {what} has {_size(volume.shape)} voxels, the input {_size(first.shape)}: "
                    "a pair needs the same slices"
                )
            spacings = spacing_of(volume), spacing_of(first)
            if not _same_spacing(*spacings):
                raise InputError(
                    f"{self.name}: {what} has voxels of {_size(spacings[0])} mm, the input of {_size(spacings[1])} mm: "
                    "a pair needs the same spacing"
                )


def spacing_of(volume: Volume) -> tuple[float, float, float] | None:
    """Mm along z, y, x; None where the voxels have no known size."""
    return None if isinstance(volume.source, UnplacedSlices) else _three(volume.spacing)


def _slices(volume: Volume | Tensor | VolumeSource, unit: str) -> Volume:
    """A volume of slices in `unit`; raises as `PairedVolume`."""
    if not isinstance(volume, Volume | Tensor) and isinstance(volume, VolumeSource):
        volume = Volume(UnplacedSlices(volume), Grid(tuple(volume.shape)))
    if not isinstance(volume, Volume):
        if not isinstance(volume, Tensor) or volume.dtype == torch.bool or volume.is_complex():
            found = volume.dtype if isinstance(volume, Tensor) else type(volume).__name__
            raise InputTypeError(f"volume must be a tensor of real numbers, got {str(found).removeprefix('torch.')}")
        if volume.ndim not in (2, 3) or volume.numel() == 0:
            raise InputError(f"volume must be [Z, Y, X] or [Y, X] and not empty, got {list(volume.shape)}")
        tensor = volume.detach() if volume.ndim == 3 else volume.detach()[None]
        volume = Volume(UnplacedSlices(tensor), Grid(tuple(tensor.shape)))
    source = volume.source
    values = source.held if isinstance(source, UnplacedSlices) else None if volume.is_lazy else volume.values
    bad = int((~torch.isfinite(values)).sum()) if isinstance(values, Tensor) and values.is_floating_point() else 0
    if bad and isinstance(values, Tensor):
        raise InputError(f"volume: expected finite values, got {bad} NaN or infinite ones among {values.numel()}")
    return volume.stated(unit).as_slices()


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
    """The pair itself, if its volumes lie in the same place, to half a voxel, as far as that is known.

    Raises:
        ValueError: naming the volume and how far it lies from the input.
    """
    volumes = (*pair.inputs, *([] if pair.target is None else [pair.target]))
    grids = [None if spacing_of(volume) is None else volume.grid for volume in volumes]
    first = next((grid for grid in grids if grid is not None), None)
    for index, grid in enumerate(grids):
        if first is None or grid is None:
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


def _three(values: Sequence[T]) -> tuple[T, T, T]:
    return (values[0], values[1], values[2])


def _same_spacing(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    if one is None or other is None:
        return True
    return all(math.isclose(a, b, rel_tol=_SPACING) for a, b in zip(one, other, strict=True))


def _size(values: Sequence[float] | None) -> str:
    return " x ".join(f"{value:.6g}" for value in values or ())
