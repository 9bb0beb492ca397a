"""From the per-view vectors of a geometry to what the kernels take.

Every geometry is a float64 tensor of vectors, [views, 4, 3] or, for curved detectors, [views, 5, 3]: source
position (parallel beams: ray direction), detector centre, u step, v step, curvature centre. The ray-driven kernels
take it as it is; the voxel-driven ones take 16 numbers a view (kernels/include/voxel_projection.h).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sinograd.errors import InputError

VIEW_DOUBLES = 16

# Largest error, in detector elements, that treating a detector as axial may make anywhere on it.
AXIAL_TOLERANCE = 1e-6


def is_curved(vectors: Tensor) -> bool:
    """Whether the vectors describe a curved detector."""
    return vectors.shape[1] == 5


def is_axial(vectors: Tensor, divergent: bool, detector: Sequence[int]) -> bool:
    """Whether the detector's rows run parallel to the rotation axis in every view.

    Then the image of a line of voxels along z is a line along v: its column does not depend on z, its row is linear
    in z. The tolerance is 1e-6 detector elements over the whole detector. Rays steeper than 45 degrees are left to
    the general kernels, and so are scans in which v changes its sign.

    Args:
        vectors: [views, 4 or 5, 3], float64.
        divergent: fan or cone beam rather than parallel.
        detector: (rows, columns).
    """
    rows, columns = detector
    u, v = vectors[:, 2], vectors[:, 3]
    u_length, v_length = u.norm(dim=1), v.norm(dim=1)
    lean = v[:, :2].norm(dim=1) * rows / u_length
    climb = u[:, 2].abs() * columns / v_length
    upright = bool((torch.maximum(lean, climb) <= AXIAL_TOLERANCE).all())
    one_sided = bool((v[:, 2] > 0).all() or (v[:, 2] < 0).all())
    return upright and one_sided and not _has_steep_rays(vectors, divergent, rows, columns)


def _has_steep_rays(vectors: Tensor, divergent: bool, rows: int, columns: int) -> bool:
    source, centre, v = vectors[:, 0], vectors[:, 1], vectors[:, 3]
    if not divergent:
        return bool((source[:, 2].abs() > source[:, :2].norm(dim=1)).any())
    chord = (centre - source)[:, :2].norm(dim=1) if is_curved(vectors) else nearest_pixel(vectors, columns)
    height = (centre - source)[:, 2].abs() + v[:, 2].abs() * rows / 2
    return bool((height > chord).any())


def nearest_pixel(vectors: Tensor, columns: int) -> Tensor:
    """Horizontal distance from the source to the nearest pixel of the row of columns, mm [views]; divergent beams.

    That to the circle of a curved detector, which may be nearer.
    """
    source, centre, u = vectors[:, 0, :2], vectors[:, 1, :2], vectors[:, 2, :2]
    if is_curved(vectors):
        radius = (centre - vectors[:, 4, :2]).norm(dim=1)
        return (radius - (source - vectors[:, 4, :2]).norm(dim=1)).abs()
    along = ((source - centre) * u).sum(1) / (u * u).sum(1)
    return (centre + along.clamp(-columns / 2, columns / 2)[:, None] * u - source).norm(dim=1)


def voxel_views(vectors: Tensor, divergent: bool, detector: Sequence[int], general: bool = False) -> Tensor:
    """Coefficients of the voxel-driven kernels, [views, 16], float64.

    Args:
        vectors: [views, 4 or 5, 3], float64.
        divergent: fan or cone beam rather than parallel.
        detector: (rows, columns).
        general: for the general kernels; the others need `is_axial`.
    """
    if is_curved(vectors):
        return _cylinder_views(vectors, detector) if general else _curved_views(vectors, detector)
    return _flat_views(vectors, divergent, detector)


def projection_matrices(vectors: Tensor, divergent: bool, detector: Sequence[int]) -> Tensor:
    """[views, 3, 4]: world (x, y, z, 1) in mm to (column * w, row * w, w) in detector elements.

    w is 1 on the detector and proportional to the depth along its normal; for a parallel beam it is 1 everywhere.
    """
    rows, columns = detector
    source, centre, u, v = vectors[:, 0], vectors[:, 1], vectors[:, 2], vectors[:, 3]
    first = centre - (columns - 1) / 2 * u - (rows - 1) / 2 * v
    origin, ray = (source, first - source) if divergent else (first, source)
    try:
        inverse = torch.linalg.inv(torch.stack([u, v, ray], dim=2))
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise InputError("the geometry cannot be used: its lengths differ by too many powers of ten") from error
    matrices = torch.cat([inverse, -(inverse @ origin[:, :, None])], dim=2)
    if not divergent:
        matrices[:, 2] = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=vectors.dtype)
    return matrices


def _flat_views(vectors: Tensor, divergent: bool, detector: Sequence[int]) -> Tensor:
    views = torch.zeros(len(vectors), VIEW_DOUBLES, dtype=torch.float64)
    views[:, :12] = projection_matrices(vectors, divergent, detector).flatten(1)
    views[:, 12:15] = vectors[:, 0]
    views[:, 15] = vectors[:, 0, :2].norm(dim=1)
    return views


def _curved_views(vectors: Tensor, detector: Sequence[int]) -> Tensor:
    rows, columns = detector
    source, centre, u, v, curvature = vectors.unbind(1)
    outward = (centre - curvature)[:, :2]
    radius = outward.norm(dim=1)
    normal = outward / radius[:, None]
    # +1 where columns run counter-clockwise about the curvature centre
    turn = torch.sign(normal[:, 0] * u[:, 1] - normal[:, 1] * u[:, 0])
    views = torch.zeros(len(vectors), VIEW_DOUBLES, dtype=torch.float64)
    views[:, 0:3] = source
    views[:, 3:5] = curvature[:, :2]
    views[:, 5] = radius
    views[:, 6:8] = normal
    views[:, 8] = (columns - 1) / 2
    views[:, 9] = turn * radius / u.norm(dim=1)
    views[:, 10] = centre[:, 2]
    views[:, 11] = v[:, 2]
    views[:, 12] = (rows - 1) / 2
    views[:, 15] = source[:, :2].norm(dim=1)
    return views


def _cylinder_views(vectors: Tensor, detector: Sequence[int]) -> Tensor:
    source, centre, u, v, curvature = vectors.unbind(1)
    outward = centre - curvature
    columns = outward.norm(dim=1) / u.norm(dim=1)  # a radian
    frame = torch.linalg.inv(torch.stack([outward, u * columns[:, None], v], dim=2))
    at = (frame @ (source - curvature)[:, :, None])[:, :, 0]
    views = torch.zeros(len(vectors), VIEW_DOUBLES, dtype=torch.float64)
    views[:, 0:3] = source
    views[:, 3:12] = frame.flatten(1)
    views[:, 12:14] = at[:, :2]
    views[:, 14] = at[:, 2] + (detector[0] - 1) / 2
    views[:, 15] = columns
    return views
