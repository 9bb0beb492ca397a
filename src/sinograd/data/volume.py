"""A volume or an image: values on a grid, in a unit, and where they came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.data.lengths import length_text
from sinograd.data.memory import check_memory, reading
from sinograd.data.projections import check_dtype
from sinograd.data.sources import SIGNED, AsSlices, Converted, VolumeSource, computable
from sinograd.data.units import PER_PIXEL, PER_PIXEL_ADVICE, UNITS, Conversion, length_unit_of, unit_name, unit_text
from sinograd.errors import InputError, InputIndexError, InputTypeError, UnitError
from sinograd.geometry import Grid
from sinograd.geometry.checks import positive, scalar

_BLOCK_BYTES = 64 << 20

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Volume:
    """Values [Z, Y, X] (an image: [Y, X]) on a grid, in memory or read when they are needed.

    Args:
        values: a tensor, an array, or a `VolumeSource`. Unsigned integers that torch cannot compute with become the
            next larger signed ones. No copy is made.
        grid: where the voxels are.
        unit: "1/mm", "HU", "mg/cm3" or "1" (none: masks, labels); "1/pixel" of a scan whose pixel size is not known,
            then lengths of the grid are in pixels, too; None: not known.
        provenance: how the values were made.
        file: the file that they were read from.

    Raises:
        InputTypeError: values that are no real numbers, or no Grid.
        InputError: a shape that is not the grid's, an unknown unit.
    """

    grid: Grid
    unit: str | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    _held: Any = None

    def __init__(
        self,
        values: Tensor | np.ndarray | VolumeSource,
        grid: Grid,
        unit: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        file: Path | None = None,
    ) -> None:
        if not isinstance(grid, Grid):
            raise InputTypeError(f"grid must be a Grid, got {type(grid).__name__}")
        if provenance is not None and not isinstance(provenance, Mapping):
            raise InputTypeError(f"provenance must be a mapping of names, got {type(provenance).__name__}")
        held = _held(values)
        if tuple(held.shape) != tuple(grid.shape):
            raise InputError(f"volume {list(held.shape)} does not match grid.shape {tuple(grid.shape)}")
        for name, value in (
            ("grid", grid),
            ("unit", unit_name(unit)),
            ("provenance", dict(provenance or {})),
            ("file", file),
            ("_held", held),
        ):
            object.__setattr__(self, name, value)

    @property
    def values(self) -> Tensor:
        """All values as one tensor of the grid's shape; of a volume in a file they are read, anew in every call."""
        if isinstance(self._held, Tensor):
            return self._held
        check_memory(self.nbytes, self.name)
        slices = self.shape[0] if self.ndim == 3 else 1
        with reading(self.name):
            return computable(self._held.read(0, slices)).reshape(self.shape)

    @property
    def is_lazy(self) -> bool:
        """Whether the values are still where they come from."""
        return not isinstance(self._held, Tensor)

    @property
    def source(self) -> VolumeSource | None:
        """Where the values are read from; None in memory."""
        return None if isinstance(self._held, Tensor) else self._held

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x) or (y, x)."""
        return tuple(self.grid.shape)

    @property
    def ndim(self) -> int:
        """3, or 2 for an image."""
        return self.grid.ndim

    @property
    def slices(self) -> int:
        """Slices along z; 1 for an image."""
        return self.shape[0] if self.ndim == 3 else 1

    @property
    def spacing(self) -> tuple[float, ...]:
        """Mm per voxel (pixels where `length_unit` says so), array order."""
        return tuple(self.grid.spacing)

    @property
    def length_unit(self) -> str:
        """What lengths of the grid are in: "mm", or "pixel" of a volume in "1/pixel"."""
        return length_unit_of(self.unit)

    @property
    def dtype(self) -> torch.dtype:
        """Of `values`."""
        dtype: torch.dtype = self._held.dtype
        return SIGNED.get(dtype, dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of `values`."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def block(self) -> int:
        """Slices that are best read together."""
        return int(getattr(self._held, "block", 1))

    @property
    def name(self) -> str:
        """The file's name for messages."""
        return str(self.file) if self.file is not None else "volume"

    def read(self, first: int, end: int, dtype: torch.dtype | None = torch.float32) -> Tensor:
        """Slices first to end - 1 as [end - first, Y, X], of `dtype` (None: as stored); an image is one slice.

        The tensor may share memory with values that are in memory.
        """
        first, end = (_whole(value, name) for name, value in (("first", first), ("end", end)))
        if dtype is not None:
            check_dtype(dtype)
        if not 0 <= first <= end <= self.slices:
            raise InputIndexError(f"{self.name}: slices {first} to {end} asked for, it has {self.slices}")
        if isinstance(self._held, Tensor):
            found = self._held[first:end] if self.ndim == 3 else self._held[None][first:end]
        else:
            with reading(self.name):
                found = computable(self._held.read(first, end))
        return found if dtype is None else found.to(dtype)

    def blocks(self, max_bytes: int = _BLOCK_BYTES) -> Iterator[tuple[int, int]]:
        """First and end of blocks of slices of at most `max_bytes` as float32, whole chunks where these fit."""
        step = max(1, max_bytes // max(4 * math.prod(self.shape[-2:]), 1))
        if step > self.block > 1:
            step -= step % self.block
        for first in range(0, self.slices, step):
            yield first, min(first + step, self.slices)

    def load(self) -> Volume:
        """The same volume in memory."""
        return self.with_values(self.values) if self.is_lazy else self

    def with_values(self, values: Tensor | np.ndarray | VolumeSource, unit: Any = ...) -> Volume:
        """A volume of other values on the same grid, in the same unit unless another is given."""
        return Volume(values, self.grid, self.unit if unit is ... else unit, self.provenance, self.file)

    def with_unit(self, unit: str | None) -> Volume:
        """The same values, said to be in another unit; nothing is computed (`to` converts)."""
        return Volume(self._held, self.grid, unit, self.provenance, self.file)

    def stated(self, unit: str | None) -> Volume:
        """The volume, said to be in `unit` where its own is not known; None says nothing.

        Raises InputError for an unknown unit, UnitError for another one than the volume's.
        """
        unit = unit_name(unit)
        if unit is None or unit == self.unit:
            return self
        if self.unit is not None:
            raise UnitError(
                f"{self.name}: `unit={unit!r}`, but the volume is in {unit_text(self.unit)}; volume.to({unit!r}) "
                "converts it"
            )
        return self.with_unit(unit)

    def with_provenance(self, provenance: Mapping[str, Any]) -> Volume:
        """The same values, with another record of how they were made."""
        return Volume(self._held, self.grid, self.unit, provenance, self.file)

    def as_slices(self) -> Volume:
        """An image as a volume of one slice, as thick as its smaller pixel side; a volume itself."""
        if self.ndim == 3:
            return self
        grid = Grid((1, *self.shape), (min(self.spacing), *self.spacing), (*self.grid.center, 0.0))
        held = self._held[None] if isinstance(self._held, Tensor) else AsSlices(self._held)
        return Volume(held, grid, self.unit, self.provenance, self.file)

    def to(
        self,
        unit: str,
        *,
        water: float | None = None,
        air: float = 0.0,
        density: tuple[float, float] | None = None,
        pixel_mm: float | None = None,
    ) -> Volume:
        """The volume in another unit; of a lazy one values are converted when they are read.

        Args:
            unit: "1/mm", "HU" or "mg/cm3".
            water, air: attenuation of water and of air at the scan's energy, 1/mm, between "1/mm" and "HU".
            density: (slope, intercept) of mg/cm3 = slope * value + intercept.
            pixel_mm: of a volume in "1/pixel", the size of a pixel at the sample; the grid is scaled, too.

        Raises:
            UnitError: the unit is unknown or cannot become this one, or a number is missing.
        """
        target = unit_name(unit, "unit")
        if target is None:
            raise InputError(f"unit: expected one of {', '.join(UNITS)}, got None")
        if pixel_mm is not None:
            return self._with_pixel(pixel_mm).to(target, water=water, air=air, density=density)
        if target == self.unit:
            return self

        conversion = Conversion(self.unit, target, water, air, density)
        conversion(torch.zeros(1))  # raises before anything is read
        return Volume(self._converted(conversion), self.grid, target, self.provenance, self.file)

    def _with_pixel(self, pixel_mm: float) -> Volume:
        """A volume in "1/pixel" in 1/mm, on a grid in mm."""
        if self.unit != PER_PIXEL:
            raise UnitError(
                f"{self.name}: `pixel_mm` is for volumes in {PER_PIXEL}, the volume is in {unit_text(self.unit)}"
            )
        size = positive(pixel_mm, "pixel_mm")
        held = self._converted(Conversion(PER_PIXEL, "1/mm", pixel_mm=size))
        return Volume(held, self.grid.scaled(size), "1/mm", self.provenance, self.file)

    def _converted(self, conversion: Conversion) -> Any:
        return conversion(self._held) if isinstance(self._held, Tensor) else Converted(self._held, conversion)

    def require(self, unit: str, purpose: str) -> Volume:
        """The volume itself, if it is in `unit`.

        Raises UnitError, which names both units and how to convert, otherwise. `purpose`: who needs it, "bone
        morphometry".
        """
        if self.unit == unit:
            return self
        if self.unit is None:
            raise UnitError(
                f"{self.name}: {purpose} needs {unit_text(unit)}, and the unit of the volume is not known; say what it "
                f"is: `unit={unit!r}`"
            )
        how = {("1/mm", "HU"): ", water=0.02", ("HU", "1/mm"): ", water=0.02"}.get((self.unit, unit))
        advice = "" if how is None else f"; volume.to({unit!r}{how}) converts it"
        if self.unit == PER_PIXEL:
            advice = f"; {PER_PIXEL_ADVICE}"
        raise UnitError(
            f"{self.name}: {purpose} needs {unit_text(unit)}, and the volume is in {unit_text(self.unit)}{advice}"
        )

    def validate(self, progress: Progress | None = None) -> Volume:
        """The volume itself, if all values are finite; InputError, which says how many are not, otherwise."""
        bad, slice_ = 0, None
        for first, end in self.blocks():
            values = self.read(first, end, None)
            if values.is_floating_point():
                wrong = ~torch.isfinite(values)
                count = int(wrong.sum())
                if count and slice_ is None:
                    slice_ = first + int(wrong.flatten(1).any(1).nonzero()[0])
                bad += count
            if progress is not None:
                progress(end, self.slices)
        if bad:
            raise InputError(
                f"{self.name}: expected finite values, got {bad} NaN or infinite ones, the first in slice {slice_}"
            )
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values as a NumPy array."""
        array = self.values.detach().cpu().numpy()
        return np.array(array, dtype=dtype, copy=True) if copy else np.asarray(array, dtype=dtype)

    def _repr_html_(self) -> str:
        from sinograd.data.html_repr import volume_html

        return volume_html(self)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        spacing = length_text(self.spacing, unit=self.length_unit)
        where = f", in {self.file}" if self.is_lazy and self.file is not None else ""
        kind = "image" if self.ndim == 2 else "volume"
        dtype = str(self.dtype).removeprefix("torch.")
        return f"<Volume: {kind} of {size} voxels of {spacing}, {unit_text(self.unit)}, {dtype}{where}>"


def _held(values: Any) -> Any:
    """A tensor that torch computes with, or the source itself; InputTypeError for anything else."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "fiub":
            raise InputTypeError(f"volume must hold real numbers, got {values.dtype}")
        if not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        if not values.flags.writeable or any(stride < 0 for stride in values.strides):
            values = values.copy()
        values = torch.from_numpy(values)
    if isinstance(values, Tensor):
        if values.is_complex():
            raise InputTypeError(f"volume must hold real numbers, got {str(values.dtype).removeprefix('torch.')}")
        return computable(values)
    if not isinstance(values, VolumeSource):
        raise InputTypeError(f"values must be a tensor, an array or a source of slices, got {type(values).__name__}")
    return values


def _whole(value: object, name: str) -> int:
    number = scalar(value)
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise InputTypeError(f"{name} must be an integer, got {value!r:.40} ({type(value).__name__})")
    return int(number)


__all__ = ["Volume"]
