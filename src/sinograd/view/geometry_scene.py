"""Source, detector, orbit and volume as lines in space: what pictures and pages of geometries draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sinograd.errors import InputError, InputTypeError
from sinograd.geometry import Geometry, Grid
from sinograd.geometry import vectors as surface

MOST_VIEWS = 180
_ARC_POINTS = 9  # along a curved detector's edge


@dataclass(frozen=True)
class Scene:
    """Lines of a geometry, mm (or pixels).

    Attributes:
        places: [views, 3] of the source; of a parallel beam as far before the detector as that stands behind the axis.
        outlines: [views, points, 3] closed lines along the detector's edges.
        starts: [views, corners, 3] where the rays begin that end at the detector's corners.
        corners: [views, corners, 3].
        box: [edges, 2, 3] of the volume.
        axis: [2, 3] of rotation.
        views: numbers of the views that are drawn.
        divergent: whether rays come from a source.
        flat: whether all of it lies in the plane z = 0.
    """

    places: np.ndarray
    outlines: np.ndarray
    starts: np.ndarray
    corners: np.ndarray
    box: np.ndarray
    axis: np.ndarray
    views: np.ndarray
    divergent: bool
    flat: bool

    @property
    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and largest coordinates of everything, [3] each."""
        parts = (self.places, self.outlines, self.starts, self.box)
        every = np.concatenate([part.reshape(-1, 3) for part in parts])
        return every.min(axis=0), every.max(axis=0)


def scene_of(geometry: Geometry, grid: Grid | None, most_views: int = MOST_VIEWS) -> Scene:
    """The scene of some views of a geometry; without a grid the box is that of its default one, if it has one.

    Raises InputTypeError for no Geometry or no Grid, InputError for a grid of other dimensions.
    """
    if not isinstance(geometry, Geometry):
        raise InputTypeError(f"geometry must be a Geometry, got {type(geometry).__name__}")
    if grid is not None and not isinstance(grid, Grid):
        raise InputTypeError(f"grid must be a Grid, got {type(grid).__name__}")
    if grid is not None and grid.ndim != geometry.ndim:
        raise InputError(f"grid has {grid.ndim} dimensions, the geometry {geometry.ndim}")
    chosen = torch.linspace(0, len(geometry) - 1, min(len(geometry), most_views)).round().long().unique()
    vectors = geometry.vectors[chosen]
    outlines = _outlines(vectors, geometry)
    corners = _corners(vectors, geometry)
    first = vectors[:, surface.SOURCE]
    if geometry.divergent:
        places, starts = first, first[:, None].expand_as(corners)
    else:
        direction = first / first.norm(dim=-1, keepdim=True)
        center = vectors[:, surface.CENTER]
        reach = 2 * ((center * direction).sum(-1, keepdim=True).abs() + _radius(outlines, center))
        places, starts = center - reach * direction, corners - (reach * direction)[:, None]
    box = _box(geometry, grid)
    return Scene(
        places=places.numpy(),
        outlines=outlines.numpy(),
        starts=starts.numpy(),
        corners=corners.numpy(),
        box=box,
        axis=_axis(box, outlines.numpy()),
        views=chosen.numpy(),
        divergent=geometry.divergent,
        flat=geometry.ndim == 2,
    )


def _outlines(vectors: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Closed lines along the edges of the pixels, [views, points, 3]; of a 1-D detector the line itself."""
    count = 2 if vectors.shape[1] == 4 else _ARC_POINTS
    columns = torch.linspace(-0.5, 0.5, count, dtype=torch.float64) * geometry.columns
    rows = torch.tensor([-0.5, 0.5], dtype=torch.float64) * geometry.rows
    if geometry.ndim == 2:
        return surface.detector_points(vectors, torch.zeros(1, dtype=torch.float64), columns)[:, 0]
    points = surface.detector_points(vectors, rows, columns)
    return torch.cat([points[:, 0], points[:, 1].flip(1), points[:, 0, :1]], 1)


def _corners(vectors: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    columns = torch.tensor([-0.5, 0.5], dtype=torch.float64) * geometry.columns
    rows = torch.tensor([-0.5, 0.5] if geometry.ndim == 3 else [0.0], dtype=torch.float64) * geometry.rows
    return surface.detector_points(vectors, rows, columns).flatten(1, 2)


def _radius(outlines: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
    """Half the longest side of a parallel beam's detector."""
    return (outlines - center[:, None]).norm(dim=-1).max()


def _box(geometry: Geometry, grid: Grid | None) -> np.ndarray:
    if grid is None:
        try:
            grid = geometry.default_grid()
        except ValueError:
            return np.empty((0, 2, 3))
    half = np.array([*grid.size[::-1], *([0.0] if grid.ndim == 2 else [])]) / 2
    middle = np.array([*grid.center, *([0.0] if grid.ndim == 2 else [])])
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in ((-1, 1) if grid.ndim == 3 else (0,))])
    pairs = [(a, b) for i, a in enumerate(signs) for b in signs[i + 1 :] if (a != b).sum() == 1]
    return np.array([[middle + half * a, middle + half * b] for a, b in pairs])


def _axis(box: np.ndarray, outlines: np.ndarray) -> np.ndarray:
    """The axis of rotation, a fifth longer than the volume is high."""
    heights = (box if box.size else outlines)[..., 2]
    middle, half = (heights.max() + heights.min()) / 2, 0.6 * (heights.max() - heights.min())
    return np.array([[0, 0, middle - half], [0, 0, middle + half]])
