"""What every geometry is: one small set of vectors for each view, and the call that made them."""

from __future__ import annotations

import inspect
import math
import os
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import Tensor

from sinograd.config.shown import shown
from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.checks import Values, plain
from sinograd.geometry.circular import Circular, Helical, ShortScan
from sinograd.geometry.detectors import Detector
from sinograd.geometry.formatting import angles_from_degrees, angles_to_degrees, call_text, only_keys
from sinograd.geometry.grid import Grid
from sinograd.geometry.vector_recipe import Vectors
from sinograd.geometry.view_indices import Index, view_indices
from sinograd.geometry.view_vectors import check_views

_ANGULAR = ("angles", "start", "tilt", "yaw", "in_plane_rotation")
"""Arguments in radians; in dictionaries and YAML they are in degrees and their keys end in _deg."""

Recipe = Circular | ShortScan | Helical | Vectors
RECIPES: dict[str, type[Any]] = {kind.scan: kind for kind in (Circular, ShortScan, Helical, Vectors)}


class Geometry(ABC):
    """Where source and detector stand in each view; see `ParallelBeam`, `FanBeam` and `ConeBeam`.

    World coordinates are right-handed x, y, z in mm; the rotation axis is z and the isocentre the origin.
    Geometries never change; tensors they return are copies, float64 on the CPU.
    """

    divergent: ClassVar[bool]
    """Whether rays start at a source point (fan and cone beams) or are parallel."""
    _beam: ClassVar[str]
    _constructors: ClassVar[dict[str, str]]  # scan -> class method that makes it; "" is the class itself
    _kinds: ClassVar[dict[str, type[Geometry]]] = {}
    _scan: str
    _vectors: Tensor
    _followed: Tensor | None
    _arguments: dict[str, Any]
    _followed_recipe: Any = None  # what it was made of, where that requires gradients

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_beam" in vars(cls):
            Geometry._kinds[cls._beam] = cls

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        makers = ", ".join(f"{name}.{maker}" for maker in self._constructors.values())
        raise InputTypeError(f"{name} cannot be called directly; use one of {makers}")

    def _fill(self, scan: str, vectors: Tensor, arguments: dict[str, Any]) -> Self:
        """Set the state; every tensor in arguments has one entry for each view.

        Vectors that require gradients are kept beside their values.
        """
        values = vectors.detach()
        check_views(values, self.divergent, type(self).__name__)
        held = {key: plain(value) for key, value in arguments.items()}
        followed = vectors if vectors.requires_grad else None
        state = {"_scan": scan, "_vectors": values, "_arguments": held, "_followed": followed}
        for name, value in state.items():
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def _make(cls, scan: str, vectors: Tensor, arguments: dict[str, Any]) -> Self:
        return object.__new__(cls)._fill(scan, vectors, arguments)

    def _fill_from(self, recipe: Recipe) -> Self:
        """Set the state to what a recipe describes."""
        self._fill(recipe.scan, recipe.vectors(), self._described(recipe))
        if self._followed is not None:
            object.__setattr__(self, "_followed_recipe", recipe)
        return self

    @classmethod
    def _of(cls, recipe: Any) -> Self:
        return object.__new__(cls)._fill_from(recipe)

    @classmethod
    def _described(cls, recipe: Recipe) -> dict[str, Any]:
        names = cls._parameters(recipe.scan)
        return recipe.arguments({**names, "angles": None} if recipe.scan == "short_scan" else names)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; make a new one instead of setting {name}")

    @property
    def scan(self) -> str:
        """How it was made: "circular", "short_scan", "helical" or "vectors"."""
        return self._scan

    @property
    def recipe(self) -> Recipe:
        """What it was made from, without gradients: `dataclasses.replace(geometry.recipe, tilt=0.01).geometry()`."""
        return RECIPES[self.scan](**{name: self._arguments[name] for name in self._parameters(self.scan)})

    @property
    def moving_recipe(self) -> Recipe | None:
        """Its recipe, with gradients where it is followed, if the object moves; else None."""
        if self._arguments.get("motion") is None:
            return None
        return self.recipe if self._followed is None else self._followed_recipe

    @property
    def detector(self) -> Detector:
        """The detector."""
        return self._arguments["detector"]

    @property
    def vectors(self) -> Tensor:
        """World vectors (x, y, z) in mm, float64 [views, 4, 3], or [views, 5, 3] for a curved detector:

        0. source position; for a parallel beam the unit direction of the rays, from the source side,
        1. detector centre: position of index ((rows - 1) / 2, (columns - 1) / 2), every offset applied,
        2. u step, from one column to the next (curved: along the tangent at the centre),
        3. v step, from one row to the next ((0, 0, 1) in 2-D),
        4. curved only: the point of the cylinder's axis level with the centre.

        The element i columns and j rows from the middle lies at centre + i u + j v. On a curved detector,
        with C = vector 4, R = |centre - C|, n = (centre - C) / R, t = u / |u| and d = i |u| / R, it lies at
        C + R (n cos d + t sin d) + j v.
        """
        return self._vectors.clone()

    @property
    def followed_vectors(self) -> Tensor | None:
        """The vectors as autograd follows them, where an argument or the vectors of `at` require gradients; else None.

        Operators and reconstructions pass gradients to them; all else takes their values.
        """
        return self._followed

    def at(self, vectors: Values) -> Self:
        """The same beam and detector with other vectors; operators on it pass gradients to them.

        Args:
            vectors: as `vectors`, [views, 4, 3], for curved detectors [views, 5, 3] with any point of the cylinder's
                axis; parallel beams' directions of any length. The offset of the detector and all displacements are in
                them. May require gradients, and hold other views than this geometry.

        Raises:
            TypeError, ValueError: naming what is wrong with the vectors.
        """
        from sinograd.geometry.placement import placed_at

        return placed_at(self, vectors)

    @property
    def angles(self) -> Tensor | None:
        """Gantry angle of each view in radians, float64 [views]; None where vectors were given."""
        angles = self._arguments.get("angles")
        return None if angles is None else angles.clone()

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self._vectors)

    def __len__(self) -> int:
        return self.views

    @property
    def rows(self) -> int:
        """Number of detector rows (1 in 2-D)."""
        return self.detector.rows

    @property
    def columns(self) -> int:
        """Number of detector columns."""
        return self.detector.columns

    @property
    def ndim(self) -> int:
        """2 (a slice) or 3."""
        return self.detector.ndim + 1

    @property
    def projection_shape(self) -> tuple[int, ...]:
        """(views, columns) in 2-D, (views, rows, columns) in 3-D."""
        return (self.views, *self.detector.shape)

    def pixel_positions(self, view_slice: Index = slice(None)) -> Tensor:
        """World positions of the detector elements: float64 [v, rows, columns, 3], [v, columns, 3] in 2-D."""
        vectors = self._vectors[view_indices(view_slice, self.views)]
        rows, columns = surface.index_offsets(self.rows), surface.index_offsets(self.columns)
        points = surface.detector_points(vectors, rows, columns)
        return points[:, 0] if self.ndim == 2 else points

    def rays(self, view_slice: Index = slice(None)) -> tuple[Tensor, Tensor]:
        """The measured rays: (origin, unit direction), each shaped as `pixel_positions`.

        The origin is the source, or for parallel beams the detector element; directions run to the detector.
        """
        pixels = self.pixel_positions(view_slice)
        first = self._vectors[view_indices(view_slice, self.views), surface.SOURCE]
        first = first.reshape(-1, *[1] * (self.ndim - 1), 3).expand_as(pixels).contiguous()
        if not self.divergent:
            return pixels, first
        towards = pixels - first
        return first, towards / towards.norm(dim=-1, keepdim=True)

    @property
    def magnification(self) -> float:
        """Size on the detector over size at the isocentre (median over the views); 1 for parallel beams."""
        if not self.divergent:
            return 1.0
        return surface.central_hit(self._vectors, True)[0].median().item()

    @property
    def fan_angle(self) -> float:
        """Full angle (rad) between the rays to both ends of the middle row (pixel edges); 0 if parallel."""
        if not self.divergent:
            return 0.0
        return surface.beam_angle(self._vectors, self.detector, surface.U)

    @property
    def cone_angle(self) -> float:
        """Full angle (rad) between the rays to both ends of the middle column; 0 in 2-D or if parallel."""
        if not self.divergent or self.ndim == 2:
            return 0.0
        return surface.beam_angle(self._vectors, self.detector, surface.V)

    @property
    def field_of_view(self) -> float:
        """Diameter in mm of the largest circle about the rotation axis that the scan covers.

        Each view covers the axis up to the farther of its two edge rays; the side beyond the nearer edge is
        measured by the opposite view. With a centred detector that is the circle seen in every view; with a
        strongly offset one (half fan) it takes a full turn. 0 if some view does not see the axis.
        """
        return 2 * surface.seen_radius(self._vectors, self.detector, self.divergent)

    def default_grid(self, shape: Sequence[int] | None = None) -> Grid:
        """A grid that covers the field of view and, in 3-D, the heights seen at the rotation axis.

        Args:
            shape: counts in array order. Without it the spacing is column_spacing / magnification; with it,
                the smallest spacing, equal on all axes, at which this shape covers the same region.

        Raises:
            ValueError: if some view does not see the rotation axis, or has it behind the source.
        """
        name, width, magnification = type(self).__name__, self.field_of_view, self.magnification
        if not (width > 0 and math.isfinite(magnification) and magnification > 0):
            raise InputError(
                f"this {name} has no default grid: the rotation axis is not seen in every view "
                f"(field of view {width:g} mm, magnification {magnification:g}); give a Grid"
            )
        extents, center = [width, width], [0.0, 0.0]
        if self.ndim == 3:
            low, high = surface.seen_heights(self._vectors, self.detector, self.divergent)
            middle = (low + high) / 2
            extents.insert(0, high - low)
            center.append(0.0 if abs(middle) < 1e-9 * (high - low) else middle)
        spacing = self.detector.column_spacing / magnification
        if shape is None:
            shape = [max(1, math.ceil(extent / spacing - 1e-6)) for extent in extents]
        else:
            shape = checks.shape(shape, "shape", "(z, y, x)" if self.ndim == 3 else "(y, x)", (self.ndim,))
            spacing = max(extent / n for extent, n in zip(extents, shape, strict=True))
        return Grid(shape, spacing, center)

    def __getitem__(self, index: Index) -> Self:
        """The geometry of some views, chosen by int, slice, list or tensor of ints, or bool tensor."""
        chosen = view_indices(index, self.views)
        arguments = {
            key: value[chosen] if isinstance(value, Tensor) else value
            for key, value in self._arguments_of_views(chosen).items()
        }
        scan = "circular" if self.scan == "short_scan" else self.scan
        vectors = self._vectors if self._followed is None else self._followed
        return type(self)._make(scan, vectors[chosen], arguments)

    def _arguments_of_views(self, chosen: Tensor) -> dict[str, Any]:
        """The arguments a selection of views is made with, per-view tensors still whole."""
        return {key: held for key, held in self._arguments.items() if key not in ("views", "start")}

    def equals(self, other: object) -> bool:
        """Same type and detector, and vectors equal to 1e-12 relative, however each was made."""
        if not isinstance(other, Geometry) or type(self) is not type(other):
            return False
        a, b = self._vectors, other._vectors
        if self.detector != other.detector or a.shape != b.shape:
            return False
        lengths = a.norm(dim=-1)
        positions = [surface.CENTER, *range(surface.CURVATURE, a.shape[1])]
        if self.divergent:
            positions.append(surface.SOURCE)
        lengths[:, positions] = lengths[:, positions].amax(dim=1, keepdim=True) + max(self.detector.size)
        return bool(((a - b).norm(dim=-1) <= 1e-12 * lengths).all())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, text and lists, as in YAML files; angles in degrees, under keys ending in _deg."""
        data: dict[str, Any] = {"beam": self._beam, "scan": self.scan}
        for key, value in self._call().items():
            if key == "angles":
                data["angles_deg"] = angles_to_degrees(value)
            elif isinstance(value, Detector):
                data[key] = value.to_dict()
            elif key in _ANGULAR:
                data[f"{key}_deg"] = math.degrees(value)
            elif isinstance(value, Tensor):
                data[key] = value.tolist()
            else:
                data[key] = list(value) if isinstance(value, tuple) else value
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The geometry that `to_dict` described.

        Raises:
            TypeError, ValueError: naming the key, for unknown or missing keys and wrong values.
        """
        if not isinstance(data, Mapping):
            raise InputTypeError(
                f"a geometry is a mapping of keys to values, got {shown(data)} ({type(data).__name__})"
            )
        from sinograd.geometry import cone, fan, parallel  # noqa: F401  their classes enter themselves in _kinds

        kind = Geometry._kinds.get(str(data.get("beam")))
        if kind is None or not issubclass(kind, cls):
            allowed = ", ".join(sorted(name for name, known in Geometry._kinds.items() if issubclass(known, cls)))
            raise InputError(f"geometry key beam must be one of {allowed}, got {shown(data.get('beam'))}")
        scan = str(data.get("scan"))
        if scan not in kind._constructors:
            scans = ", ".join(kind._constructors)
            came = f"got {shown(scan)}" if "scan" in data else "but there is none"
            raise InputError(f"scan of a {kind._beam} beam must be one of {scans}, {came}")
        parameters = kind._parameters(scan)
        keys = {f"{name}_deg" if name in _ANGULAR else name: name for name in parameters}
        needed = [key for key, name in keys.items() if parameters[name].default is inspect.Parameter.empty]
        optional = [key for key in keys if key not in needed]
        what = f"{kind._beam} {scan} geometry"
        only_keys(data, what, required=("beam", "scan", *needed), optional=optional)
        arguments = {name: _from_plain(name, key, data[key]) for key, name in keys.items() if key in data}
        return kind._constructor(scan)(**arguments)

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write a YAML file; see `save_geometry`."""
        from sinograd.geometry.files import save_geometry

        save_geometry(self, path, force=force)

    def __repr__(self) -> str:
        maker = self._constructors[self.scan]
        return call_text(type(self).__name__ + (f".{maker}" if maker else ""), self._call())

    def _call(self) -> dict[str, Any]:
        """The arguments of the call that makes this geometry, in its order and without defaults."""
        held = self._arguments
        return {
            name: held[name]
            for name, parameter in self._parameters(self.scan).items()
            if isinstance(held[name], Tensor | Detector) or held[name] != parameter.default
        }

    @classmethod
    def _constructor(cls, scan: str) -> Any:
        maker = cls._constructors[scan]
        return getattr(cls, maker) if maker else cls

    @classmethod
    def _parameters(cls, scan: str) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(cls._constructor(scan)).parameters


def _from_plain(name: str, key: str, value: Any) -> Any:
    if name == "angles":
        return angles_from_degrees(value)
    if name == "detector":
        return Detector.from_dict(value)
    return math.radians(checks.number(value, key)) if name in _ANGULAR else value
