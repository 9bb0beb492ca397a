"""`concatenate`: the views of several geometries, one after the other, as one geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import vectors as surface
from sinograd.geometry.base import Geometry
from sinograd.geometry.circular import helix_heights
from sinograd.geometry.detectors import CurvedDetector, Detector
from sinograd.geometry.view_vectors import stack_vectors

G = TypeVar("G", bound=Geometry)

_PER_VIEW = ("angles", "axis_offset", "source_offset", "shifts", "motion")
_EXACT = 1e-9  # of the size of a scan: what still counts as the same place


def concatenate(geometries: Sequence[G]) -> G:
    """One geometry with the views of several, one after the other; their vectors stay as they are.

    Circular scans with the same distances and turns stay circular, with the angles, axis and source offsets and shifts
    of all views; so do parts of one helix in their order. Else the result is a geometry given by vectors.

    Args:
        geometries: of one class, with one detector; only its offset may differ.

    Raises:
        TypeError: something else than geometries.
        ValueError: no geometry, several classes, or detectors that differ; the message says in what.
    """
    parts = _checked(geometries)
    if len(parts) == 1:
        return parts[0]
    vectors = torch.cat([part._vectors if part._followed is None else part._followed for part in parts])
    arguments = _joined_arguments(parts)
    if arguments is None:
        return type(parts[0])._make("vectors", vectors, vector_arguments(parts[0], vectors.detach()))
    return type(parts[0])._make("helical" if "pitch" in arguments else "circular", vectors, arguments)


def _checked(geometries: Sequence[G]) -> list[G]:
    if isinstance(geometries, Geometry):
        raise InputTypeError(f"geometries: expected several, in a list, got one {type(geometries).__name__}")
    parts = [*geometries]
    if not parts:
        raise InputError("geometries: expected at least one, got none")
    for number, part in enumerate(parts):
        if not isinstance(part, Geometry):
            raise InputTypeError(f"geometries[{number}]: expected a Geometry, got {type(part).__name__}")
        first, kinds = parts[0], (type(parts[0]).__name__, type(part).__name__)
        if kinds[0] != kinds[1]:
            raise InputError(f"geometries[{number}]: expected a {kinds[0]} like geometries[0], got a {kinds[1]}")
        difference = _difference(first.detector, part.detector)
        if difference:
            name, expected, value = difference
            raise InputError(
                f"geometries[{number}]: expected the detector of geometries[0], whose {name} is {expected}, got {value}"
            )
    return parts


def _difference(first: Detector, other: Detector) -> tuple[str, Any, Any] | None:
    """What makes them two detectors, and its two values; not the offset, which says where a detector stands."""
    if type(first) is not type(other):
        return "class", type(first).__name__, type(other).__name__
    for name in ("shape", "spacing", "radius"):
        values = getattr(first, name, None), getattr(other, name, None)
        if values[0] != values[1]:
            return name, *values
    return None


def _joined_arguments(parts: list[G]) -> dict[str, Any] | None:
    """The arguments of the circular or helical scan that the parts make; None where they make none."""
    scans = {"circular" if part.scan == "short_scan" else part.scan for part in parts}
    arguments = [part._arguments for part in parts]
    first = arguments[0]
    shared = first.keys() - {*_PER_VIEW, "detector", "views", "start", "z_start"}
    if (
        len(scans) > 1
        or "vectors" in scans
        or any(other[name] != first[name] for other in arguments for name in shared)
    ):
        return None
    joined = {name: first[name] for name in shared}
    joined |= {"detector": first["detector"], "angles": torch.cat([part["angles"] for part in arguments])}
    for name in first.keys() & {"axis_offset", "source_offset"}:
        joined[name] = _of_each_view([part[name] for part in arguments], [part.views for part in parts])
    joined["shifts"], joined["motion"] = _shifts(parts), _motion(parts)
    if "helical" in scans:
        heights = [helix_heights(part["angles"], part["pitch"], part["z_start"]) for part in arguments]
        joined["z_start"] = heights[0][0].item()
        expected = helix_heights(joined["angles"], joined["pitch"], joined["z_start"])
        if float((torch.cat(heights) - expected).abs().max()) > _EXACT * joined["source_to_detector"]:
            return None
    return joined


def _of_each_view(values: list[Any], views: list[int]) -> Any:
    """What all parts have in common, or a tensor with an entry for each view."""
    if not any(isinstance(value, Tensor) for value in values) and all(value == values[0] for value in values):
        return values[0]
    tensors = [torch.as_tensor(value, dtype=torch.float64, device="cpu") for value in values]
    pair = max(tensor.ndim for tensor in tensors) == 2 or isinstance(values[0], tuple)
    if not pair:
        return torch.cat([tensor.expand(count) for tensor, count in zip(tensors, views, strict=True)])
    width = max(tensor.shape[-1] for tensor in tensors)  # those without an outward part have none
    tensors = [torch.nn.functional.pad(tensor, (0, width - tensor.shape[-1])) for tensor in tensors]
    return torch.cat([tensor.expand(count, width) for tensor, count in zip(tensors, views, strict=True)])


def _shifts(parts: list[G]) -> Tensor | None:
    """Shifts of all views from where the first detector stands."""
    first = parts[0].detector
    if all(part._arguments["shifts"] is None and part.detector.offset == first.offset for part in parts):
        return None
    shifts = []
    for part in parts:
        detector, own = part.detector, part._arguments["shifts"]
        moved = [detector.row_offset - first.row_offset, detector.column_offset - first.column_offset]
        moves = torch.tensor(moved, dtype=torch.float64, device="cpu").expand(part.views, 2)
        moves = moves if detector.ndim == 2 else moves[:, 1]
        shifts.append(moves if own is None else moves + own)
    return torch.cat(shifts)


def _motion(parts: list[G]) -> Tensor | None:
    """The motion of all views; 0 in those of parts without."""
    motions = [part._arguments["motion"] for part in parts]
    if all(motion is None for motion in motions):
        return None
    width = 6 if parts[0].ndim == 3 else 3
    still = [torch.zeros(part.views, width, dtype=torch.float64, device="cpu") for part in parts]
    return torch.cat([zeros if motion is None else motion for motion, zeros in zip(motions, still, strict=True)])


def vector_arguments(first: Geometry, vectors: Tensor) -> dict[str, Any]:
    """The arguments of `from_vectors` that give these vectors to a geometry like the first."""
    old, dimensions = first.detector, first.ndim
    rows = [vectors[:, row, :dimensions] for row in range(vectors.shape[1])]
    arguments: dict[str, Any] = {"centers": rows[1], "u": rows[2]}
    arguments["sources" if first.divergent else "directions"] = rows[0]
    if dimensions == 3 or not first.divergent:
        arguments["v"] = rows[3] if dimensions == 3 else None
    if isinstance(old, CurvedDetector):
        return {**arguments, **_curved(old, vectors, rows)}
    curvature = {"curvature_centers": None} if first.divergent else {}
    return {**arguments, **curvature, "detector": type(old)(old.shape, old.spacing)}


def _curved(old: CurvedDetector, vectors: Tensor, rows: list[Tensor]) -> dict[str, Any]:
    """Detector and curvature centres: focused on the source, with one radius for all views, or centres as they are."""
    radii = (vectors[:, surface.CENTER] - vectors[:, surface.CURVATURE]).norm(dim=-1)
    source, center, u = rows[:3]
    for radius in (old.radius, radii[0].item()):
        detector = CurvedDetector(old.shape, old.spacing, radius)
        expected = stack_vectors(detector, source, center, u, rows[3] if old.ndim == 2 else None)
        if float((expected - vectors).norm(dim=-1).max()) <= _EXACT * float(radii.max()):
            return {"detector": detector, "curvature_centers": None}
    return {"detector": CurvedDetector(old.shape, old.spacing, old.radius), "curvature_centers": rows[4]}
