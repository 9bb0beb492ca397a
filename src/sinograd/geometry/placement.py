"""`geometry.at(vectors)`: the same beam and detector, placed by vectors, which autograd may follow."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry import checks
from sinograd.geometry import vectors as surface
from sinograd.geometry.base import Geometry
from sinograd.geometry.concatenation import vector_arguments
from sinograd.geometry.detectors import CurvedDetector
from sinograd.geometry.view_vectors import on_cylinder

G = TypeVar("G", bound=Geometry)


def placed_at(geometry: G, vectors: object) -> G:
    """See `Geometry.at`."""
    curved = isinstance(geometry.detector, CurvedDetector)
    placed = checks.values(vectors, "vectors", ("views", 5 if curved else 4, 3), follow=True)
    if geometry.ndim == 2:
        _check_in_plane(placed.detach())
    if not geometry.divergent:
        length = placed[:, surface.SOURCE].norm(dim=-1)
        if bool((length == 0).any()):
            raise InputError(f"vectors[{int((length == 0).nonzero()[0])}, 0]: expected a direction, got 0")
        placed = torch.cat([placed[:, :1] / length[:, None, None], placed[:, 1:]], 1)
    if curved:
        source, center, u, v, curvature = placed.unbind(1)
        u, axis = on_cylinder(center, u, v, curvature)
        placed = torch.stack([source, center, u, v, axis], 1)
    return type(geometry)._make("vectors", placed, vector_arguments(geometry, placed.detach()))


def _check_in_plane(vectors: Tensor) -> None:
    """2-D scans stay in the plane z = 0, with v = (0, 0, 1)."""
    expected = torch.zeros_like(vectors[..., 2])
    expected[:, surface.V] = 1
    wrong = ((vectors[..., 2] - expected).abs().amax(1) > 0) | (vectors[:, surface.V, :2].abs().amax(1) > 0)
    if bool(wrong.any()):
        view = int(wrong.nonzero()[0])
        raise InputError(
            f"vectors[{view}]: expected a view of the plane z = 0 with v (0, 0, 1), got {vectors[view].tolist()}"
        )
