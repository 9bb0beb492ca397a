"""`LearnedGeometry`: a geometry some of whose numbers are parameters of a module."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import vectors as surface
from sinograd.geometry.base import Geometry
from sinograd.geometry.detectors import Detector
from sinograd.geometry.motion import spline

OFFSETS = ("row_offset", "column_offset")
"""Of the detector, in mm: learnt as if they were arguments."""

_SINGLE = ("source_to_origin", "source_to_detector", "tilt", "yaw", "in_plane_rotation", "pitch", "z_start")
_ANY = ("axis_offset", "shifts", "motion")


class LearnedGeometry(nn.Module):
    """A geometry some of whose arguments are learnt: `module()` is the geometry, which passes gradients to them.

    Parameters are scaled: a change of one moves the images of points in the field of view by about one pixel (root
    mean square), so that one learning rate, or none, serves all. `values` are the arguments themselves.

    Args:
        geometry: where learning starts.
        learn: names of arguments of the geometry's constructor: "axis_offset", "source_to_origin",
            "source_to_detector", "tilt", "yaw", "in_plane_rotation", "pitch", "z_start"; "row_offset" and
            "column_offset" (mm) of the detector; "shifts" (of each view) and "motion" (six numbers a view; three
            in 2-D). A geometry given by vectors learns "motion".
        knots: learn "motion" as cubic B-splines with so many coefficients instead of a number for each view.

    Raises:
        TypeError, ValueError: a name that this geometry does not have (the error lists those it has).
    """

    def __init__(self, geometry: Geometry, learn: Sequence[str] = ("axis_offset",), knots: int | None = None) -> None:
        super().__init__()
        if not isinstance(geometry, Geometry):
            raise InputTypeError(f"geometry: expected a Geometry, got {type(geometry).__name__}")
        self.start = geometry[:] if geometry.scan == "short_scan" else geometry  # its angles are measured: they stay
        self.learn = check_learnable(self.start, learn)
        self.knots = knots
        if knots is not None and "motion" not in self.learn:
            raise InputError(f'knots: expected None where "motion" is not learnt, got {knots}')
        first = {name: start_value(self.start, name, knots) for name in self.learn}
        self.scales = {name: pixel_scale(self.start, name, value) for name, value in first.items()}
        self._first = first
        self.scaled = nn.ParameterDict({name: nn.Parameter(torch.zeros_like(value)) for name, value in first.items()})

    @property
    def values(self) -> dict[str, Tensor]:
        """The learnt arguments, in mm and radians; with knots, "motion" holds coefficients of B-splines."""
        return {name: self._first[name] + self.scales[name] * self.scaled[name].to("cpu") for name in self.learn}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set learnt arguments, in mm and radians."""
        with torch.no_grad():
            for name, value in values.items():
                moved = torch.as_tensor(value, dtype=torch.float64).detach().to("cpu") - self._first[name]
                self.scaled[name].copy_(moved / self.scales[name])

    def forward(self) -> Geometry:
        """The geometry; its `followed_vectors` follow the parameters."""
        return changed(self.start, self.values, self.knots is not None)

    def geometry(self) -> Geometry:
        """The geometry as it is now, without gradients."""
        return changed(
            self.start, {name: value.detach() for name, value in self.values.items()}, self.knots is not None
        )


def check_learnable(geometry: Geometry, learn: Sequence[str]) -> tuple[str, ...]:
    """The names to learn, each once; InputError for those that the geometry does not have."""
    if isinstance(learn, str) or not all(isinstance(name, str) for name in learn):
        raise InputTypeError(f'learn: expected names, such as ("axis_offset",), got {learn!r}')
    allowed = learnable(geometry)
    unknown = [name for name in learn if name not in allowed]
    if unknown or not learn:
        what = ", ".join(unknown) or "none"
        raise InputError(f"learn: expected some of {', '.join(allowed)} for this {type(geometry).__name__}, got {what}")
    return tuple(dict.fromkeys(learn))


def learnable(geometry: Geometry) -> tuple[str, ...]:
    """Names that `LearnedGeometry` takes for a geometry."""
    if geometry.scan == "vectors":
        return ("motion",)
    known = type(geometry)._parameters(geometry.scan)
    flat = () if geometry.ndim == 3 else ("tilt", "yaw", "in_plane_rotation")
    names = [name for name in (*_SINGLE, *_ANY) if name in known and name not in flat]
    return (*names, *(OFFSETS if geometry.ndim == 3 else OFFSETS[1:]))


def start_value(geometry: Geometry, name: str, knots: int | None = None) -> Tensor:
    """Where learning an argument starts: what the geometry has; float64."""
    if name in OFFSETS:
        return torch.tensor(getattr(geometry.detector, name), dtype=torch.float64)
    value = getattr(geometry.recipe, name)
    if value is None and name == "z_start":
        return geometry.vectors[0, surface.SOURCE, 2]
    width = {"shifts": geometry.ndim - 1, "motion": 6 if geometry.ndim == 3 else 3}.get(name)
    if width is None:
        return torch.as_tensor(value, dtype=torch.float64)
    if name == "motion" and knots is not None:
        if value is not None:
            raise InputError("knots: the geometry has a motion of its own, which no splines continue; learn it whole")
        return torch.zeros(knots, width, dtype=torch.float64)
    if value is None:
        shape = (geometry.views,) if name == "shifts" and width == 1 else (geometry.views, width)
        return torch.zeros(shape, dtype=torch.float64)
    return torch.as_tensor(value, dtype=torch.float64)


def changed(geometry: Geometry, values: Mapping[str, Tensor], splines: bool = False) -> Geometry:
    """The geometry with other arguments; it follows those that require gradients."""
    recipe = geometry.recipe
    arguments: dict[str, Any] = {
        name: value if value.ndim or value.requires_grad else float(value)
        for name, value in values.items()
        if name not in OFFSETS
    }
    if splines and "motion" in arguments:
        arguments["motion"] = spline(arguments["motion"], geometry.views)
    offsets = {name: values[name] for name in OFFSETS if name in values}
    if offsets and any(value.requires_grad for value in offsets.values()):
        arguments["shifts"] = _shifted(geometry, offsets, arguments.get("shifts", getattr(recipe, "shifts", None)))
    elif offsets:
        arguments["detector"] = _moved(geometry.detector, {name: float(value) for name, value in offsets.items()})
    return dataclasses.replace(recipe, **arguments).geometry()


def _shifted(geometry: Geometry, offsets: Mapping[str, Tensor], shifts: Tensor | None) -> Tensor:
    """Per-view shifts that move the detector to the offsets."""
    moves = [
        offsets[name] - getattr(geometry.detector, name) if name in offsets else torch.zeros((), dtype=torch.float64)
        for name in OFFSETS
    ]
    pair = torch.stack(moves) if geometry.ndim == 3 else moves[1]
    if shifts is None:
        return pair.expand(geometry.views, *pair.shape)
    return shifts + pair


def _moved(detector: Detector, offsets: Mapping[str, float]) -> Detector:
    row, column = (offsets.get(name, getattr(detector, name)) for name in OFFSETS)
    described = detector.to_dict() | {"offset": [row, column] if detector.ndim == 2 else column}
    return Detector.from_dict(described)


def pixel_scale(geometry: Geometry, name: str, value: Tensor) -> Tensor:
    """Change of an argument (of each of its columns) that moves images by about a pixel; shaped to multiply values."""
    width = value.shape[-1] if value.ndim == 2 else 1
    scales = []
    for column in range(width):
        step = torch.zeros(width, dtype=torch.float64)
        step[column] = 1e-6 if name not in ("source_to_origin", "source_to_detector") else 1e-3
        moved = displacement(geometry, name, step if value.ndim == 2 else step[0])
        size = float(moved.square().sum(-1).mean().sqrt())
        scales.append(float(step[column]) / size if size > 0 else 1.0)
    return torch.tensor(scales if value.ndim == 2 else scales[0], dtype=torch.float64)


def displacement(geometry: Geometry, name: str, step: Tensor) -> Tensor:
    """Pixels [views, points, (row, column)] by which a step of an argument moves points in the field of view.

    Args:
        step: a number, or one for each column of arguments of every view.
    """
    views = range(0, geometry.views, max(1, geometry.views // 36))
    some = geometry[list(views)]
    value = start_value(some, name)
    points = field_points(geometry)
    moved = changed(some, {name: value + step.expand(value.shape)})
    return image_positions(moved, points) - image_positions(some, points)


def image_positions(geometry: Geometry, points: Tensor) -> Tensor:
    """Pixels (row, column) of world points [points, 3]: [views, points, 2]; rows are 0 in 2-D."""
    images = surface.images(geometry._vectors, points, geometry.divergent)
    return images if geometry.ndim == 3 else images * torch.tensor([0.0, 1.0], dtype=torch.float64)


def field_points(geometry: Geometry, count: int = 60) -> Tensor:
    """Points spread over the inner part of what the scan sees, [count, 3] mm; the same for the same geometry."""
    generator = torch.Generator().manual_seed(0)
    grid = geometry.default_grid()
    sizes = [n * step for n, step in zip(grid.shape, grid.spacing, strict=True)][::-1]  # x, y(, z)
    half = 0.4 * torch.tensor(sizes, dtype=torch.float64)
    points = (2 * torch.rand(count, geometry.ndim, dtype=torch.float64, generator=generator) - 1) * half
    points = points + torch.tensor(grid.center, dtype=torch.float64)
    return points if geometry.ndim == 3 else torch.nn.functional.pad(points, (0, 1))
