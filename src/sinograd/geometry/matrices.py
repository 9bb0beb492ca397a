"""3x4 projection matrices to vectors and back (Hartley and Zisserman, Multiple View Geometry, chapter 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry.detectors import Detector, FlatDetector
from sinograd.geometry.vectors import CENTER, SOURCE, U, V


def require_flat(detector: Detector, name: str) -> Detector:
    """The detector, if it is flat: a projection matrix describes a plane."""
    if not isinstance(detector, FlatDetector):
        raise InputError(f"{name} needs a FlatDetector, got {detector!r}")
    return detector


def pixel_frame(detector: Detector, pixel_origin: object, unit: object) -> Tensor:
    """F [3, 3]: takes (column, row, 1) in the coordinates of a matrix to pixel indices counted from 0."""
    origin = checks.entries(pixel_origin, "pixel_origin", "a pair (row, column)")
    if len(origin) != 2:
        raise InputError(f"pixel_origin must be a pair (row, column), got {len(origin)} numbers: {origin}")
    if unit not in ("pixel", "mm"):
        raise InputError(f'unit must be "pixel" or "mm", got {unit!r}')
    row, column = (checks.number(value, "pixel_origin") for value in origin)
    height, width = (detector.row_spacing, detector.column_spacing) if unit == "mm" else (1.0, 1.0)
    frame = [[1 / width, 0, -column / width], [0, 1 / height, -row / height], [0, 0, 1]]
    return torch.tensor(frame, dtype=torch.float64, device="cpu")


def matrices_to_vectors(given: Tensor, detector: Detector, frame: Tensor, front: Tensor) -> dict[str, Tensor]:
    """Sources, centers, u and v, each [views, 3], of matrices [views, 3, 4]; see `ConeBeam.from_matrices`.

    With P = [M | p]: the source is -M^-1 p, and the ray to index (c, r) is M^-1 (c, r, 1), so the columns of
    M^-1 are the u step, the v step and the way from source to first pixel, all up to one factor.
    """
    projection = frame @ given
    left = projection[:, :, :3]
    # the rows' lengths differ by orders of magnitude, so scale them before judging the rank
    unit_rows = left / left.norm(dim=-1, keepdim=True).clamp_min(1e-300)
    singular = torch.linalg.det(unit_rows).abs() < 1e-12
    if singular.any():
        view = int(singular.nonzero()[0])
        raise InputError(f"matrices[{view}] has a singular left 3x3 block: no source point (parallel rays)")
    inverse = torch.linalg.inv(left)
    source = -(inverse @ projection[:, :, 3:])[:, :, 0]
    depth = (left[:, 2] * (front - source)).sum(-1)
    level = depth.abs() <= 1e-9 * left[:, 2].norm(dim=-1) * (front - source).norm(dim=-1)
    if level.any():
        view = int(level.nonzero()[0])
        raise InputError(
            f"matrices[{view}]: front {front.tolist()} is level with the source at {source[view].tolist()}; "
            "give a point that lies in front of it"
        )
    scale = depth.sign() * detector.column_spacing / inverse[:, :, 0].norm(dim=-1)
    u, v, first = (scale[:, None] * inverse[:, :, i] for i in range(3))
    _check_rows(v.norm(dim=-1), detector)
    center = source + first + (detector.columns - 1) / 2 * u + (detector.rows - 1) / 2 * v
    return {"sources": source, "centers": center, "u": u, "v": v}


def vectors_to_matrices(vectors: Tensor, detector: Detector, frame: Tensor) -> Tensor:
    """Matrices [views, 3, 4] of vectors [views, 4, 3], scaled so that w is the depth in mm."""
    source, center, u, v = (vectors[:, i] for i in (SOURCE, CENTER, U, V))
    first = center - (detector.columns - 1) / 2 * u - (detector.rows - 1) / 2 * v - source
    left = torch.linalg.inv(torch.stack([u, v, first], dim=2))
    left = torch.linalg.inv(frame) @ (left / left[:, 2:].norm(dim=-1, keepdim=True))
    return torch.cat([left, -left @ source[:, :, None]], dim=2)


def _check_rows(lengths: Tensor, detector: Detector) -> None:
    wrong = (lengths / detector.row_spacing - 1).abs() > 1e-3
    if wrong.any():
        view = int(wrong.nonzero()[0])
        raise InputError(
            f"matrices[{view}] gives rows {lengths[view].item():.6g} mm apart for columns "
            f"{detector.column_spacing:.6g} mm apart, not detector.row_spacing {detector.row_spacing:.6g} mm"
        )
