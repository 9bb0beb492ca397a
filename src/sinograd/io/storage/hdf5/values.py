"""Values of HDF5 files that say their units: lengths in mm, angles in degrees, and small arrays of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinograd.config.shown import shown
from sinograd.errors import InputError, ScanWarning
from sinograd.io.storage.hdf5.chunks import check_chunks, whole_array
from sinograd.io.storage.hdf5.layout import attribute, check_text, numbers
from sinograd.io.storage.hdf5.lazy import Hdf5Projections
from sinograd.io.storage.hdf5.links import find

if TYPE_CHECKING:
    import h5py

MM = {
    "mm": 1.0,
    "millimeter": 1.0,
    "millimetre": 1.0,
    "m": 1e3,
    "meter": 1e3,
    "metre": 1e3,
    "cm": 10.0,
    "um": 1e-3,
    "µm": 1e-3,
    "μm": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
    "micrometre": 1e-3,
    "nm": 1e-6,
    "nanometer": 1e-6,
}
DEGREES = {"deg": 1.0, "degree": 1.0, "°": 1.0, "rad": 180 / math.pi, "radian": 180 / math.pi}
LONGEST = 10_000_000  # entries of an array that is read at once
_MANY = 50
LARGEST_IMAGE = 1 << 29  # bytes of one image


@dataclass(frozen=True)
class Values:
    """An open HDF5 file, its values by path, and messages that name it."""

    file: h5py.File
    path: Path

    def has(self, name: str) -> bool:
        """Whether there is a dataset of that name."""
        import h5py

        try:
            return isinstance(self.item(name), h5py.Dataset)
        except (KeyError, OSError, RuntimeError):
            return False

    def item(self, name: str) -> Any:
        """The group or data set of that name, None where there is none; raises as `links.find`."""
        return find(self.file, name, self.path)

    def images(self, name: str) -> Hdf5Projections:
        """Images [n, rows, columns] that stay in the file."""
        dataset = numbers(self.file, name, self.path)
        shape = tuple(int(n) for n in dataset.shape or ())  # None: a dataset without data
        if len(shape) != 3 or 0 in shape:
            raise self.error(f"/{name} must be [n, rows, columns] and not empty, got {list(shape)}")
        size = shape[1] * shape[2] * dataset.dtype.itemsize
        if shape[0] > LONGEST:
            raise self.error(f"/{name} has {shape[0]:,} images, at most {LONGEST:,} are read")
        if size > LARGEST_IMAGE:
            raise self.error(
                f"an image of /{name} {list(shape)} has {size:,} bytes, at most {LARGEST_IMAGE:,} are read"
            )
        check_chunks(dataset, name, self.path)
        if dataset.chunks and not dataset.is_virtual:
            chunks = math.prod(-(-n // m) for n, m in zip(shape, dataset.chunks, strict=True))
            missing = chunks - dataset.id.get_num_chunks()
            if missing > 0:
                self.warn(f"{missing} of {chunks} chunks of /{name} were never written (they read as a constant)")
        return Hdf5Projections(self.path.resolve(), name, shape, dataset.dtype)

    def array(self, name: str, *, finite: bool = True) -> np.ndarray:
        """Numbers [n] as float64; a number is one of them. finite: whether others are an error."""
        dataset = numbers(self.file, name, self.path)
        shape, size = dataset.shape or (), dataset.size or 0
        if sum(n != 1 for n in shape) > 1 or size == 0:
            raise self.error(f"/{name} must be one row of numbers, got {list(shape)}")
        if size > LONGEST:
            raise self.error(f"/{name} has {size:,} entries, at most {LONGEST:,} are read")
        with np.errstate(invalid="ignore", over="ignore"):  # signalling NaNs, long doubles
            values = whole_array(dataset, name, self.path).astype(np.float64).ravel()
        bad = int((~np.isfinite(values)).sum())
        if bad and finite:
            raise self.error(f"/{name} must be finite, {bad} of {values.size} values are not")
        return values

    def table(self, name: str) -> np.ndarray:
        """Numbers of any shape, as they are stored."""
        dataset = numbers(self.file, name, self.path)
        if (dataset.size or 0) > LONGEST:
            raise self.error(f"/{name} has {dataset.size:,} entries, at most {LONGEST:,} are read")
        return whole_array(dataset, name, self.path)

    def degrees(self, name: str, *, finite: bool = True) -> np.ndarray:
        """Angles in degrees, by their attribute `units` (without one: degrees, with a ScanWarning)."""
        return self.array(name, finite=finite) * self._scale(name, DEGREES, "deg")

    def warn_of_radians(self, name: str, degrees: np.ndarray) -> None:
        """A ScanWarning where angles without units, taken as degrees, span pi or 2 pi in many views."""
        span = float(np.ptp(degrees))
        if len(degrees) > _MANY and any(math.isclose(span, turn, rel_tol=0.01) for turn in (math.pi, 2 * math.pi)):
            self.warn(
                f"/{name}: {len(degrees)} angles without units span {span:.5g}, as radians would: taken as degrees"
            )

    def length(self, name: str) -> float | None:
        """A length in mm, by its attribute `units` (without one: m, with a ScanWarning); None where it is missing."""
        return self._millimetres(name, float(self.array(name)[0]), "m") if self.has(name) else None

    def pixel(self, names: Iterable[str]) -> float | None:
        """The first of these pixel sizes that is there, in mm; without units m up to 0.001, else um."""
        for name in names:
            if self.has(name):
                size = float(self.array(name)[0])
                return self._millimetres(name, size, "m" if size <= 1e-3 else "um")
        return None

    def text(self, name: str) -> str:
        """A text, "" where there is none."""
        if not self.has(name):
            return ""
        dataset = self.item(name)
        if dataset.size != 1 or dataset.dtype.kind not in "OSU":
            return ""
        check_text(dataset, name, self.path)
        value = np.asarray(dataset[()]).ravel()[0]
        return value.decode("utf-8", errors="replace").strip() if isinstance(value, bytes) else str(value).strip()

    def first_positive(self, names: Iterable[str]) -> float | str:
        """The least number of the first of the data sets that has a positive, finite one; "" where none has."""
        for name in names:
            if not self.has(name):
                continue
            try:
                least = float(self.array(name, finite=False).min())
            except ValueError:  # a text, a table: it says nothing usable
                continue
            if 0 < least < np.inf:
                return least
        return ""

    def warn(self, message: str) -> None:
        """A ScanWarning that names the file."""
        warnings.warn(f"{self.path}: {message}", ScanWarning, stacklevel=3)

    def error(self, message: str) -> ValueError:
        """A ValueError that names the file."""
        return InputError(f"{self.path}: {message}")

    def _millimetres(self, name: str, length: float, default: str) -> float:
        return float(f"{length * self._scale(name, MM, default):.14g}")  # 1.3 um are 0.0013 mm

    def _scale(self, name: str, units: dict[str, float], default: str) -> float:
        unit = attribute_text(attribute(self.item(name), "units"))
        if not unit:
            self.warn(f"/{name} has no units: taken as {default}")
            return units[default]
        key = unit.lower() if unit.lower() in units else unit.lower().removesuffix("s")
        if key not in units:
            raise self.error(f"/{name} has units {shown(unit)}, known are {', '.join(units)}")
        return units[key]


def attribute_text(value: Any) -> str:
    """An HDF5 attribute as text; "" for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return value.strip() if isinstance(value, str) else ""
