"""Vectors given view by view, checked against the detector they belong to."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.detectors import CurvedDetector, Detector

_SPACING_TOLERANCE = 1e-3


def require_dimension(detector: object, ndim: int, kind: str) -> Detector:
    """The detector, if it has the number of dimensions this geometry needs."""
    wanted = {1: "a 1-D detector, shape (columns,)", 2: "a 2-D detector, shape (rows, columns)"}[ndim]
    if not isinstance(detector, Detector):
        raise InputTypeError(f"{kind} needs {wanted}, got {detector!r} ({type(detector).__name__})")
    if detector.ndim != ndim:
        raise InputError(f"{kind} needs {wanted}, got shape {detector.shape}")
    return detector


def read_vectors(
    detector: Detector, first: object, first_name: str, centers: object, u: object, v: object | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Check vectors [views, 3] (2-D: [views, 2]) against each other and against the detector's spacing."""
    if detector.row_offset or detector.column_offset:
        raise InputError(
            f"detector.offset must be 0 where vectors are given, got {detector.offset}: centers are the "
            "positions of the detector's middle and already hold every offset"
        )
    width = detector.ndim + 1
    sources = checks.values(first, first_name, ("views", width), follow=True)
    views = len(sources)
    center = checks.values(centers, "centers", (views, width), follow=True)
    step_u = checks.values(u, "u", (views, width), follow=True)
    _check_spacing(step_u, "u", detector.column_spacing, "detector.column_spacing")
    if detector.ndim == 1:
        if v is not None:
            raise InputError("v must be left out for a 1-D detector")
        return sources, center, step_u, None
    step_v = checks.values(v, "v", (views, width), follow=True)
    _check_spacing(step_v, "v", detector.row_spacing, "detector.row_spacing")
    return sources, center, step_u, step_v


def read_curvature(detector: Detector, centers: object, views: int) -> Tensor | None:
    """Points of the axes of curved detectors, [views, 3] (2-D: [views, 2]); None where they follow from the rest."""
    if centers is None:
        return None
    if not isinstance(detector, CurvedDetector):
        raise InputError(f"curvature_centers: expected none for a flat detector, got {detector!r}")
    return checks.values(centers, "curvature_centers", (views, detector.ndim + 1), follow=True)


def stack_vectors(
    detector: Detector, first: Tensor, center: Tensor, u: Tensor, v: Tensor | None, curvature: Tensor | None = None
) -> Tensor:
    """One tensor [views, 4 or 5, 3]; adds z = 0 and v = (0, 0, 1) in 2-D, the curvature centre if curved."""
    if v is None:
        v = torch.zeros(len(first), 3, dtype=torch.float64, device="cpu")
        v[:, 2] = 1
        first, center, u = (torch.nn.functional.pad(part, (0, 1)) for part in (first, center, u))
        curvature = None if curvature is None else torch.nn.functional.pad(curvature, (0, 1))
    if not isinstance(detector, CurvedDetector):
        return torch.stack([first, center, u, v], dim=1)
    if curvature is not None:
        u, axis = on_cylinder(center, u, v, curvature)
        detector.check_arc((center - axis).detach().norm(dim=-1).min().item())
        return torch.stack([first, center, u, v, axis], dim=1)
    normal = torch.linalg.cross(u, v)
    normal = normal / normal.norm(dim=-1, keepdim=True)
    distance = ((first - center) * normal).sum(-1, keepdim=True)
    radius = detector.radius
    if radius is not None:
        distance = radius * distance.sign()
    detector.check_arc(distance.detach().abs().min().item())
    return torch.stack([first, center, u, v, center + distance * normal], dim=1)


def on_cylinder(center: Tensor, u: Tensor, v: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
    """The u steps along the tangents of cylinders along v, as long as they were, and the points of the cylinders' axes
    that are level with the detectors' centres; each [views, 3]."""
    along = v / v.norm(dim=-1, keepdim=True)
    axis = curvature + ((center - curvature) * along).sum(-1, keepdim=True) * along
    tangent = torch.linalg.cross(along, center - axis)
    tangent = tangent * (tangent * u).sum(-1, keepdim=True).detach().sign()
    return u.norm(dim=-1, keepdim=True) * tangent / tangent.norm(dim=-1, keepdim=True), axis


def check_views(vectors: Tensor, divergent: bool, kind: str) -> None:
    """Refuse views whose rays lie in the detector plane or whose u and v are parallel."""
    u, v = vectors[:, surface.U], vectors[:, surface.V]
    normal = torch.linalg.cross(u, v)
    area = u.norm(dim=-1) * v.norm(dim=-1)
    flat = normal.norm(dim=-1) <= 1e-6 * area
    if flat.any():
        view = int(flat.nonzero()[0])
        raise InputError(f"{kind} view {view}: u {u[view].tolist()} and v {v[view].tolist()} are parallel")
    first = vectors[:, surface.SOURCE]
    ray = vectors[:, surface.CENTER] - first if divergent else first
    grazing = (ray * normal).sum(-1).abs() <= 1e-9 * ray.norm(dim=-1) * area
    if grazing.any():
        view = int(grazing.nonzero()[0])
        what = f"source {first[view].tolist()}" if divergent else f"direction {first[view].tolist()}"
        raise InputError(f"{kind} view {view}: the {what} lies in the plane of the detector")


def _check_spacing(steps: Tensor, name: str, spacing: float, spacing_name: str) -> None:
    lengths = steps.detach().norm(dim=-1)
    wrong = (lengths - spacing).abs() > _SPACING_TOLERANCE * spacing
    if wrong.any():
        view = int(wrong.nonzero()[0])
        raise InputError(
            f"{name} is the step from one element to the next, but its length {lengths[view].item():.6g} mm "
            f"in view {view} does not match {spacing_name} {spacing:.6g} mm within {_SPACING_TOLERANCE:g}"
        )
