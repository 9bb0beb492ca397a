"""What the sliders of `sinograd tune` say, as options of `sinograd reconstruct`."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sinograd.choices import WINDOWS
from sinograd.config.json import load_json
from sinograd.errors import FormatError, InputError
from sinograd.workflows.turning import can_turn, turned_further

if TYPE_CHECKING:
    from sinograd.data import Scan
    from sinograd.geometry import Geometry
    from sinograd.preparation import Preparation

TRUNCATION = ("none", "ellipse")
_TURNS = ("tilt", "roll", "row_offset")  # what a geometry file says
_LIMITS = {
    "center": 1e5,
    "tilt": 45.0,
    "roll": 45.0,
    "row_offset": 1e5,
    "hardening": 10.0,
    "cutoff": 1.0,
    "voxel": 1e6,
}


@dataclass(frozen=True)
class Settings:
    """One position of all sliders.

    Attributes:
        center: pixels that the detector stands further along its columns.
        tilt, roll: turns of the detector, degrees, beside those of the scan's geometry.
        row_offset: of the detector along its rows, mm (pixels), beside the scan's.
        window, cutoff, truncation: see `reconstruct`.
        rings: whether rings are reduced.
        hardening: c of line integrals p that become p + c p^2; 0: none.
        voxel: size in mm; None: as the scan suggests.
        region: (first x, last x, first y, last y) in mm of the voxels' edges; None: all.
    """

    center: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    row_offset: float = 0.0
    window: str = "ram-lak"
    cutoff: float = 1.0
    truncation: str = "none"
    rings: bool = False
    hardening: float = 0.0
    voxel: float | None = None
    region: tuple[float, float, float, float] | None = None

    @classmethod
    def of(cls, text: str) -> Settings:
        """From the JSON text of a page; InputError, which names the slider, for what is no position of it."""
        try:
            held = load_json(text)
        except FormatError:
            held = None
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(held, dict) or not set(held) <= names:
            raise InputError(
                f"settings: expected a JSON object with some of {', '.join(sorted(names))}, got {text:.80}"
            )
        for name, value in held.items():
            _check(name, value)
        region = held.get("region")
        return cls(**{**held, "region": None if region is None else tuple(float(v) for v in region)})

    @property
    def turned(self) -> bool:
        """Whether the geometry is another one than the scan's."""
        return any(getattr(self, name) != 0 for name in _TURNS)

    def geometry(self, geometry: Geometry) -> Geometry:
        """The scan's geometry, or that of a part of it, with the detector turned and moved along its rows."""
        from sinograd.geometry import shift_detector

        if self.tilt or self.roll:
            if not can_turn(geometry):
                raise InputError("tilt and roll: the detector of this geometry cannot be turned")
            geometry = turned_further(geometry, {"tilt": self.tilt, "in_plane_rotation": self.roll})
        return shift_detector(geometry, row=self.row_offset) if self.row_offset else geometry

    def centered(self, geometry: Geometry, spacing: float) -> Geometry:
        """The geometry with the centre of rotation moved by `center` columns of `spacing`."""
        from sinograd.geometry import shift_detector

        return shift_detector(geometry, column=self.center * spacing) if self.center else geometry

    def preparation(self, **more: Any) -> Preparation:
        """What is done with the projections."""
        from sinograd.preparation import Preparation

        coefficients = (1.0, self.hardening) if self.hardening else ()
        return Preparation(rings=self.rings, beam_hardening=coefficients, **more)

    def grid_options(self, scan: Scan) -> dict[str, Any]:
        """`voxel_mm`, `shape` and `center_mm`: the voxels of the scan's own grid that lie in the region.

        With another geometry they are all stated, as the scan's grid is not taken for it.
        """
        from sinograd.workflows.grids import choose_grid

        options: dict[str, Any] = {} if self.voxel is None else {"voxel_mm": float(self.voxel)}
        if self.region is None and not self.turned:
            return options
        grid = choose_grid(scan, self.voxel)
        shape, center = list(grid.shape), list(grid.center)
        if self.region is not None:
            for i in (0, 1):
                number = grid.ndim - 1 - i
                first, end = self._cut(i, center[i], grid.spacing[number], shape[number])
                edge = center[i] - shape[number] * grid.spacing[number] / 2
                shape[number] = end - first
                center[i] = edge + (first + end) / 2 * grid.spacing[number]
        if self.turned:
            if len(set(grid.spacing)) > 1:  # no option states such a grid
                return options
            options["voxel_mm"] = float(grid.spacing[0])
        return {**options, "shape": ",".join(map(str, shape)), "center_mm": ",".join(repr(float(c)) for c in center)}

    def _cut(self, i: int, center: float, step: float, count: int) -> tuple[int, int]:
        """First and last (excluded) of the voxels along x (0) or y (1) that lie in the region."""
        assert self.region is not None
        low, high = sorted(self.region[2 * i : 2 * i + 2])
        edge = center - count * step / 2
        if high <= edge or low >= edge + count * step:
            raise InputError(f"region: it lies outside the volume along {'xy'[i]}")
        first = min(count - 1, max(0, math.floor((low - edge) / step + 1e-6)))
        return first, min(count, max(first + 1, math.ceil((high - edge) / step - 1e-6)))

    def options(self, scan: Scan) -> dict[str, Any]:
        """Options of `sinograd reconstruct`, without those at their defaults and without the geometry."""
        options: dict[str, Any] = {}
        for name in ("center", "window", "cutoff", "truncation", "rings"):
            if getattr(self, name) != getattr(DEFAULTS, name):
                options[name] = getattr(self, name)
        if self.hardening:
            options["beam_hardening"] = f"1,{self.hardening:.9g}"
        return options | self.grid_options(scan)


DEFAULTS = Settings()


def _check(name: str, value: Any) -> None:
    """InputError for what is no position of a slider."""
    if name in ("window", "truncation"):
        allowed = WINDOWS.names() if name == "window" else TRUNCATION
        fits, expected = value in allowed, f"one of {', '.join(allowed)}"
    elif name == "rings":
        fits, expected = isinstance(value, bool), "true or false"
    elif name == "region":
        four = isinstance(value, list) and len(value) == 4 and all(_is_number(v) for v in value)
        fits, expected = value is None or four, "four numbers"
    elif name == "voxel":
        fits, expected = value is None or (_is_number(value) and 0 < value <= _LIMITS[name]), "a positive number"
    else:
        low = 0.0 if name == "cutoff" else -_LIMITS[name]
        fits, expected = _is_number(value) and low <= value <= _LIMITS[name], f"{low:g} to {_LIMITS[name]:g}"
    if not fits:
        raise InputError(f"{name}: expected {expected}, got {value!r:.60}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
