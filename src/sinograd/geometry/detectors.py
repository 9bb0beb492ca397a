"""Detectors: how many elements, how large, flat or curved, and how far off centre.

A detector knows nothing of where it stands; a geometry places it.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.geometry.formatting import call_text, collapse, only_keys


@dataclass(frozen=True, init=False, repr=False)
class Detector(ABC):
    """What flat and curved detectors share; make a `FlatDetector` or a `CurvedDetector`.

    Attributes:
        shape: (columns,) for a line detector, (rows, columns) for an area detector.
        spacing: mm per element, the same order.
        offset: mm by which the detector's middle is displaced along +u (a number, 1-D) or along +v and +u
            (a pair (row, column), 2-D).
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    offset: float | tuple[float, float]

    def __init__(
        self,
        shape: int | Sequence[int],
        spacing: float | Sequence[float],
        offset: float | Sequence[float] = 0.0,
    ) -> None:
        kind = type(self).__name__
        if not checks.is_sequence(shape):
            shape = (checks.count(shape, f"{kind} shape"),)
        counts = checks.shape(shape, f"{kind} shape", "a number of columns or (rows, columns)", (1, 2))
        object.__setattr__(self, "shape", counts)
        object.__setattr__(self, "spacing", checks.spacing(spacing, f"{kind} spacing", len(counts)))
        object.__setattr__(self, "offset", _checked_offset(offset, f"{kind} offset", len(counts)))

    @property
    def ndim(self) -> int:
        """1 for a line detector, 2 for an area detector."""
        return len(self.shape)

    @property
    def rows(self) -> int:
        """Number of rows; 1 for a line detector."""
        return self.shape[0] if self.ndim == 2 else 1

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.shape[-1]

    @property
    def row_spacing(self) -> float:
        """Millimetres from row to row; 1 for a line detector, which has no height."""
        return self.spacing[0] if self.ndim == 2 else 1.0

    @property
    def column_spacing(self) -> float:
        """Millimetres from column to column."""
        return self.spacing[-1]

    @property
    def row_offset(self) -> float:
        """Displacement along +v in mm; 0 for a line detector."""
        return self.offset[0] if isinstance(self.offset, tuple) else 0.0

    @property
    def column_offset(self) -> float:
        """Displacement along +u in mm."""
        return self.offset[1] if isinstance(self.offset, tuple) else self.offset

    @property
    def size(self) -> tuple[float, ...]:
        """Extent in mm from outer edge to outer edge, in the order of shape."""
        return tuple(n * s for n, s in zip(self.shape, self.spacing, strict=True))

    def equals(self, other: object) -> bool:
        """Same kind and same numbers."""
        return self == other

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, as `from_dict` reads them."""
        data: dict[str, Any] = {"kind": _KIND_OF[type(self)]}
        for key, value in self._arguments().items():
            if value is not None:
                data[key] = list(value) if isinstance(value, tuple) else value
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Detector:
        """The detector that `to_dict` described; unknown kinds and keys raise ValueError."""
        if not isinstance(data, Mapping):
            raise InputTypeError(f"detector must be a mapping, got {shown(data)} ({type(data).__name__})")
        kind = str(data.get("kind", "flat"))
        if kind not in _DETECTORS:
            raise InputError(f"detector kind must be one of {', '.join(_DETECTORS)}, got {shown(kind)}")
        optional = ["kind", "offset"] + (["radius"] if kind == "curved" else [])
        only_keys(data, f"{kind} detector", required=("shape", "spacing"), optional=optional)
        return _DETECTORS[kind](**{key: value for key, value in data.items() if key != "kind"})

    def _arguments(self) -> dict[str, Any]:
        offset = self.offset if self.row_offset or self.column_offset else None
        shape = self.shape if self.ndim == 2 else self.columns
        return {"shape": shape, "spacing": collapse(self.spacing), "offset": offset}

    def __repr__(self) -> str:
        return call_text(type(self).__name__, self._arguments())


@dataclass(frozen=True, init=False, repr=False)
class FlatDetector(Detector):
    """A flat line or area detector.

    Args:
        shape: number of columns (line detector), or (rows, columns).
        spacing: mm per element, one number or one for each axis in the order of shape.
        offset: mm by which the detector's middle is displaced from the central ray: a number along +u (line),
            or a pair (row, column) along +v and +u (area; 0 means (0, 0)).

    Raises:
        TypeError, ValueError: naming the argument, for counts below 1, spacing not positive, wrong lengths.
    """


@dataclass(frozen=True, init=False, repr=False)
class CurvedDetector(Detector):
    """A line or area detector on a cylinder whose axis is parallel to its columns (z, if it is not tilted).

    Args:
        shape: number of columns (line detector), or (rows, columns).
        spacing: mm per element, one number or one for each axis in the order of shape; columns along the arc.
        radius: mm from the cylinder's axis to the detector; None focuses the detector on the source as it is
            before any source_offset (radius = source_to_detector).
        offset: as for `FlatDetector`; the column part is measured along the arc.

    Raises:
        TypeError, ValueError: as `FlatDetector`, and where the arc covers a half circle or more.
    """

    radius: float | None

    def __init__(
        self,
        shape: int | Sequence[int],
        spacing: float | Sequence[float],
        radius: float | None = None,
        offset: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__(shape, spacing, offset)
        if radius is not None:
            radius = checks.positive(radius, "CurvedDetector radius")
            self.check_arc(radius)
        object.__setattr__(self, "radius", radius)

    def check_arc(self, radius: float) -> None:
        """Raise ValueError if the arc covers a half circle or more at this radius."""
        if self.size[-1] >= math.pi * radius:
            raise InputError(
                f"{self.columns} columns x {self.column_spacing:g} mm, {self.size[-1]:g} mm of detector "
                f"at radius {radius:g} mm, cover a half circle ({math.pi * radius:g} mm) or more"
            )

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "radius": self.radius}


_DETECTORS: dict[str, type[Detector]] = {"flat": FlatDetector, "curved": CurvedDetector}
_KIND_OF = {kind: name for name, kind in _DETECTORS.items()}


def _checked_offset(value: object, name: str, ndim: int) -> float | tuple[float, float]:
    if ndim == 1:
        return checks.number(value, name)
    if not checks.is_sequence(value):
        if checks.number(value, name) == 0:
            return (0.0, 0.0)
        raise InputError(f"{name} must be a pair (row, column) in mm for a 2-D detector, got {shown(value)}")
    items = checks.entries(value, name, "a pair (row, column)")
    if len(items) != 2:
        raise InputError(f"{name} must be a pair (row, column), got {len(items)} numbers: {shown(items)}")
    return (checks.number(items[0], f"{name} row"), checks.number(items[1], f"{name} column"))
