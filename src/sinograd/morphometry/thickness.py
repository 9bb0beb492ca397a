"""Local thickness: the diameter of the largest sphere that fits into a structure and covers a point.

T. Hildebrand, P. Ruegsegger, "A new method for the model-independent assessment of thickness in three-dimensional
images", Journal of Microscopy 185 (1997). Of bone its mean is Tb.Th, of marrow Tb.Sp.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.morphometry.arguments import Spacing, Values, binary, steps
from sinograd.morphometry.surface_distance import fine_interior, surface_distances

_SIDE = 56  # voxels of a tile along each axis
_FIRST_REACH = 3  # largest radius that is tried first, in the longest voxel sides
_CHUNK = 1 << 22  # voxels that are written at once
_ROUNDING = 1e-6
_DENSE = 35.0  # writes for each fine point from which a distance transform is faster
_NEIGHBOURS = [offset for offset in itertools.product((-1, 0, 1), repeat=3) if any(offset)]

Progress = Callable[[int, int], None]


def thickness(
    mask: Values, spacing: Spacing, *, largest: float | None = None, progress: Progress | None = None
) -> Tensor:
    """Local thickness of what is inside a mask.

    The surface lies half-way between voxels inside and outside, and spheres are spheres in mm: a plate of n voxels is
    n voxels thick, along any axis and for any spacing. At the faces of the volume nothing ends: there the structure
    continues, and spheres may reach beyond.

    Args:
        mask: [Z, Y, X], true or 1 inside: a tensor, an array or a `Volume`.
        spacing: mm per voxel, one number or (z, y, x); None: what the `Volume` says.
        largest: mm; what is thicker has this thickness. It bounds the memory: without it, structures that are wide for
            the volume need all of it at once, about 400 bytes a voxel.
        progress: called with (tiles done, tiles).

    Returns:
        [Z, Y, X] in mm, float32; NaN outside the mask.

    Raises:
        InputTypeError, InputError: no mask of three dimensions, a missing spacing, a mask without any voxel outside
            (no surface, so no thickness) unless `largest` is given.
    """
    inside = binary(mask).cpu().numpy()
    size = steps(spacing, mask)
    most = math.inf if largest is None else checks.positive(largest, "largest") / 2
    if largest is None and inside.all():
        raise InputError("mask: expected some voxels outside, all are inside: there is no surface")
    result = np.full(inside.shape, np.nan, np.float32)
    tiles = list(_tiles(inside.shape))
    for done, tile in enumerate(tiles, 1):
        if inside[tile].any():
            result[tile] = np.where(inside[tile], _of_tile(inside, tile, size, most), np.nan)
        if progress is not None:
            progress(done, len(tiles))
    return torch.from_numpy(result)


Box = tuple[slice, slice, slice]


def _tiles(shape: tuple[int, ...]) -> Iterator[Box]:
    starts = (range(0, n, _SIDE) for n in shape)
    for first in itertools.product(*starts):
        z, y, x = (slice(a, min(a + _SIDE, n)) for a, n in zip(first, shape, strict=True))
        yield z, y, x


def _of_tile(inside: np.ndarray, tile: Box, spacing: tuple[float, float, float], most: float) -> np.ndarray:
    """The thickness in a tile, which depends on the voxels about it: as far as its spheres turn out to need."""
    reach = min(_FIRST_REACH * max(spacing), most)
    while True:
        # Spheres of radius `reach` have their centres in `zone`, and surfaces that bound them in `seen`.
        zone, seen = (_grown(tile, inside.shape, spacing, times * reach) for times in (1, 2))
        radii = surface_distances(fine_interior(inside[seen]), spacing)[_fine(zone, seen)]
        whole = all(part == slice(0, n) for part, n in zip(zone, inside.shape, strict=True))
        largest = float(radii.max())
        if whole or largest < reach or reach >= most:
            break
        reach = min(2 * reach, most)
    radii = np.minimum(radii, most, dtype=np.float32)
    painted = _painted(radii, spacing)
    return painted[tuple(slice(t.start - z.start, t.stop - z.start) for t, z in zip(tile, zone, strict=True))]


def _grown(tile: Box, shape: tuple[int, ...], spacing: tuple[float, float, float], margin: float) -> Box:
    """The tile and what is at most `margin` mm away."""
    more = (min(math.ceil(margin / step), n) for step, n in zip(spacing, shape, strict=True))
    z, y, x = (
        slice(max(part.start - m, 0), min(part.stop + m, n)) for part, m, n in zip(tile, more, shape, strict=True)
    )
    return z, y, x


def _fine(zone: Box, seen: Box) -> Box:
    """The points of the fine grid of `seen` that belong to `zone`."""
    z, y, x = (slice(2 * (a.start - b.start), 2 * (a.stop - b.start) + 1) for a, b in zip(zone, seen, strict=True))
    return z, y, x


def _painted(radii: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Diameters of the largest spheres that cover the voxel centres, from the radii of those about fine points."""
    centres = np.stack(np.nonzero(_not_covered(radii, spacing)), axis=1)
    sizes, order = np.unique(radii[tuple(centres.T)], return_inverse=True)
    canvas = _Canvas.of(radii, spacing)
    # Small ones first, so that large ones overwrite them.
    centres = centres[np.argsort(order, kind="stable")]
    ends = np.cumsum(np.bincount(order, minlength=len(sizes)))
    for first, end, radius in zip([0, *ends[:-1]], ends, sizes.tolist(), strict=True):
        group = centres[first:end]
        if len(group) * math.pi * 4 / 3 * radius**3 > _DENSE * radii.size * math.prod(spacing):
            canvas.fill(group, radius, radii.shape)
            continue
        kinds = (group % 2) @ (4, 2, 1)  # by where in their voxel the centres lie
        for kind in np.unique(kinds).tolist():
            canvas.paint(group[kinds == kind] // 2, radius, (kind >> 2 & 1, kind >> 1 & 1, kind & 1))
    return canvas.values[canvas.middle]


def _not_covered(radii: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """The centres of spheres that lie in no sphere about a neighbouring point: the others paint nothing new."""
    needed = radii > 0
    for offset in _NEIGHBOURS:
        distance = math.hypot(*(o * step / 2 for o, step in zip(offset, spacing, strict=True)))
        here = tuple(slice(max(-o, 0), n - max(o, 0)) for o, n in zip(offset, radii.shape, strict=True))
        there = tuple(slice(max(o, 0), n - max(-o, 0)) for o, n in zip(offset, radii.shape, strict=True))
        needed[here] &= radii[there] < radii[here] + distance * (1 - _ROUNDING)
    return needed


@dataclass(frozen=True)
class _Canvas:
    """Voxels with a margin as wide as the largest sphere, so that none is cut.

    middle: where the voxels are in `values`.
    """

    values: np.ndarray
    margin: tuple[int, ...]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, radii: np.ndarray, spacing: tuple[float, float, float]) -> _Canvas:
        """For radii on a fine grid."""
        largest = float(radii.max())
        margin = tuple(math.ceil(largest / step) + 1 for step in spacing)
        shape = [n // 2 + 2 * m for n, m in zip(radii.shape, margin, strict=True)]
        return cls(np.zeros(shape, np.float32), margin, spacing)

    @property
    def middle(self) -> Box:
        """Where the voxels are in `values`."""
        z, y, x = (slice(m, n - m) for m, n in zip(self.margin, self.values.shape, strict=True))
        return z, y, x

    def fill(self, centres: np.ndarray, radius: float, shape: tuple[int, ...]) -> None:
        """Write the diameter to all voxel centres in spheres about many points of the fine grid of that shape.

        By the distance to the next of them, which takes as long for many as for one.
        """
        others = np.ones(shape, bool)
        others[tuple(centres.T)] = False
        near = surface_distances(others, self.spacing)[1::2, 1::2, 1::2] < radius * (1 - _ROUNDING)
        self.values[self.middle][near] = 2 * radius

    def paint(self, voxels: np.ndarray, radius: float, centred: tuple[int, int, int]) -> None:
        """Write the diameter to all voxel centres in spheres about points of some voxels.

        voxels: indices [N, 3]. centred: along which axes the points are those of the voxel centres; along the others
        they are half a voxel before.
        """
        reach = [math.ceil(radius / step) + 1 for step in self.spacing]
        axes = [np.arange(-n, n + 1) for n in reach]
        grids = np.meshgrid(*axes, indexing="ij")
        shifts = [0.0 if at_centre else 0.5 for at_centre in centred]
        squares = np.zeros(grids[0].shape)
        for grid, shift, step in zip(grids, shifts, self.spacing, strict=True):
            squares += ((grid + shift) * step) ** 2
        near = squares < radius**2 * (1 - _ROUNDING)
        strides = np.array([self.values.shape[1] * self.values.shape[2], self.values.shape[2], 1])
        offsets: Any = np.stack([grid[near] for grid in grids], axis=1) @ strides
        bases: Any = (voxels + self.margin) @ strides
        flat = self.values.reshape(-1)
        step = max(1, _CHUNK // max(len(offsets), 1))
        for first in range(0, len(bases), step):
            flat[(bases[first : first + step, None] + offsets).ravel()] = 2 * radius
