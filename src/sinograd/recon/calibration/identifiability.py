"""Which arguments of a geometry the projections can tell at all.

Arguments count by how they move the images of points in the field of view. What moves them as another place, turn or
size of the object would (a similarity of space, seven numbers) cannot be told, and neither can what an argument named
before it would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sinograd.geometry import Geometry
from sinograd.geometry.learned import displacement, field_points, image_positions, start_value
from sinograd.geometry.motion import rotations

LEAST = 0.1
"""Pixels by which an argument must move images within its bounds, beside what others would do (root mean square)."""


def undetermined(
    geometry: Geometry, learn: Sequence[str], ranges: Mapping[str, float], least: float = LEAST
) -> dict[str, str]:
    """Names of arguments that the scan cannot determine, and why.

    Args:
        geometry: its pixels are what counts.
        learn: names; of two that do the same, the later one cannot be determined.
        ranges: how far each may lie from its value, mm or radians.
    """
    known = [_orthonormal(_similarities(geometry))]
    reasons: dict[str, str] = {}
    for name in learn:
        moved = _movement(geometry, name) * ranges[name]
        rest = _beside(moved, known)
        if _size(rest) >= least:
            known.append((rest / rest.norm())[:, None])
            continue
        what = "another place, turn or size of the object" + (" or other arguments" if len(known) > 1 else "")
        reasons[name] = (
            f"within its bounds it moves images by {_size(moved):.2g} pixels, and by {_size(rest):.2g} beyond what "
            f"{what} would do"
        )
    return reasons


def sensitivities(geometry: Geometry, learn: Sequence[str]) -> dict[str, float]:
    """Pixels by which images move (root mean square) for each mm or radian of an argument, beyond what similarities and
    all the other arguments would do."""
    similar = _orthonormal(_similarities(geometry))
    movements = {name: _movement(geometry, name) for name in learn}
    result = {}
    for name, moved in movements.items():
        others = [_beside(other, [similar]) for key, other in movements.items() if key != name]
        known = [similar, _orthonormal(torch.stack(others, 1))] if others else [similar]
        result[name] = _size(_beside(moved, known))
    return result


def _movement(geometry: Geometry, name: str) -> Tensor:
    """Pixels by which images move for each mm or radian of an argument, flat."""
    step = torch.tensor(1e-5, dtype=torch.float64)
    return displacement(geometry, name, step.expand(start_value(geometry, name).shape[-1:])).flatten() / step


def _beside(moved: Tensor, known: Sequence[Tensor]) -> Tensor:
    """What the columns of orthonormal bases leave of it."""
    for basis in known:
        moved = moved - basis @ (basis.T @ moved)
    return moved


def _size(moved: Tensor) -> float:
    """Root mean square over images of their displacement in rows and columns."""
    return float(moved.square().mean().sqrt()) * 2**0.5


def _similarities(geometry: Geometry) -> Tensor:
    """How images move [n, 7] (2-D: 4) where the object is shifted, turned or larger."""
    views = range(0, geometry.views, max(1, geometry.views // 36))
    some, points, step = geometry[list(views)], field_points(geometry), 1e-4
    first = image_positions(some, points)
    size = float(points.norm(dim=1).max())
    moved = []
    axes = range(3) if geometry.ndim == 3 else range(2)
    for axis in axes:
        shift = torch.zeros(3, dtype=torch.float64)
        shift[axis] = step * size
        moved.append(points + shift)
    for axis in axes if geometry.ndim == 3 else (2,):
        turn = torch.zeros(1, 3, dtype=torch.float64)
        turn[0, axis] = step
        moved.append(points @ rotations(turn)[0].T)
    moved.append(points * (1 + step))
    return torch.stack([(image_positions(some, places) - first).flatten() for places in moved], 1)


def _orthonormal(columns: Tensor) -> Tensor:
    u, s, _vh = torch.linalg.svd(columns / columns.norm(dim=0).clamp_min(1e-300), full_matrices=False)
    return u[:, s > 1e-6 * s[0]]
