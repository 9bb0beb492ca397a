"""The surface of a voxelised structure: its area, and which way it faces.

Every face between a voxel inside and one outside counts with the cosine of its angle to the smooth surface, whose
normal is the gradient of the mask after a little smoothing. So the steps of a slanted surface add up to its own area:
for a plane with normal n, the faces across axis i are |n_i| of its area, and |n_i| of each counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import ndimage
from torch import Tensor

from sinograd.morphometry.arguments import Spacing, Values, binary, steps

Triple = tuple[float, float, float]
_SMOOTHING = 1.0  # standard deviation in the longest voxel sides
_WINDOW = 4.0  # half-width of the smoothing window, in standard deviations
_SLAB_VOXELS = 4_000_000


def surface_area(mask: Values, spacing: Spacing, *, region: Values | None = None) -> float:
    """Area of the surface of what is inside a mask, mm^2 (BS).

    The volume's own faces are no surface: there the structure continues.

    Args:
        mask: [Z, Y, X], true or 1 inside: a tensor, an array or a `Volume`.
        spacing: mm per voxel, one number or (z, y, x); None: what the `Volume` says.
        region: count the surface between voxels of this mask alone.

    Raises:
        InputTypeError, InputError: no masks of one shape and three dimensions, a missing spacing.
    """
    parts = surface_elements(mask, spacing, region=region)
    return float(sum(area.sum() for area, _ in parts))


def surface_elements(
    mask: Values, spacing: Spacing, *, region: Values | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Areas [N] in mm^2 and unit normals [N, 3] (z, y, x; of either sign) of the surface, slab by slab; see above."""
    inside = binary(mask)
    size = steps(spacing, mask)
    counted = None if region is None else binary(region, "region", inside.shape)
    return _elements(inside, size, counted)


def _elements(inside: Tensor, size: Triple, counted: Tensor | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    sigma = [_SMOOTHING * max(size) / step for step in size]
    halo = int(_WINDOW * sigma[0] + 0.5) + 2
    depth = max(1, _SLAB_VOXELS // (inside.shape[1] * inside.shape[2]))
    for first in range(0, inside.shape[0], depth):
        end = min(first + depth, inside.shape[0])
        low, high = max(first - halo, 0), min(end + halo, inside.shape[0])
        slab = inside[low:high].cpu().numpy()
        gradients = _gradients(slab.astype(np.float32), sigma, size)
        among = None if counted is None else counted[low:high].cpu().numpy()
        for axis in range(3):
            found = slab != np.roll(slab, -1, axis)
            if among is not None:
                found &= among & np.roll(among, -1, axis)
            # Faces between voxels i and i + 1; those of the slab's own slices alone, of which the last has none.
            own = np.zeros(slab.shape[0], bool)
            own[first - low : min(end, inside.shape[0] - (axis == 0)) - low] = True
            found[~own] = False
            _last(found, axis)[...] = False
            yield _of_faces(found, gradients, axis, size)


def _last(array: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(array, axis, 0)[-1]


def _gradients(slab: np.ndarray, sigma: list[float], size: Triple) -> list[np.ndarray]:
    """Of the smoothed slab along z, y and x, 1/mm."""
    filtered: Any = ndimage.gaussian_filter
    orders = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    return [
        filtered(slab, sigma, order=order, mode="nearest", truncate=_WINDOW) / step
        for order, step in zip(orders, size, strict=True)
    ]


def _of_faces(found: np.ndarray, gradients: list[np.ndarray], axis: int, size: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Areas and normals of the faces between each voxel in `found` and the next one along an axis."""
    here = np.nonzero(found)
    there = tuple(index + (k == axis) for k, index in enumerate(here))
    normals = np.stack([part[here].astype(np.float64) + part[there] for part in gradients], axis=1)
    lengths = np.linalg.norm(normals, axis=1)
    # In structures that smoothing leaves flat, the face itself is all that is known.
    flat = lengths * max(size) <= 1e-5
    normals[flat], lengths[flat] = np.eye(3)[axis], 1.0
    normals /= lengths[:, None]
    return np.abs(normals[:, axis]) * (size[0] * size[1] * size[2] / size[axis]), normals
