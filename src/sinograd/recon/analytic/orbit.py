"""What filtered backprojection needs to know of an orbit, all of it taken from the per-view vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sinograd.errors import InputError
from sinograd.geometry.vectors import detector_points, index_offsets
from sinograd.ops.kernel_views import is_curved

# Largest relative spread of the sources' distances to the axis, and of their heights, for an orbit to be a circle.
CIRCLE_TOLERANCE = 0.02
HEIGHT_TOLERANCE = 1e-3


class UndefinedGeometryError(InputError):
    """A geometry for which filtered backprojection is not defined.

    Args:
        reason: words that follow the name of what is not defined: "needs ...", "is defined for ...".
        name: of that.
    """

    def __init__(self, reason: str, name: str = "filtered backprojection") -> None:
        super().__init__(f"geometry: {name} {reason}")
        self.reason = reason


@contextmanager
def defined_for(name: str) -> Iterator[None]:
    """Inside, an `UndefinedGeometryError` says that `name` is what is not defined."""
    try:
        yield
    except UndefinedGeometryError as error:
        raise UndefinedGeometryError(error.reason, name) from None


@dataclass(frozen=True)
class Orbit:
    """A circular orbit (or the directions of a parallel beam) and the in-plane rays of its detector columns.

    Attributes:
        angles: [views], rad: source angle a, with the source at R (sin a, -cos a).
        fan: [views, columns], rad: angle of each column's ray from the ray through the axis, positive along +u; for
            parallel beams the signed distance of the ray to the axis, mm.
        numerator: [views, columns]: the ray's distance weight before the division by the ray's length, mm^2;
            R cos(gamma) times the horizontal source-pixel distance. Ones for parallel beams.
        horizontal: [views, columns], mm: horizontal source-pixel distance; ones for parallel beams.
        heights: [views, rows], mm: pixel heights above the source; zeros for parallel beams.
        scale: [views]: what remains of the distance weighting beside the kernel's.
        weighting: the weighting of the backprojection kernel.
        divergent: fan or cone beam.
        distance: [views, columns], mm: signed distance of each column's in-plane ray to the axis.
    """

    angles: Tensor
    fan: Tensor
    numerator: Tensor
    horizontal: Tensor
    heights: Tensor
    scale: Tensor
    weighting: str
    divergent: bool
    distance: Tensor


def circular_orbit(vectors: Tensor, detector: tuple[int, int], divergent: bool, helical: bool = False) -> Orbit:
    """The orbit of the views of an upright detector ([views, 4 or 5, 3]) of (rows, columns).

    Raises:
        UndefinedGeometryError: filtered backprojection is not defined: the orbit is no circle about z (a helix,
            arbitrary vectors), or a curved detector is not centred on the source.
    """
    if not divergent:
        return _parallel_orbit(vectors, detector)
    _check_circle(vectors[:, 0], helical)
    return _divergent_orbit(vectors, detector)


def check_axis_seen(orbit: Orbit) -> None:
    """Raise UndefinedGeometryError where the axis falls beside the detector in any view."""
    low, high = orbit.fan.amin(1), orbit.fan.amax(1)
    beside = (low >= 0) | (high <= 0)
    if bool(beside.any()):
        view = int(beside.nonzero()[0])
        raise UndefinedGeometryError(
            "needs the rotation axis on the detector in every view; "
            f"it lies beside it in {int(beside.sum())} of {len(beside)} views, the first of them view {view}"
        )


def _divergent_orbit(vectors: Tensor, detector: tuple[int, int]) -> Orbit:
    source, centre, u = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    pixels = _middle_row(vectors, detector[1])
    ray = (pixels - source[:, None])[..., :2]
    horizontal = ray.norm(dim=2)
    distance = source[:, :2].norm(dim=1)  # source to axis
    inward = -source[:, :2] / distance[:, None]
    across = torch.stack([inward[:, 1], -inward[:, 0]], 1)  # +u of a detector that faces the axis
    along = (ray * inward[:, None]).sum(2)
    # by NumPy, as the bits of torch's depend on the number of threads
    fan = torch.from_numpy(np.arctan2((ray * across[:, None]).sum(2).numpy(), along.numpy()))
    rows = torch.arange(detector[0], dtype=torch.float64) - (detector[0] - 1) / 2
    heights = (centre - source)[:, 2:] + rows * vectors[:, 3, 2:]
    if is_curved(vectors):
        radius = (centre - vectors[:, 4])[:, :2].norm(dim=1)
        if bool(((vectors[:, 4] - source)[:, :2].norm(dim=1) > 1e-6 * radius).any()):
            raise UndefinedGeometryError(
                "needs a curved detector whose centre of curvature is the source: its radius "
                f"{float(radius[0]):g} mm is not the source's distance to it"
            )
        weighting, scale = "fan", 1 / distance**2
    else:
        normal = torch.stack([u[:, 1], -u[:, 0]], 1) / u[:, :2].norm(dim=1, keepdim=True)
        isocentre = (-source[:, :2] * normal).sum(1)  # depth of the isocentre along the detector's normal
        plane = ((centre - source)[:, :2] * normal).sum(1)
        weighting, scale = "fdk", (plane / isocentre**2).abs()
    return Orbit(
        angles=torch.atan2(source[:, 0], -source[:, 1]),
        fan=fan,
        numerator=distance[:, None] * along,
        horizontal=horizontal,
        heights=heights,
        scale=scale,
        weighting=weighting,
        divergent=True,
        distance=distance[:, None] * fan.sin(),
    )


def _parallel_orbit(vectors: Tensor, detector: tuple[int, int]) -> Orbit:
    direction = vectors[:, 0]
    if bool((direction[:, 2].abs() > 1e-9).any()):
        raise UndefinedGeometryError("needs rays at right angles to the rotation axis")
    pixels = _middle_row(vectors, detector[1])
    across = torch.stack([direction[:, 1], -direction[:, 0]], 1)
    fan = (pixels[..., :2] * across[:, None]).sum(2)
    ones = torch.ones(len(vectors), detector[1], dtype=torch.float64)
    # rays that meet the detector at an angle lie closer together than its columns
    closeness = (across * vectors[:, 2, :2]).sum(1).abs() / vectors[:, 2, :2].norm(dim=1)
    return Orbit(
        angles=torch.atan2(-direction[:, 0], direction[:, 1]),
        fan=fan,
        numerator=ones,
        horizontal=ones,
        heights=torch.zeros(len(vectors), detector[0], dtype=torch.float64),
        scale=1 / closeness,
        weighting="none",
        divergent=False,
        distance=fan,
    )


def _check_circle(source: Tensor, helical: bool) -> None:
    distance, height = source[:, :2].norm(dim=1), source[:, 2]
    middle = float(distance.median())
    climb = float(height.max() - height.min())
    if climb > (0 if helical else HEIGHT_TOLERANCE * middle):
        raise UndefinedGeometryError(
            f"is defined for a circular orbit, not for a helix: the source moves {climb:g} mm along z"
        )
    spread = float(distance.max() - distance.min())
    if middle <= 0 or spread > CIRCLE_TOLERANCE * middle:
        raise UndefinedGeometryError(
            f"is defined for a circular orbit about z: the source's distance to the axis runs "
            f"from {float(distance.min()):g} to {float(distance.max()):g} mm"
        )


def _middle_row(vectors: Tensor, columns: int) -> Tensor:
    """World positions of the columns on the middle row, [views, columns, 3]."""
    return detector_points(vectors, index_offsets(1), index_offsets(columns))[:, 0]
